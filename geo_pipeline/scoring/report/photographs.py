"""Reads the census and the leakage table back into the numbers of a report: sets, rejections, what sets share.

How they are counted belongs to `imagery.census`; formatting belongs in `tables`, words in `benchmark`.
"""

from collections import Counter
from dataclasses import dataclass

import polars as pl

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
    catalogue, decode = (pl.col("stage") == name for name in ("catalogue", "decode"))
    order = ["train", "holdout", "router_queries", *(line.name for line in inputs.context.benchmarks)]
    place = pl.col("set_name").replace_strict({name: at for at, name in enumerate(order)}, default=len(order))
    sizes = (
        inputs.census.filter(pl.col("reason").is_null())
        .group_by("set_name")
        .agg(
            pl.col("count").filter(catalogue).sum().alias("photographs"),
            pl.col("count").filter(decode).sum().alias("decoded"),
            pl.col("authors").filter(catalogue).sum(),
        )
        .filter(pl.col("photographs") > 0)
        .sort(place, "set_name")
    )
    return [SetSize(**row) for row in sizes.iter_rows(named=True)]


def rejections(inputs: ReportInputs) -> list[tuple[str, str, int]]:
    """Rejected rows per stage and reason over all sets: (stage, reason, count), the most frequent of a stage first."""
    refused = (
        inputs.census.filter(pl.col("reason").is_not_null()).group_by("stage", "reason").agg(pl.col("count").sum())
    )
    return refused.sort("stage", "count", "reason", descending=[False, True, False]).rows()


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


def _counts(leakage: pl.DataFrame) -> Counter[tuple[str, str, str]]:
    rows = leakage.select("set_name", "other_set", "kind", "images").iter_rows()
    return Counter({(name, other, kind): images for name, other, kind, images in rows})
