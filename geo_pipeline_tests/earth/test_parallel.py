import threading
from itertools import pairwise

import pytest

from geo_pipeline.earth.parallel import in_threads, thread_count


def test_the_pieces_cover_all_rows_once_and_in_order():
    for rows in (0, 1, 40_000, 100_003, 1_000_000):
        pieces = in_threads(rows, lambda start, stop: (start, stop), threads=3)
        assert pieces[0][0] == 0
        assert pieces[-1][1] == rows
        assert all(before[1] == after[0] for before, after in pairwise(pieces))
    assert len(in_threads(1_000_000, lambda start, stop: None, threads=3)) == 3


def test_few_rows_stay_in_this_thread():
    assert in_threads(1000, lambda start, stop: threading.get_ident(), threads=8) == [threading.get_ident()]
    assert 1 <= thread_count() <= 16


def test_an_error_of_a_piece_is_raised_here():
    def fail(start, stop):
        if start > 0:
            raise ValueError(f"rows from {start}")

    with pytest.raises(ValueError, match="rows from 500000"):
        in_threads(1_000_000, fail, threads=2)


def test_the_number_of_threads_is_the_number_of_cores_that_may_be_used(one_core):
    one_core()
    assert thread_count() == 1
