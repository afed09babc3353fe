import os

import pytest


@pytest.fixture
def one_core():
    """A function that leaves this thread only one core, so that work is no longer shared; undone afterwards."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not say which cores a process may use")
    allowed = os.sched_getaffinity(0)
    yield lambda: os.sched_setaffinity(0, {min(allowed)})
    os.sched_setaffinity(0, allowed)
