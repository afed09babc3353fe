"""One run at a time in a home, with processes that really hold it, end, and are killed."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from geo_pipeline.home.lock import LOCK, HomeLockedError, NoFolderError, ReadOnlyHomeError, held
from geo_pipeline.home.processes import Process

HOLDS = """
import sys, time
from pathlib import Path
from geo_pipeline.home.lock import held
with held(Path(sys.argv[1]), print, shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Starts processes that hold the home; they are gone after the test."""
    started = []

    def start(how="alone"):
        child = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path), how], stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout.readline() == "held\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_second_run_is_told_who_holds_the_home(tmp_path, holder):
    child = holder()
    words = rf"in use by .*\(process {child.pid} on .*since 20.*kill {child.pid}"
    with pytest.raises(HomeLockedError, match=words), held(tmp_path, print):
        pass


def test_a_home_that_cannot_be_written_to_is_told_with_what_to_do(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / LOCK))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ReadOnlyHomeError, match=r"read-only .*expected a home that can be written to; .*--home COPY"):
        held(tmp_path, print).__enter__()


def test_a_file_in_the_place_of_the_home_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NoFolderError, match="is a file, expected a folder"):
        held(tmp_path / "file", print).__enter__()


def test_a_home_whose_holder_was_killed_is_taken_over_with_one_line(tmp_path, holder):
    child = holder()
    child.send_signal(signal.SIGKILL)
    child.wait()
    lines = []
    with held(tmp_path, lines.append):
        pass
    assert len(lines) == 1
    assert f"(process {child.pid} on " in lines[0]
    assert "did not come to its end" in lines[0]
    with held(tmp_path, lines.append):
        pass
    assert len(lines) == 1, "what came to its end leaves nothing to say"


def test_a_run_that_failed_leaves_the_home_free_and_nothing_to_say(tmp_path):
    lines = []
    with pytest.raises(ValueError, match="failed"), held(tmp_path, lines.append):
        raise ValueError("failed")
    with held(tmp_path, lines.append):
        pass
    assert lines == []


def test_steps_hold_a_home_together_and_no_run_begins_beside_them(tmp_path, holder):
    holder("shared")
    with held(tmp_path, print, shared=True):
        pass
    with pytest.raises(HomeLockedError, match="in use by"), held(tmp_path, print):
        pass


def test_a_process_that_holds_a_home_may_hold_it_once_more(tmp_path):
    with held(tmp_path / "new", print):
        with held(tmp_path / "new", print):
            pass
        assert json.loads((tmp_path / "new" / LOCK).read_text())["command"]


def test_a_holder_on_another_machine_is_named_with_the_way_to_release(tmp_path):
    other = Process("elsewhere", "another boot", 7, "1")
    note = {"process": other.to_json(), "command": "geo-pipeline run", "since": "2026-01-01T00:00:00+00:00"}
    (tmp_path / LOCK).write_text(json.dumps(note))
    with (
        pytest.raises(HomeLockedError, match=r"process 7 on elsewhere.*cannot be seen.*delete .*\.lock"),
        held(tmp_path, print),
    ):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": 3}', "\x00\x00"])
def test_a_damaged_note_locks_nobody_out(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with held(tmp_path, print):
        assert json.loads((tmp_path / LOCK).read_text())["since"]
