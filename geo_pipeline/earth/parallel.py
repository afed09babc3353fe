"""Shares the rows of large arrays among threads, for compiled loops that release the interpreter's lock.

Plain Python threads, not numba's own: those refuse to run in a forked process, and take many seconds to compile. What
a loop computes must not depend on how the rows are shared; then nothing depends on the number of threads either.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

_LEAST_ROWS = 32_768  # fewer are done before a thread has started
_MOST_THREADS = 16


def thread_count() -> int:
    """How many threads are used: the cores that this process may run on, at most 16."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return max(1, min(len(allowed), _MOST_THREADS))


def in_threads(rows: int, work: Callable[[int, int], Result], threads: int | None = None) -> list[Result]:
    """Call `work(start, stop)` for consecutive pieces of the rows; the results in order of the rows.

    One piece per thread, and one thread for few rows. An exception of any piece is raised here.
    """
    pieces = max(1, min(thread_count() if threads is None else threads, rows // _LEAST_ROWS))
    if pieces == 1:
        return [work(0, rows)]
    edges = [rows * piece // pieces for piece in range(pieces + 1)]
    with ThreadPoolExecutor(pieces) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))
