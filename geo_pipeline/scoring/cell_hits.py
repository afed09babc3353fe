"""How often a prediction lies in the geocell of the true place, how often in one beside it.

A method that names cells can be wrong by one cell, across a border, or altogether: accuracy within a distance does not
tell these apart, since cells are small where photographs are many. Which cells adjoin belongs to `earth.regions`, the
rows of the report to its tables.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from geo_pipeline.earth.cell_index import UNCOVERED, locate
from geo_pipeline.earth.cells import cell_ids
from geo_pipeline.earth.regions import adjoining


@dataclass(frozen=True)
class CellHits:
    """Of `count` queries, those predicted in the true cell (`right`), and in one that touches it (`adjoining`).

    All others are neither: failures, cells elsewhere, and the `uncovered` queries, whose true place lies in no cell.
    """

    count: int
    right: int
    adjoining: int
    uncovered: int

    @property
    def neither(self) -> int:
        """Queries predicted neither in the true cell nor beside it."""
        return self.count - self.right - self.adjoining

    @property
    def wrong_that_adjoin(self) -> float | None:
        """The share of the queries outside the true cell that lie beside it; None where none is outside."""
        wrong = self.count - self.right
        return self.adjoining / wrong if wrong else None


def cell_hits(
    cells: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, truth_lat_deg: np.ndarray, truth_lon_deg: np.ndarray
) -> CellHits:
    """Compare predictions with true places, float64 (N,) in degrees, a failure being NaN, by the cell that holds each.

    cells: ids (C,) uint64 of one partition, sorted and disjoint.
    """
    true_N = locate(cells, cell_ids(truth_lat_deg, truth_lon_deg))
    answered = np.isfinite(lat_deg) & np.isfinite(lon_deg)
    found_N = np.full(len(true_N), UNCOVERED, np.int32)
    found_N[answered] = locate(cells, cell_ids(lat_deg[answered], lon_deg[answered]))
    right = (found_N == true_N) & (true_N != UNCOVERED)
    other = np.flatnonzero((found_N != UNCOVERED) & (true_N != UNCOVERED) & ~right)
    beside = adjoining(cells[found_N[other]], cells[true_N[other]])
    uncovered = int(np.count_nonzero(true_N == UNCOVERED))
    return CellHits(len(true_N), int(right.sum()), int(beside.sum()), uncovered)


def judged_cell_hits(
    judged: pl.DataFrame, cells: np.ndarray, methods: Iterable[str]
) -> dict[tuple[str, str], CellHits]:
    """`cell_hits` by benchmark and method, of the rows of the table `judged` that are of these methods."""
    of_methods = judged.filter(pl.col("method").is_in(list(methods)))
    columns = [
        pl.col(name).fill_null(float("nan")) for name in ("lat_deg", "lon_deg", "truth_lat_deg", "truth_lon_deg")
    ]
    return {
        (benchmark, method): cell_hits(cells, *(each.to_numpy() for each in rows.select(columns)))
        for (benchmark, method), rows in of_methods.group_by("benchmark", "method", maintain_order=True)
    }
