"""The score tables of a benchmark follow from its judged predictions, in the order of the methods."""

import math

import pyarrow as pa
import pytest

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.contracts.contract import load
from geo_pipeline.scoring.accuracy import ScoreError
from geo_pipeline.scoring.judged import judge
from geo_pipeline.scoring.scores import score_benchmark, score_routers

BENCHMARK = Benchmark("small", "Small", 3)
TRUTH = pa.table(
    {"image_id": ["c", "a", "b"], "author": ["x", "x", None], "lat_deg": [0.0, 0.0, 0.0], "lon_deg": [1.0, 1.0, 1.0]}
)
ANSWERS = {
    "retrieval": {"a": (0.0, None), "b": (9.0, None), "c": (90.0, None)},
    "generation": {"a": (9.0, None), "b": (0.0, None)},
    "router": {"a": (0.0, "retrieval"), "b": (9.0, "retrieval"), "c": (90.0, None)},
}
"""By method and image: degrees off along the equator, and what a router chose."""
METHODS = ("router", "retrieval", "generation", "silent")


def judged(answers=ANSWERS, truth=TRUTH):
    rows = [
        {"image_id": image_id, "method": method, "lat_deg": 0.0, "lon_deg": 1.0 + degrees, "chosen": chosen}
        for method, given in answers.items()
        for image_id, (degrees, chosen) in given.items()
    ]
    return judge("small", pa.Table.from_pylist(rows, load("predictions").arrow_schema), truth, METHODS)


def test_every_method_is_scored_in_order_and_the_oracle_last():
    table = score_benchmark(BENCHMARK, judged(), METHODS, "great_circle")
    assert load("scores").problems(table) == []
    rows = table.to_pylist()
    assert list(dict.fromkeys(row["method"] for row in rows)) == [*METHODS, "oracle"]
    at_1000 = {row["method"]: (row["accuracy"], row["failures"]) for row in rows if row["threshold_km"] == 750.0}
    assert at_1000 == {
        "router": (1 / 3, 0),
        "retrieval": (1 / 3, 0),
        "generation": (1 / 3, 1),
        "silent": (0.0, 3),
        "oracle": (2 / 3, 0),
    }
    assert {row["median_km"] for row in rows if row["method"] == "silent"} == {math.inf}


def test_without_an_oracle_there_is_none():
    table = score_benchmark(BENCHMARK, judged(), ["retrieval"], "great_circle", oracle=False)
    assert set(table["method"].to_pylist()) == {"retrieval"}


def test_routers_are_judged_by_whether_they_chose_the_nearer_and_silent_ones_left_out():
    table = score_routers(BENCHMARK, judged(), ["silent", "router"])
    assert load("routing_scores").problems(table) == []
    rows = [row for row in table.to_pylist() if row["threshold_km"] == 750.0]
    assert [(row["method"], row["eligible"], row["correct"], row["accuracy"]) for row in rows] == [
        ("router", 2, 1, 0.5)
    ]


def test_a_benchmark_without_photographs_is_refused():
    with pytest.raises(ScoreError, match="found no queries"):
        score_benchmark(BENCHMARK, judged({}, TRUTH.slice(0, 0)), METHODS, "great_circle")
