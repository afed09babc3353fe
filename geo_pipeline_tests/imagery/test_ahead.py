"""What is made ahead of a network: in order, bounded, in other threads, and an error in its place."""

import threading

import pytest

from geo_pipeline.imagery.ahead import Ahead


def test_no_more_is_made_than_was_asked_for():
    made, lock = [], threading.Lock()

    def make(item):
        with lock:
            made.append(item)
        return item

    results = Ahead(2).made(make, iter(range(10)))
    assert next(results) == 0
    assert len(made) <= 3
    assert list(results) == list(range(1, 10))
    assert sorted(made) == list(range(10))


def test_the_next_is_made_while_the_caller_is_at_work():
    second = threading.Event()

    def make(item):
        if item == 1:
            second.set()
        return threading.get_ident()

    results = Ahead(1).made(make, range(3))
    assert next(results) != threading.get_ident()
    assert second.wait(10)
    list(results)


def test_an_error_comes_where_its_result_would_have_come():
    results = Ahead(2).made(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_the_threads_stay_the_same():
    ahead = Ahead(1)
    seen = {ident for _ in range(5) for ident in ahead.made(lambda item: threading.get_ident(), range(3))}
    assert len(seen) == 1
