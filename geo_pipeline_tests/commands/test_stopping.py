"""What a signal does to work that ends by itself, that is deaf, and that raises something else; in real processes."""

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from geo_pipeline.commands.stopping import STOPPED, StoppedError, StopsAtSignals

DEAF = """
import signal, time
from geo_pipeline.commands.stopping import StopsAtSignals
with StopsAtSignals(grace_s=0.5):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # as Dagster and Ray do
    print("works", flush=True)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_deaf_work_is_ended_after_the_time_of_grace_with_one_line(number):
    child = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "works\n"
    sent = time.monotonic()
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert err.strip() == STOPPED
    assert time.monotonic() - sent < 20


def test_a_second_signal_ends_deaf_work_at_once():
    child = subprocess.Popen(
        [sys.executable, "-c", DEAF.replace("0.5", "50")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "works\n"
    child.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err.strip()) == (128 + signal.SIGTERM, STOPPED)


def interrupted(number):
    """Work that is interrupted and raises what Ray makes of it."""
    try:
        os.kill(os.getpid(), number)
        time.sleep(5)
    except KeyboardInterrupt:
        raise SystemError("lost the connection") from None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_work_that_raises_something_else_at_a_signal_was_stopped_all_the_same(number):
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match="run again to go on") as stopped, StopsAtSignals():
        interrupted(number)
    assert stopped.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_without_a_signal_an_error_stays_what_it_is():
    with pytest.raises(ValueError, match="another"), StopsAtSignals():
        raise ValueError("another")


LOSES = """
import os, signal, time
from geo_pipeline.commands.stopping import StopsAtSignals

class Lost:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

with StopsAtSignals(grace_s=0.5):
    Lost()
    while True:
        time.sleep(0.05)
"""


def test_an_interrupt_that_python_dropped_while_it_collected_garbage_ends_the_work_all_the_same():
    done = subprocess.run([sys.executable, "-c", LOSES], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (128 + signal.SIGTERM, STOPPED)


CLOSES = """
import os, signal, sqlite3, time
from sqlalchemy import create_engine, text
from geo_pipeline.commands.stopping import StopsAtSignals

class Slow(sqlite3.Connection):
    def close(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:", factory=Slow))
with StopsAtSignals(grace_s=5):
    connection = engine.connect()
    connection.execute(text("select 1"))
    connection.invalidate()
"""


def test_a_library_that_logs_the_interrupt_as_an_error_of_its_own_is_not_heard():
    """SQLAlchemy logs with its traceback whatever comes while it closes a connection."""
    done = subprocess.run([sys.executable, "-c", CLOSES], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip().splitlines()[-1].startswith("geo_pipeline.commands.stopping.StoppedError")
    assert "terminating connection" not in done.stderr


def test_ctrl_c_at_a_terminal_ends_a_run_with_one_line(tmp_path):
    """A terminal sends it to every process of the group, Dagster's and ours; and until then the progress moves."""
    run = [
        sys.executable,
        "-m",
        "geo_pipeline.cli",
        "run",
        "--in-process",
        "--select",
        "+images",
        "--home",
        str(tmp_path),
    ]
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(run[0], run, os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"})
    seen = until(terminal, b"catalogue  .*rows")
    drawn = until(terminal, rb"images.*?(\x1b\[.*?){20}")
    os.write(terminal, b"\x03")
    said = until(terminal, None)
    _, status = os.waitpid(child, 0)
    assert (os.waitstatus_to_exitcode(status), said.decode().count(STOPPED)) == (130, 1)
    assert b"Traceback" not in seen + drawn + said
    assert b"KeyboardInterrupt" not in said


def until(terminal, pattern):
    """What comes until a pattern has come, or all of it. Fails after a minute."""
    came, end = b"", time.monotonic() + 60
    while pattern is None or not re.search(pattern, came, re.DOTALL):
        assert time.monotonic() < end, came
        try:
            more = os.read(terminal, 65_536)
        except OSError:  # what Linux says at the end of a terminal
            more = b""
        if not more:
            assert pattern is None, came
            break
        came += more
    return came
