"""Finds the cells of several partitions that hold a coordinate, with one search for all partitions.

The borders of all cells cut the line of leaf ids into intervals; inside one interval every coordinate has the same cell
in each partition. What the partitions are belongs to `hierarchy`, how they are chosen to `partition`.
"""

from collections.abc import Sequence

import numpy as np

from geo_pipeline.earth.cell_numbers import range_limits
from geo_pipeline.earth.parallel import in_threads

UNCOVERED = -1
_MOST_BUCKET_BITS = 18
_ONE = np.uint64(1)


def locate(sorted_cells: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Rows int32 (N,) of the disjoint, sorted cells (C,) that equal or contain the cells `ids` (N,); -1 for none."""
    if len(sorted_cells) == 0:
        return np.full(len(ids), UNCOVERED, np.int32)
    first, last = range_limits(sorted_cells)
    first_inside, last_inside = range_limits(ids)
    row = np.minimum(np.searchsorted(last, last_inside), len(sorted_cells) - 1)
    inside = (first[row] <= first_inside) & (last_inside <= last[row])
    return np.where(inside, row, UNCOVERED).astype(np.int32)


class CellIndex:
    """An index over partitions: one sorted array of disjoint cell ids (uint64) each, nested or not.

    `rows_IP`, int32: the cell of each partition that holds interval I, -1 where none does.
    """

    def __init__(self, partitions: Sequence[np.ndarray]) -> None:
        limits = [range_limits(cells) for cells in partitions]
        self.edges = np.unique(np.concatenate([limit for first, last in limits for limit in (first, last + _ONE)]))
        # Interval 0 lies before the first edge; interval i holds edge i - 1, which stands for all of it.
        inside = np.concatenate([np.zeros(1, np.uint64), self.edges])
        self.rows_IP = np.empty((len(inside), len(partitions)), np.int32)
        for number, (first, last) in enumerate(limits):
            row = np.searchsorted(first, inside, side="right") - 1
            self.rows_IP[:, number] = np.where((row >= 0) & (inside <= last[row]), row, UNCOVERED)
        bits = min(_MOST_BUCKET_BITS, len(self.edges).bit_length() + 2)
        self._shift = np.uint64(64 - bits)
        starts = np.arange(1 << bits, dtype=np.uint64) << self._shift
        self._first_of_bucket = np.append(np.searchsorted(self.edges, starts), len(self.edges)).astype(np.int32)

    def intervals(self, leaves_N: np.ndarray) -> np.ndarray:
        """The interval (N,) int32 of each leaf id (N,) uint64."""
        from geo_pipeline.earth.index_kernels import find_intervals

        found = np.empty(len(leaves_N), np.int32)
        in_threads(
            len(leaves_N),
            lambda start, stop: find_intervals(
                leaves_N, self.edges, self._first_of_bucket, self._shift, found, start, stop
            ),
        )
        return found

    def rows(self, intervals_N: np.ndarray) -> np.ndarray:
        """The cell (N, P) int32 of each interval (N,) in each partition; -1 where none is."""
        from geo_pipeline.earth.index_kernels import copy_rows

        rows_NP = np.empty((len(intervals_N), self.rows_IP.shape[1]), np.int32)
        in_threads(len(intervals_N), lambda start, stop: copy_rows(intervals_N, self.rows_IP, rows_NP, start, stop))
        return rows_NP

    def direction_sums(
        self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray, intervals_N: np.ndarray, threads: int | None = None
    ) -> list[np.ndarray]:
        """Per partition, the sums (C, 3) of the unit vectors of the coordinates (N,) in each of its cells.

        Summed exactly, so neither the order of the coordinates nor the number of threads changes a bit.
        """
        from geo_pipeline.earth.index_kernels import FIXED_POINT, add_directions

        def add(start: int, stop: int) -> np.ndarray:
            sums_I6 = np.zeros((len(self.rows_IP), 6), np.int64)
            add_directions(lat_deg_N, lon_deg_N, intervals_N, sums_I6, start, stop)
            return sums_I6

        sums_I6 = np.sum(in_threads(len(intervals_N), add, threads), axis=0)
        return [_cell_sums(rows_I, sums_I6, FIXED_POINT) for rows_I in self.rows_IP.T]


def _cell_sums(rows_I: np.ndarray, sums_I6: np.ndarray, fixed_point: tuple[float, float]) -> np.ndarray:
    """The sums of the intervals as sums (C, 3) of the cells that they lie in; a cell's intervals are neighbours."""
    covered = rows_I != UNCOVERED
    rows, sums = rows_I[covered], sums_I6[covered]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    whole_C6 = np.add.reduceat(sums, starts, axis=0)
    high_worth, low_worth = fixed_point
    return (whole_C6[:, 0::2].astype(np.float64) * high_worth + whole_C6[:, 1::2].astype(np.float64)) * low_worth
