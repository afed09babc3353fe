"""Reads the census and the leakage table back into numbers that a report tells: sets, rejections, what sets share.

How they are counted belongs to the asset `census`; formatting belongs in `tables`, words in `benchmark`.
"""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from geo_pipeline.scoring.report.inputs import ReportInputs

REFERENCE = "train+holdout"
BENCHMARKS = "benchmarks"
OTHER_QUERY_SETS = ("router_queries", "holdout")


@dataclass(frozen=True)
class SetSize:
    """How many photographs a set has in the catalogue, how many of them were decoded, how many authors are known."""

    set_name: str
    photographs: int
    decoded: int
    authors: int


@dataclass(frozen=True)
class Leak:
    """How many images of a query set have a duplicate: byte-equal, or else near-equal, in the training data (training
    and hold-out) and in the benchmarks, in both cases without the set itself; and of either kind within the set.
    """

    set_name: str
    images: int
    train_byte: int
    train_near: int
    benchmarks_byte: int
    benchmarks_near: int
    within: int

    @property
    def outside(self) -> int:
        """Images with a duplicate outside the set, counted once per place."""
        return self.train_byte + self.train_near + self.benchmarks_byte + self.benchmarks_near


def set_sizes(inputs: ReportInputs) -> list[SetSize]:
    """The sets in order: training, hold-out and router queries, then the benchmarks as the context has them."""
    kept = [row for row in inputs.census.to_pylist() if row["reason"] is None]
    counts = {(row["set_name"], row["stage"]): row["count"] for row in kept}
    authors = {row["set_name"]: row["authors"] or 0 for row in kept if row["stage"] == "catalogue"}
    order = ["train", "holdout", "router_queries", *(line.name for line in inputs.context.benchmarks)]
    names = [name for name in order if name in authors] + sorted(set(authors) - set(order))
    return [SetSize(name, counts[name, "catalogue"], counts.get((name, "decode"), 0), authors[name]) for name in names]


def rejections(inputs: ReportInputs) -> list[tuple[str, str, int]]:
    """Rejected rows per stage and reason over all sets: (stage, reason, count), the most frequent of a stage first."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in inputs.census.to_pylist():
        if row["reason"] is not None:
            counts[row["stage"], row["reason"]] += row["count"]
    return sorted(((*key, count) for key, count in counts.items()), key=lambda row: (row[0], -row[2], row[1]))


def leaks(inputs: ReportInputs) -> list[Leak]:
    """What each query set that has images shares with others: benchmarks, router queries, hold-out."""
    images = {size.set_name: size.decoded for size in set_sizes(inputs)}
    names = [*(line.name for line in inputs.context.benchmarks), *OTHER_QUERY_SETS]
    counts = _counts(inputs.leakage)
    return [
        Leak(
            name,
            images[name],
            counts[name, REFERENCE, "byte"],
            counts[name, REFERENCE, "near"],
            counts[name, BENCHMARKS, "byte"],
            counts[name, BENCHMARKS, "near"],
            counts[name, name, "byte"] + counts[name, name, "near"],
        )
        for name in names
        if images.get(name)
    ]


def _counts(leakage: pa.Table) -> Counter[tuple[str, str, str]]:
    return Counter({(row["set_name"], row["other_set"], row["kind"]): row["images"] for row in leakage.to_pylist()})
