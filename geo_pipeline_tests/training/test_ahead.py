"""What is made ahead of a network: in order, bounded, in other threads, and an error in its place."""

import threading

import pytest

from geo_pipeline.training.ahead import made_ahead


def test_no_more_is_made_than_was_asked_for():
    made, lock = [], threading.Lock()

    def make(item):
        with lock:
            made.append(item)
        return item

    results = made_ahead(make, iter(range(10)), 2)
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

    results = made_ahead(make, range(3), 1)
    assert next(results) != threading.get_ident()
    assert second.wait(10)
    list(results)


def test_an_error_comes_where_its_result_would_have_come():
    results = made_ahead(lambda item: 1 // item, [1, 0, 1], 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
