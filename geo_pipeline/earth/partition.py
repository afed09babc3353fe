"""Builds the partition hierarchy of GeoSURGE, section III-A: S2 cells that hold between tau_min and tau_max
photographs.

Not every cell can: a cell of level 30 is about a centimetre wide and can still hold more than tau_max photographs with
one coordinate. Such cells are kept and counted as unsplittable. What is done with a hierarchy belongs to `hierarchy`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from geo_pipeline.earth.cells import (
    MAX_LEVEL,
    cell_centres,
    cell_ids,
    cell_levels,
    lowest_bits,
    parent_ids,
    range_limits,
)
from geo_pipeline.earth.coordinates import coordinates_of, unit_vectors
from geo_pipeline.earth.hierarchy import BuildCounts, Hierarchy, Partition, locate


class PartitionError(ValueError):
    """A partition that cannot be built; the message says what was found, what was expected and what to do next."""


@dataclass(frozen=True)
class PartitionConfig:
    """Thresholds in photographs per cell; the defaults are the paper's (GeoSURGE, section IV).

    tau_max: one value per partition, from coarsest to finest, never rising. semantics: `geosurge` starts at the six
    faces and drops cells with fewer than tau_min; `isn` (Müller-Budack et al.) starts at level 2 and drops cells with
    tau_min or fewer. coordinate: what a cell predicts, the spherical `mean` of its photographs or its `centre`.
    """

    tau_min: int = 50
    tau_max: tuple[int, ...] = (25000, 10000, 5000, 2000, 1000, 750, 500)
    semantics: Literal["geosurge", "isn"] = "geosurge"
    max_level: int = MAX_LEVEL
    coordinate: Literal["mean", "centre"] = "mean"

    def __post_init__(self) -> None:
        problems = []
        if self.tau_min < 1:
            problems.append(f"tau_min is {self.tau_min}, expected at least 1")
        if not self.tau_max or any(
            finer > coarser for coarser, finer in zip(self.tau_max, self.tau_max[1:], strict=False)
        ):
            problems.append(f"tau_max is {self.tau_max}, expected one value per partition that never rises")
        elif self.tau_max[-1] < self.tau_min:
            problems.append(f"the smallest tau_max is {self.tau_max[-1]}, expected at least tau_min {self.tau_min}")
        if self.semantics not in ("geosurge", "isn"):
            problems.append(f"semantics is {self.semantics!r}, expected geosurge or isn")
        if self.coordinate not in ("mean", "centre"):
            problems.append(f"coordinate is {self.coordinate!r}, expected mean or centre")
        if not self.first_level <= self.max_level <= MAX_LEVEL:
            problems.append(f"max_level is {self.max_level}, expected {self.first_level} to {MAX_LEVEL}")
        if problems:
            raise PartitionError("found " + "; ".join(problems) + "; correct the partition's configuration")

    @property
    def first_level(self) -> int:
        """The S2 level of the cells that the cutting starts from."""
        return 2 if self.semantics == "isn" else 0

    @property
    def least_count(self) -> int:
        """The least number of photographs of a cell that is kept."""
        return self.tau_min + 1 if self.semantics == "isn" else self.tau_min


def build_hierarchy(lat_deg: ArrayLike, lon_deg: ArrayLike, config: PartitionConfig) -> Hierarchy:
    """The hierarchy of training coordinates (N,) in degrees; the order of the coordinates changes nothing.

    Raises PartitionError when a partition would be empty, ValueError for coordinates that are not usable.
    """
    lat, lon = np.asarray(lat_deg, np.float64).reshape(-1), np.asarray(lon_deg, np.float64).reshape(-1)
    leaves = cell_ids(lat, lon)
    order = np.lexsort((lon, lat, leaves))
    leaves = leaves[order]
    vectors_N3 = unit_vectors(lat[order], lon[order])
    partitions: list[Partition] = []
    built: list[BuildCounts] = []
    for tau_max in config.tau_max:
        cells, dropped = _cut(leaves, tau_max, config)
        if len(cells) == 0:
            raise PartitionError(
                f"found no cell with {config.least_count} or more of the {len(leaves)} photographs in the partition "
                f"with tau_max {tau_max}; expected at least one; give more photographs or lower tau_min"
            )
        coarser = partitions[-1].cell_ids if partitions else None
        partition = _describe(cells, leaves, vectors_N3, coarser, config)
        unsplittable = (partition.counts > tau_max) & (partition.levels == config.max_level)
        partitions.append(partition)
        built.append(BuildCounts(config.tau_min, tau_max, dropped, int(unsplittable.sum())))
    return Hierarchy(tuple(partitions), tuple(built))


def _cut(leaves: np.ndarray, tau_max: int, config: PartitionConfig) -> tuple[np.ndarray, int]:
    """(ids of the kept cells in order, number of dropped cells): splits what holds too much, level by level."""
    kept: list[np.ndarray] = []
    dropped = 0
    cells = np.unique(parent_ids(leaves, config.first_level))
    for level in range(config.first_level, config.max_level + 1):
        starts, ends = _spans(cells, leaves)
        counts = ends - starts
        enough = counts >= config.least_count
        dropped += int(((counts > 0) & ~enough).sum())
        split = enough & (counts > tau_max) & (level < config.max_level)
        kept.append(cells[enough & ~split])
        if not split.any():
            break
        cells = _children(cells[split])
    return np.sort(np.concatenate(kept)), dropped


def _spans(cells: np.ndarray, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and end, in the sorted leaves, of the photographs of each cell."""
    first, last = range_limits(cells)
    return np.searchsorted(leaves, first, side="left"), np.searchsorted(leaves, last, side="right")


def _children(cells: np.ndarray) -> np.ndarray:
    """The four children of each cell (C,), flat (4 C,), in order of S2 id."""
    lowest = lowest_bits(cells) >> np.uint64(2)
    first = cells - np.uint64(3) * lowest
    children: np.ndarray = first[:, None] + np.arange(0, 8, 2, dtype=np.uint64) * lowest[:, None]
    return children.reshape(-1)


def _describe(
    cells: np.ndarray, leaves: np.ndarray, vectors_N3: np.ndarray, coarser: np.ndarray | None, config: PartitionConfig
) -> Partition:
    starts, ends = _spans(cells, leaves)
    if config.coordinate == "centre":
        lat, lon = cell_centres(cells)
    else:
        padded = np.concatenate([vectors_N3, np.zeros((1, 3))])  # reduceat needs every end to be a row
        sums_C3 = np.add.reduceat(padded, np.stack([starts, ends], axis=1).reshape(-1), axis=0)[::2]
        lat, lon = coordinates_of(sums_C3)
    parent = np.full(len(cells), -1, np.int32) if coarser is None else locate(coarser, cells)
    # Rounded to a tenth of a millimetre: the last bits of a cosine differ between processors.
    return Partition(cells, cell_levels(cells), (ends - starts).astype(np.int64), lat.round(9), lon.round(9), parent)
