"""Whether a process still runs, asked of processes that do, that do not, and of other machines."""

import os
import subprocess
import sys
import time
from dataclasses import replace

from geo_pipeline.home.processes import Process, is_running, started_s


def test_this_process_runs_and_is_read_back_as_it_was_written():
    this = Process.this()
    assert this.state() == "runs"
    assert Process.from_json(this.to_json()) == this
    assert Process.from_json("{") is None
    assert Process.from_json("[]") is None


def test_a_process_that_ended_is_gone_even_before_it_was_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    time.sleep(0.01)
    while is_running(child.pid):
        time.sleep(0.01)
    assert replace(Process.this(), pid=child.pid, started="1").state() == "gone"
    child.wait()
    assert not is_running(child.pid)


def test_a_later_process_with_the_same_id_is_another_one():
    assert replace(Process.this(), started="1").state() == "gone"


def test_a_process_of_another_machine_is_unknown_and_one_before_a_restart_is_gone():
    assert Process("elsewhere", "another boot", os.getpid(), "1").state() == "unknown"
    assert replace(Process.this(), boot="the boot before").state() == "gone"


def test_the_start_of_a_process_is_a_time():
    assert time.time() - 86_400 * 3650 < started_s(os.getpid()) <= time.time() + 1
