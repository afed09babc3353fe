"""The order of work in a pool, with actors that the test drives by hand: no process, no Ray."""

import random

import pyarrow as pa
import pytest

from geo_pipeline.compute.actor_pool import ActorLostError, ActorPool, ComputeError


class HandDriven:
    """Actors that do one thing at a time, finish in a random order, and die when the test says so."""

    def __init__(self, seed=0, deadly=(), never_start=(), die_loading=0):
        self.random = random.Random(seed)
        self.deadly, self.never_start, self.die_loading = list(deadly), set(never_start), die_loading
        self.started, self.killed, self.loads = 0, [], 0
        self.open, self.busy, self.most_busy, self.calls = {}, set(), 0, []

    def start(self):
        self.started += 1
        self.open[f"load-{self.started}"] = (self.started, None)
        return self.started, f"load-{self.started}"

    def put(self, rows):
        return rows

    def call(self, actor, rows):
        reference = f"call-{len(self.calls)}"
        self.calls.append((actor, rows["x"].to_pylist()))
        self.open[reference] = (actor, rows)
        self.busy.add(reference)
        self.most_busy = max(self.most_busy, len(self.busy))
        return reference

    def finished(self, references, timeout_s):
        first = {}
        for reference in references:
            first.setdefault(self.open[reference][0], reference)
        able = [reference for actor, reference in first.items() if actor not in self.never_start]
        return [self.random.choice(able)] if able else []

    def result(self, reference):
        actor, rows = self.open[reference]
        self.busy.discard(reference)
        if rows is None and self.die_loading:
            self.die_loading -= 1
            raise ActorLostError("no memory to load")
        if rows is None:
            self.loads += 1
            return None
        if actor in self.killed:
            raise ActorLostError("gone with its actor")
        value = rows["x"][0].as_py()
        if value in self.deadly:
            self.deadly.remove(value)
            self.killed.append(actor)
            raise ActorLostError("out of memory")
        return rows

    def kill(self, actor):
        self.killed.append(actor)


def batches(count, taken=None):
    for number in range(count):
        if taken is not None:
            taken.append(number)
        yield pa.table({"x": [number]})


def answers(stage, size, count, taken=None):
    pool = ActorPool(stage, size, 1.0, "some worker")
    found = [part["x"][0].as_py() for part in pool.results(batches(count, taken))]
    pool.close()
    return found


@pytest.mark.parametrize("seed", range(20))
def test_results_come_in_order_whatever_finishes_first_and_whoever_dies(seed):
    stage = HandDriven(seed, deadly=[3, 11, 11, 40])
    assert answers(stage, 3, 50) == list(range(50))
    assert stage.loads == 3 + 4, "one load per actor, and one for each that took the place of a dead one"
    assert stage.most_busy <= 6
    assert set(range(1, stage.started + 1)) == set(stage.killed), "every actor was ended"


def test_no_more_actors_than_batches_and_no_more_batches_than_in_flight():
    few = HandDriven()
    assert answers(few, 8, 2) == [0, 1]
    assert few.started == 2
    taken = []
    pool = ActorPool(HandDriven(), 2, 1.0, "some worker")
    results = pool.results(batches(1000, taken))
    assert next(results)["x"].to_pylist() == [0]
    assert len(taken) <= 8


def test_actors_that_never_get_their_cpu_hold_nothing_up():
    stage = HandDriven(never_start={1, 3})
    assert answers(stage, 4, 20) == list(range(20))
    assert {actor for actor, _ in stage.calls} == {2, 4}


def test_nothing_at_all_is_an_error_that_says_what_to_do():
    with pytest.raises(ComputeError, match=r"no result of some worker for 1 s.*stall_s"):
        answers(HandDriven(never_start={1, 2}), 2, 5)


def test_a_batch_that_kills_every_actor_is_given_up_and_the_one_behind_it_is_not_blamed():
    stage = HandDriven(deadly=[4, 4, 4])
    with pytest.raises(ComputeError, match=r"died 3 times at the same batch.*out of memory"):
        answers(stage, 1, 10)
    assert answers(HandDriven(deadly=[4, 4, 5, 5]), 1, 10) == list(range(10))


def test_actors_that_die_while_they_load_are_given_up():
    assert answers(HandDriven(die_loading=2), 1, 3) == [0, 1, 2]
    with pytest.raises(ComputeError, match=r"died 3 times while it loaded.*no memory to load"):
        answers(HandDriven(die_loading=3), 1, 3)


def test_a_batch_of_many_bytes_waits_for_those_before_it():
    stage = HandDriven()
    pool = ActorPool(stage, 4, 1.0, "some worker", bytes_in_flight=20)
    assert [part["x"][0].as_py() for part in pool.results(batches(12))] == list(range(12))
    assert stage.most_busy <= 3
