"""Reads the score tables back into numbers that a report compares.

Holds selections from `scores`, `routing_scores` and the judged predictions. Formatting belongs in `tables`;
computing a score belongs in `accuracy` and `routing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.scoring.accuracy import paired_difference
from geo_pipeline.scoring.report.inputs import ReportContext, ReportError, ReportInputs
from geo_pipeline.scoring.routing import share_of_gap_closed

PARADIGMS = ("retrieval", "generation")
ORACLE = "oracle"
LEAST_GAP = 0.01
"""Below one point between the better paradigm and the oracle, a share of that gap is noise and is not shown."""


class Scored(Protocol):
    """What every report compares: methods and benchmarks by name, their scores, their judged predictions."""

    @property
    def context(self) -> ReportContext:
        """The names, in the order of the report."""
        ...

    @property
    def scores(self) -> pa.Table:
        """The table of that name."""
        ...

    @property
    def judged(self) -> pa.Table:
        """Predictions beside the truth, JUDGED_SCHEMA."""
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
    present = set(inputs.scores.column("benchmark").to_pylist())
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
    by_method: dict[str, list[dict[str, Any]]] = {}
    for row in rows_where(inputs.scores, benchmark=benchmark):
        by_method.setdefault(row["method"], []).append(row)
    named = [line.name for line in inputs.context.methods]
    unnamed = set(by_method) - set(named)
    if unnamed:
        raise ReportError(
            f"found scores of {', '.join(sorted(unnamed))} on {benchmark}; expected methods named in the context; "
            "give each a MethodLine"
        )
    return {name: _method_score(by_method[name]) for name in named if name in by_method}


def _method_score(rows: list[dict[str, Any]]) -> MethodScore:
    rows = sorted(rows, key=lambda row: row["threshold_km"])
    return MethodScore(
        count=rows[0]["count"],
        failures=rows[0]["failures"],
        accuracy={row["threshold_km"]: row["accuracy"] for row in rows},
        low={row["threshold_km"]: row["low"] for row in rows},
        high={row["threshold_km"]: row["high"] for row in rows},
        median_km=rows[0]["median_km"],
    )


def thresholds(inputs: Scored) -> list[float]:
    """The thresholds of the score table in km, ascending."""
    values: list[float] = sorted(set(inputs.scores.column("threshold_km").to_pylist()))
    return values


def rows_where(table: pa.Table, **equal: str) -> list[dict[str, Any]]:
    """Rows whose text columns equal the given values, in the table's order."""
    keep = pa.array(np.ones(table.num_rows, dtype=bool))
    for column, value in equal.items():
        keep = pc.and_(keep, pc.equal(table.column(column), value))
    rows: list[dict[str, Any]] = table.filter(keep).to_pylist()
    return rows


def judged_of(inputs: Scored, benchmark: str, method: str) -> pa.Table:
    """Judged predictions of one method on one benchmark, ordered by image, so that methods stand row by row."""
    judged = inputs.judged
    keep = pc.and_(pc.equal(judged.column("benchmark"), benchmark), pc.equal(judged.column("method"), method))
    return judged.filter(keep).sort_by("image_id")


def paired_errors(
    inputs: Scored, benchmark: str, first: str, second: str
) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """The errors in km of two methods on the same images, row by row, and the images' authors.

    Raises ReportError where the judged predictions are not of the same images.
    """
    mine, other = judged_of(inputs, benchmark, first), judged_of(inputs, benchmark, second)
    if mine.num_rows == 0 or mine.column("image_id").to_pylist() != other.column("image_id").to_pylist():
        raise ReportError(
            f"found {mine.num_rows} judged predictions of {first} and {other.num_rows} of {second} on {benchmark}; "
            "expected the same images for both; build the judged table with `judge` from every method's predictions"
        )
    errors = [table.column("error_km").to_numpy() for table in (mine, other)]
    return errors[0], errors[1], mine.column("author").to_pylist()


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
    chosen = judged_of(inputs, benchmark, router).column("chosen").to_pylist()
    sent = [choice == "generation" for choice in chosen]
    return Gain(better, difference, low, high, p_value, closed, float(np.mean(sent)))


def winners(inputs: ReportInputs, benchmark: str) -> tuple[pa.Table, np.ndarray]:
    """Who is nearer at every image: (judged retrieval rows, int array: 0 retrieval, 1 generation, 2 neither).

    A tie is `neither`; so is an image on which both failed. Empty where a paradigm is missing.
    """
    retrieval, generation = (judged_of(inputs, benchmark, name) for name in PARADIGMS)
    if retrieval.num_rows != generation.num_rows or retrieval.num_rows == 0:
        return retrieval.slice(0, 0), np.zeros(0, dtype=np.int64)
    first, second = retrieval.column("error_km").to_numpy(), generation.column("error_km").to_numpy()
    return retrieval, np.where(first < second, 0, np.where(second < first, 1, 2))
