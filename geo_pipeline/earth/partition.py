"""Builds the partition hierarchy of GeoSURGE, section III-A: S2 cells that hold between tau_min and tau_max
photographs.

Not every cell can: a cell of level 30 is about a centimetre wide and can still hold more than tau_max photographs with
one coordinate. Such cells are kept and counted as unsplittable. What is done with a hierarchy belongs to `hierarchy`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from geo_pipeline.earth.cell_index import UNCOVERED, CellIndex, locate
from geo_pipeline.earth.cell_numbers import MAX_LEVEL, lowest_bits, range_limits
from geo_pipeline.earth.cells import cell_centres, cell_ids
from geo_pipeline.earth.coordinates import coordinates_of
from geo_pipeline.earth.hierarchy import BuildCounts, Hierarchy, Partition


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
    return _build(lat_deg, lon_deg, config)[0]


def build_and_assign(lat_deg: ArrayLike, lon_deg: ArrayLike, config: PartitionConfig) -> tuple[Hierarchy, np.ndarray]:
    """`build_hierarchy`, and the rows int32 (N, P) that its `assign` gives for the same coordinates: less work."""
    hierarchy, index, intervals_N = _build(lat_deg, lon_deg, config)
    return hierarchy, index.rows(intervals_N)


def _build(lat_deg: ArrayLike, lon_deg: ArrayLike, config: PartitionConfig) -> tuple[Hierarchy, CellIndex, np.ndarray]:
    """The hierarchy, its index, and the interval (N,) of the index in which each coordinate lies."""
    lat, lon = (np.ascontiguousarray(np.asarray(values, np.float64).reshape(-1)) for values in (lat_deg, lon_deg))
    leaves = cell_ids(lat, lon)
    walk = _walk(np.sort(leaves), config)
    chosen, built = [], []
    for tau_max in config.tau_max:
        kept, dropped, unsplittable = walk.partition(tau_max, config)
        if len(kept) == 0:
            raise PartitionError(
                f"found no cell with {config.least_count} or more of the {len(leaves)} photographs in the partition "
                f"with tau_max {tau_max}; expected at least one; give more photographs or lower tau_min"
            )
        chosen.append(kept)
        built.append(BuildCounts(config.tau_min, tau_max, dropped, unsplittable))
    index = CellIndex([walk.cells[kept] for kept in chosen])
    intervals_N = index.intervals(leaves)
    if config.coordinate == "centre":
        places = [cell_centres(walk.cells[kept]) for kept in chosen]
    else:
        places = [coordinates_of(sums_C3) for sums_C3 in index.direction_sums(lat, lon, intervals_N)]
    partitions: list[Partition] = []
    for kept, (cell_lat, cell_lon) in zip(chosen, places, strict=True):
        cells = walk.cells[kept]
        parent = locate(partitions[-1].cell_ids, cells) if partitions else np.full(len(cells), UNCOVERED, np.int32)
        # Rounded to a tenth of a millimetre: the last bits of a cosine differ between processors.
        partitions.append(
            Partition(cells, walk.levels[kept], walk.counts[kept], cell_lat.round(9), cell_lon.round(9), parent)
        )
    return Hierarchy(tuple(partitions), tuple(built)), index, intervals_N


@dataclass(frozen=True, eq=False)
class _Walk:
    """Every cell V that the finest partition looks at on its way down, in order of S2 id: each coarser partition stops
    earlier on the same way. cells uint64 (V,); levels int32 (V,); counts and parent_counts int64 (V,), photographs in
    the cell and in the cell it was split from (larger than any threshold where there is none)."""

    cells: np.ndarray
    levels: np.ndarray
    counts: np.ndarray
    parent_counts: np.ndarray

    def partition(self, tau_max: int, config: PartitionConfig) -> tuple[np.ndarray, int, int]:
        """(rows of the kept cells, number of dropped cells, number of unsplittable cells) for one threshold."""
        looked_at = self.parent_counts > tau_max
        enough = self.counts >= config.least_count
        small, last = self.counts <= tau_max, self.levels == config.max_level
        kept = looked_at & enough & (small | last)
        dropped = looked_at & ~enough & (self.counts > 0)
        return np.flatnonzero(kept), int(dropped.sum()), int((kept & ~small).sum())


def _walk(sorted_leaves: np.ndarray, config: PartitionConfig) -> _Walk:
    """Splits what holds more than the smallest tau_max, level by level."""
    first_level, finest = config.first_level, config.tau_max[-1]
    cells = _first_cells(first_level)
    parent_counts = np.full(len(cells), np.iinfo(np.int64).max)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for level in range(first_level, config.max_level + 1):
        first, last = range_limits(cells)
        counts = np.searchsorted(sorted_leaves, last, side="right") - np.searchsorted(sorted_leaves, first)
        found.append((cells, np.full(len(cells), level, np.int32), counts.astype(np.int64), parent_counts))
        split = (counts > finest) & (counts >= config.least_count)
        if not split.any():
            break
        cells, parent_counts = _children(cells[split]), np.repeat(found[-1][2][split], 4)
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    order = np.argsort(columns[0])
    return _Walk(*(column[order] for column in columns))


def _first_cells(level: int) -> np.ndarray:
    """All cells of a level, in order of S2 id."""
    cells = (np.arange(6, dtype=np.uint64) << np.uint64(61)) | np.uint64(1 << 60)
    for _ in range(level):
        cells = _children(cells)
    return cells


def _children(cells: np.ndarray) -> np.ndarray:
    """The four children of each cell (C,), flat (4 C,), in order of S2 id."""
    lowest = lowest_bits(cells) >> np.uint64(2)
    first = cells - np.uint64(3) * lowest
    children: np.ndarray = first[:, None] + np.arange(0, 8, 2, dtype=np.uint64) * lowest[:, None]
    return children.reshape(-1)
