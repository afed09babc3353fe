"""The partition hierarchy: cells of several partitions of the Earth, from coarse to fine, with their parents.

Finds the cell of a coordinate, the ancestors of a cell, the coverage, and goes to and from the table `geocells`. How
the cells are chosen belongs to `partition`; the arithmetic of cells to `cells`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from geo_pipeline.earth.cell_index import UNCOVERED, CellIndex, locate
from geo_pipeline.earth.cell_numbers import (
    MAX_LEVEL,
    cell_levels,
    ids_from_tokens,
    range_limits,
    tokens,
)
from geo_pipeline.earth.cells import cell_ids


class HierarchyError(ValueError):
    """A table or a set of partitions that is no hierarchy; the message lists every problem."""


@dataclass(frozen=True, eq=False)
class Partition:
    """The C cells of one partition, ordered by S2 id, so that rows are reproducible.

    cell_ids uint64 (C,); levels int32 (C,); counts int64 (C,) photographs; lat_deg, lon_deg float64 (C,), the
    coordinate that a prediction of the cell gives; parent int32 (C,), the row in the next coarser partition, -1 in the
    coarsest.
    """

    cell_ids: np.ndarray
    levels: np.ndarray
    counts: np.ndarray
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    parent: np.ndarray

    def __len__(self) -> int:
        return len(self.cell_ids)


@dataclass(frozen=True)
class BuildCounts:
    """How one partition came about: its thresholds, the cells with too few photographs, and the cells of the last level
    that still hold more than tau_max. `coverage` has it; the table `geocells` has not."""

    tau_min: int
    tau_max: int
    dropped_cells: int
    unsplittable_cells: int


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Partitions from coarsest to finest. `built` is empty for a hierarchy that was read from a table."""

    partitions: tuple[Partition, ...]
    built: tuple[BuildCounts, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "partitions", tuple(self.partitions))
        object.__setattr__(self, "built", tuple(self.built)[: len(self.partitions)])
        problems = _problems(self.partitions)
        if problems:
            raise HierarchyError(
                "found a set of cells that is no hierarchy: "
                + "; ".join(problems)
                + ". expected partitions from coarse to "
                "fine, rows in order of S2 id, and every cell inside its parent; build the geocells again"
            )

    @cached_property
    def index(self) -> CellIndex:
        """The index that finds the cells of a coordinate; built at first use."""
        return CellIndex([partition.cell_ids for partition in self.partitions])

    def assign(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> np.ndarray:
        """Rows int32 (N, P) of the cells that hold the coordinates (N,), per partition; -1 where none does.

        A row is a coordinate's chain of cells from coarse to fine. Raises ValueError for unusable coordinates.
        """
        return self.index.rows(self.index.intervals(cell_ids(lat_deg, lon_deg)))

    def only(self, numbers: Sequence[int]) -> "Hierarchy":
        """The hierarchy of some of its partitions, by number and from coarse to fine: what `assign`, `ancestors` and
        `coverage` say of it are columns and rows of what they say of the whole.
        """
        kept = []
        for above, number in zip((None, *numbers), numbers, strict=False):
            partition = self.partitions[number]
            parent = np.full(len(partition), UNCOVERED, np.int32)
            if above is not None:
                parent = locate(self.partitions[above].cell_ids, partition.cell_ids)
            kept.append(replace(partition, parent=parent))
        return Hierarchy(tuple(kept), tuple(self.built[number] for number in numbers) if self.built else ())

    def ancestors(self) -> np.ndarray:
        """Rows int32 (C, P) of every cell of the finest partition in each partition; the last column is its own row."""
        rows = [np.arange(len(self.partitions[-1]), dtype=np.int32)]
        for partition in reversed(self.partitions[1:]):
            rows.append(partition.parent[rows[-1]])
        return np.stack(rows[::-1], axis=1)

    def coverage(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> pa.Table:
        """The table `coverage`: how many of the coordinates (N,) lie in a cell, per partition.

        Raises HierarchyError for a hierarchy that was read from a table, which no longer knows its thresholds.
        """
        return self.coverage_of(self.assign(lat_deg, lon_deg))

    def coverage_of(self, rows_NP: np.ndarray) -> pa.Table:
        """`coverage` of coordinates that are assigned already: rows (N, P) as `assign` gives them."""
        if len(self.built) != len(self.partitions):
            raise HierarchyError(
                "found a hierarchy without its thresholds; expected one that build_hierarchy returned; build it "
                "again, or count the rows of assign() that are not -1"
            )
        covered = [int(np.count_nonzero(rows_NP[:, number] != UNCOVERED)) for number in range(len(self.partitions))]
        return pa.table(
            {
                "partition": pa.array(range(len(self.partitions)), pa.int32()),
                "tau_min": pa.array([counts.tau_min for counts in self.built], pa.int64()),
                "tau_max": pa.array([counts.tau_max for counts in self.built], pa.int64()),
                "cells": pa.array([len(partition) for partition in self.partitions], pa.int64()),
                "covered": pa.array(covered, pa.int64()),
                "total": pa.array([len(rows_NP)] * len(self.partitions), pa.int64()),
                "dropped_cells": pa.array([counts.dropped_cells for counts in self.built], pa.int64()),
                "unsplittable_cells": pa.array([counts.unsplittable_cells for counts in self.built], pa.int64()),
            }
        )

    def to_table(self) -> pa.Table:
        """The table `geocells`, ordered by partition and S2 id."""
        return pa.concat_tables([_partition_table(number, part) for number, part in enumerate(self.partitions)])

    @classmethod
    def from_table(cls, table: pa.Table) -> "Hierarchy":
        """The inverse of `to_table`, in any row order. Raises HierarchyError when the rows make no hierarchy."""
        table = table.sort_by([("partition", "ascending"), ("cell", "ascending")])
        number = table.column("partition").to_numpy()
        if len(number) == 0 or not np.array_equal(np.unique(number), np.arange(number[-1] + 1)):
            raise HierarchyError(
                f"found partitions {np.unique(number).tolist()}; expected 0, 1, 2 and so on; build the geocells again"
            )
        edges = np.searchsorted(number, np.arange(number[-1] + 2))
        return cls(tuple(_read_partition(table.slice(a, b - a)) for a, b in pairwise(edges)))

    def fingerprint(self) -> str:
        """32 hexadecimal digits over every cell, count, coordinate and parent; equal hierarchies have equal ones."""
        digest = hashlib.blake2b(digest_size=16)
        for partition in self.partitions:
            digest.update(len(partition).to_bytes(8, "little"))
            for name, kind in zip(_COLUMNS, ("<u8", "<i4", "<i8", "<f8", "<f8", "<i4"), strict=True):
                digest.update(np.ascontiguousarray(getattr(partition, name), dtype=kind).tobytes())
        return digest.hexdigest()


_COLUMNS = tuple(field.name for field in fields(Partition))


def _partition_table(number: int, partition: Partition) -> pa.Table:
    count = len(partition)
    return pa.table(
        {
            "partition": pa.array(np.full(count, number, np.int32)),
            "cell": pa.array(np.arange(count, dtype=np.int32)),
            "token": pa.array(tokens(partition.cell_ids), pa.string()),
            "level": pa.array(partition.levels, pa.int32()),
            "count": pa.array(partition.counts, pa.int64()),
            "lat_deg": pa.array(partition.lat_deg, pa.float64()),
            "lon_deg": pa.array(partition.lon_deg, pa.float64()),
            "parent_cell": pa.array(partition.parent, pa.int32(), mask=partition.parent < 0),
        }
    )


def _read_partition(table: pa.Table) -> Partition:
    rows = table.column("cell").to_numpy()
    if not np.array_equal(rows, np.arange(len(rows))):
        raise HierarchyError(
            f"found rows of partition {table.column('partition')[0]} that do not count from 0 to {len(rows) - 1}; "
            "expected every cell once; build the geocells again"
        )
    return Partition(
        cell_ids=ids_from_tokens(table.column("token").to_pylist()),
        levels=table.column("level").to_numpy().astype(np.int32),
        counts=table.column("count").to_numpy().astype(np.int64),
        lat_deg=table.column("lat_deg").to_numpy().astype(np.float64),
        lon_deg=table.column("lon_deg").to_numpy().astype(np.float64),
        parent=table.column("parent_cell").fill_null(UNCOVERED).to_numpy().astype(np.int32),
    )


def _problems(partitions: tuple[Partition, ...]) -> list[str]:
    """What keeps the partitions from being a hierarchy; empty when nothing does."""
    if not partitions:
        return ["no partition"]
    problems = []
    for number, partition in enumerate(partitions):
        if len({len(getattr(partition, name)) for name in _COLUMNS}) != 1 or len(partition) == 0:
            problems.append(f"partition {number} has no cells, or columns of different lengths")
            continue
        first, last = range_limits(partition.cell_ids)
        if (first[1:] <= last[:-1]).any():
            problems.append(f"partition {number} has cells out of order or overlapping")
        elif (
            not np.array_equal(cell_levels(partition.cell_ids), partition.levels) or partition.levels.max() > MAX_LEVEL
        ):
            problems.append(f"partition {number} has levels that do not fit its cells")
        elif number == 0 and (partition.parent != UNCOVERED).any():
            problems.append("the coarsest partition has parents")
        elif number and not np.array_equal(
            locate(partitions[number - 1].cell_ids, partition.cell_ids), partition.parent
        ):
            problems.append(f"partition {number} has cells that do not lie in their parent")
        elif number and (partition.parent == UNCOVERED).any():
            problems.append(f"partition {number} has cells without a parent")
    return problems
