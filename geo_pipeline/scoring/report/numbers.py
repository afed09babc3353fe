"""Reads the score tables back into numbers that a report compares.

Holds selections from `scores`, `routing_scores` and the judged predictions. Formatting belongs in `tables`;
computing a score belongs in `accuracy` and `routing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from geo_pipeline.scoring.accuracy import paired_difference
from geo_pipeline.scoring.report.context import ReportContext
from geo_pipeline.scoring.report.inputs import ReportError, ReportInputs
from geo_pipeline.scoring.routing import ORACLE, PARADIGMS, share_of_gap_closed

LEAST_GAP = 0.01
"""Below one point between the better paradigm and the oracle, a share of that gap is noise and is not shown."""


class Scored(Protocol):
    """What every report compares: methods and benchmarks by name, their scores, their judged predictions."""

    @property
    def context(self) -> ReportContext:
        """The names, in the order of the report."""
        ...

    @property
    def scores(self) -> pl.DataFrame:
        """The table of that name."""
        ...

    @property
    def judged(self) -> pl.DataFrame:
        """The table of that name."""
        ...


@dataclass(frozen=True)
class MethodScore:
    """The rows of `scores` of one method and benchmark, by threshold in km."""

    count: int
    failures: int
    accuracy: Mapping[float, float]
    low: Mapping[float, float]
    high: Mapping[float, float]
    median_km: float

    @property
    def mean_accuracy(self) -> float:
        """Plain mean over the thresholds."""
        return float(np.mean(list(self.accuracy.values())))


@dataclass(frozen=True)
class Gain:
    """A router against the better paradigm, in fractions of mean accuracy; `closed` is the share of the way to the
    oracle, None where the oracle stands no higher than the better paradigm."""

    better: str
    difference: float
    low: float
    high: float
    p_value: float
    closed: float | None
    sent_to_generation: float


def scored_benchmarks(inputs: Scored) -> list[str]:
    """Names of the benchmarks that have scores, in the order of the context."""
    present = set(inputs.scores["benchmark"].unique())
    named = [line.name for line in inputs.context.benchmarks]
    unnamed = present - set(named)
    if unnamed:
        raise ReportError(
            f"found scores of benchmark {', '.join(sorted(unnamed))}; expected only benchmarks named in the context; "
            "give each a BenchmarkLine"
        )
    return [name for name in named if name in present]


def method_scores(inputs: Scored, benchmark: str) -> dict[str, MethodScore]:
    """The scores of one benchmark by method, in the order of the context; methods without scores are left out."""
    rows = inputs.scores.filter(benchmark=benchmark).sort("threshold_km")
    by_method = {str(name): part for (name,), part in rows.group_by("method", maintain_order=True)}
    named = [line.name for line in inputs.context.methods]
    unnamed = set(by_method) - set(named)
    if unnamed:
        raise ReportError(
            f"found scores of {', '.join(sorted(unnamed))} on {benchmark}; expected methods named in the context; "
            "give each a MethodLine"
        )
    return {name: _method_score(by_method[name]) for name in named if name in by_method}


def _method_score(rows: pl.DataFrame) -> MethodScore:
    accuracy, low, high = (dict(rows.select("threshold_km", name).iter_rows()) for name in ("accuracy", "low", "high"))
    return MethodScore(rows["count"][0], rows["failures"][0], accuracy, low, high, rows["median_km"][0])


def thresholds(inputs: Scored) -> list[float]:
    """The thresholds of the score table in km, ascending."""
    values: list[float] = inputs.scores["threshold_km"].unique().sort().to_list()
    return values


def judged_of(inputs: Scored, benchmark: str, method: str) -> pl.DataFrame:
    """Judged predictions of one method on one benchmark, ordered by image, so that methods stand row by row."""
    return inputs.judged.filter(benchmark=benchmark, method=method).sort("image_id")


def paired_errors(
    inputs: Scored, benchmark: str, first: str, second: str
) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """The errors in km of two methods on the same images, row by row, and the images' authors.

    Raises ReportError where the judged predictions are not of the same images.
    """
    mine, other = judged_of(inputs, benchmark, first), judged_of(inputs, benchmark, second)
    if mine.is_empty() or not mine["image_id"].equals(other["image_id"]):
        raise ReportError(
            f"found {mine.height} judged predictions of {first} and {other.height} of {second} on {benchmark}; "
            "expected the same images for both; build the judged table with `judge` from every method's predictions"
        )
    return mine["error_km"].to_numpy(), other["error_km"].to_numpy(), mine["author"].to_list()


def router_gain(inputs: ReportInputs, benchmark: str, router: str) -> Gain | None:
    """The router against the better paradigm; None where a paradigm, the oracle or the router was not scored."""
    scores = method_scores(inputs, benchmark)
    if not {router, ORACLE, *PARADIGMS} <= set(scores):
        return None
    better = max(PARADIGMS, key=lambda name: scores[name].mean_accuracy)
    first, second, authors = paired_errors(inputs, benchmark, router, better)
    difference, low, high, p_value = paired_difference(first, second, clusters=authors)
    means = [scores[name].mean_accuracy for name in (router, *PARADIGMS, ORACLE)]
    gap = means[-1] - max(means[1:-1])
    closed = share_of_gap_closed(*means) if gap >= LEAST_GAP else None
    chosen = judged_of(inputs, benchmark, router)["chosen"].to_list()
    sent = chosen.count("generation") / len(chosen)
    return Gain(better, difference, low, high, p_value, closed, sent)


def winners(inputs: ReportInputs, benchmark: str) -> pl.DataFrame:
    """Who is nearer at every image: truth_lat_deg, truth_lon_deg, winner (0 retrieval, 1 generation, 2 neither).

    A tie is `neither`; so is an image on which both failed. Empty where a paradigm is missing.
    """
    retrieval, generation = (judged_of(inputs, benchmark, name) for name in PARADIGMS)
    first, second = pl.col("error_km"), pl.col("generation_km")
    winner = pl.when(first < second).then(0).when(second < first).then(1).otherwise(2)
    rows = retrieval.join(generation.select("image_id", generation_km="error_km"), on="image_id", maintain_order="left")
    return rows.select("truth_lat_deg", "truth_lon_deg", winner=winner)
