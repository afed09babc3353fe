"""The tables `scores` and `routing_scores` of one benchmark, from its judged predictions.

How a score and its interval are computed belongs to `accuracy`, how routing is judged to `routing`; errors stand in the
table `judged` (`judged`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.contracts.frames import arrow_table
from geo_pipeline.scoring.accuracy import score_errors
from geo_pipeline.scoring.judged import NO_PREDICTION
from geo_pipeline.scoring.routing import ORACLE, PARADIGMS, oracle_errors, routing_accuracy

ROUTING_COLUMNS = ("benchmark", "method", "threshold_km", "eligible", "correct", "accuracy")


def score_benchmark(
    benchmark: Benchmark, judged: pa.Table, methods: Sequence[str], distance: str, oracle: bool = True
) -> pa.Table:
    """The table `scores` of one benchmark: `methods` in their order, then the `oracle` of retrieval and generation.

    judged: the table of that name. A method that is not in it has failed on every photograph. Raises ScoreError for a
    benchmark without photographs.
    """
    rows = pl.DataFrame(judged)
    errors = {name: _errors(rows, name) for name in methods}
    if oracle:
        errors[ORACLE] = oracle_errors(*(_errors(rows, name) for name in PARADIGMS))
    authors = rows.filter(method=rows["method"].first())["author"].to_list() if rows.height else []
    return arrow_table(pl.DataFrame(_score_rows(benchmark, errors, authors, distance)), "scores")


def _score_rows(
    benchmark: Benchmark, errors_km: Mapping[str, np.ndarray], authors: list[str | None], distance: str
) -> list[dict[str, object]]:
    found = {name: score_errors(each, authors, benchmark.thresholds_km, distance) for name, each in errors_km.items()}
    return [
        {
            "benchmark": benchmark.name,
            "method": name,
            "threshold_km": threshold,
            "distance": score.distance,
            "count": score.count,
            "failures": score.failures,
            "accuracy": score.accuracy[threshold],
            "low": score.interval_95[threshold][0],
            "high": score.interval_95[threshold][1],
            "median_km": score.median_km,
        }
        for name, score in found.items()
        for threshold in benchmark.thresholds_km
    ]


def score_routers(benchmark: Benchmark, judged: pa.Table, routers: Sequence[str]) -> pa.Table:
    """The table `routing_scores` of one benchmark: those of `routers` that gave predictions, in their order."""
    rows = pl.DataFrame(judged)
    retrieval, generation = (_errors(rows, name) for name in PARADIGMS)
    scored = []
    for name in routers:
        mine = rows.filter(method=name)
        if mine["failure"].eq_missing(NO_PREDICTION).all():
            continue
        chose_generation = (mine["chosen"] == "generation").fill_null(value=False).to_numpy()
        found = routing_accuracy(retrieval, generation, chose_generation, benchmark.thresholds_km)
        for limit, eligible, correct in found:
            accuracy = correct / eligible if eligible else None
            scored.append((benchmark.name, name, limit, eligible, correct, accuracy))
    return arrow_table(pl.DataFrame(scored, ROUTING_COLUMNS, orient="row"), "routing_scores")


def _errors(rows: pl.DataFrame, method: str) -> np.ndarray:
    """Errors (N,) in km of a method, in order of image; infinite where it has no rows at all."""
    mine = rows.filter(method=method)
    count = rows["image_id"].n_unique()
    return mine["error_km"].to_numpy() if mine.height else np.full(count, np.inf)
