"""What is taken out of standard error, and that nothing else is."""

import os
import re
import subprocess
import sys

import pytest

from geo_pipeline.compute.stderr import passing_on_stderr

ON_RAY = """
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline_tests.compute.workers import Plain
with RayCompute(ComputeConfig(actors=1, cpus=1, stall_s=120)) as compute:
    print(list(compute.map_shards(Plain(dict), [""], on_cpu=True)))
"""


def test_only_what_matches_is_taken_out(capfd):
    os.write(2, b"before\n")
    with passing_on_stderr(re.compile(rb"[^\n]*noise[^\n]*\n")):
        os.write(2, b"one\nnoise 1\ntwo\n")
        print("three", file=sys.__stderr__)
        subprocess.run(["sh", "-c", "echo four >&2; echo noise 2 >&2"], check=True)
    os.write(2, b"after\n")
    assert capfd.readouterr().err.split() == ["before", "one", "two", "three", "four", "after"]


def test_an_error_in_the_block_leaves_standard_error_as_it_was(capfd):
    with pytest.raises(ValueError), passing_on_stderr(re.compile(rb"x")):
        raise ValueError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.xdist_group("one_ray")
def test_ray_starts_without_a_word():
    done = subprocess.run([sys.executable, "-c", ON_RAY], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[('', {})]\n", "")
