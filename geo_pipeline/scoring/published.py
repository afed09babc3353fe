"""The numbers that the two papers print, with their source: GeoSURGE, Tables I to VIII, and GeoRouter, Tables 1 and 3.

They are kept in `published.csv` exactly as printed, slips included, in percent. The papers disagree about some methods
and mix rounding with truncation, so a comparison allows one unit of the last printed digit. Our own scores belong to
`accuracy`.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Metric = Literal[
    "accuracy", "routing_accuracy", "ablation_accuracy", "ablation_gain_points", "relative_improvement_percent"
]


@dataclass(frozen=True)
class PublishedRow:
    """One printed row. values: percent by threshold in km, without the thresholds that the paper leaves out ("-").

    printed: the same as text, with every printed digit. average: the row's printed mean, where there is one. note: what
    is known to be odd about the row. ours: the method or variant of this project that the row stands beside, or empty.
    """

    benchmark: str
    method: str
    metric: str
    values: Mapping[float, float]
    printed: Mapping[float, str]
    average: float | None
    source: str
    note: str
    ours: str = ""

    def agrees(self, threshold_km: float, percent: float) -> bool:
        """Whether a number of ours equals the printed one, within one unit of its last digit.

        Raises KeyError for a threshold that the paper leaves out.
        """
        text = self.printed[threshold_km]
        unit = 10.0 ** -len(text.partition(".")[2])
        return abs(percent - self.values[threshold_km]) <= unit * (1 + 1e-9)


def published_rows(benchmark: str, metric: Metric = "accuracy") -> list[PublishedRow]:
    """The rows of one benchmark, in the papers' order; empty for a benchmark that neither paper reports."""
    return [row for row in _all_rows() if row.benchmark == benchmark and row.metric == metric]


def ablation_rows() -> tuple[PublishedRow, ...]:
    """GeoSURGE, Tables VI to VIII, all measured on IM2GPS; Table VIII in points over no fusion, as it is printed."""
    return tuple(row for row in _all_rows() if row.metric in ("ablation_accuracy", "ablation_gain_points"))


def counterparts() -> frozenset[str]:
    """The names of our methods that stand beside a printed row on any benchmark."""
    return frozenset(row.ours for row in _all_rows() if row.metric == "accuracy" and row.ours)


@cache
def _all_rows() -> tuple[PublishedRow, ...]:
    with files("geo_pipeline.scoring").joinpath("published.csv").open(encoding="utf-8") as lines:
        return tuple(_row(record) for record in csv.DictReader(lines))


def _row(record: dict[str, str]) -> PublishedRow:
    printed = {float(name): text for name, text in record.items() if name.isdigit() and text}
    return PublishedRow(
        benchmark=record["benchmark"],
        method=record["method"],
        metric=record["metric"],
        values={limit: float(text) for limit, text in printed.items()},
        printed=printed,
        average=float(record["average"]) if record["average"] else None,
        source=f"{record['paper']}, {record['table']}",
        note=record["note"],
        ours=record["ours"],
    )
