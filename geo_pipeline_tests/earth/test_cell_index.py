"""One search for all partitions finds what a search per partition finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.cell_index import CellIndex, locate
from geo_pipeline.earth.cell_numbers import range_limits
from geo_pipeline.earth.cells import cell_ids
from geo_pipeline.earth.coordinates import unit_vectors


def _disjoint(lat, lon, levels):
    """Sorted cells of mixed levels without overlap: of two that overlap the first stays."""
    kept = []
    for level, a, b in zip(levels, lat, lon, strict=True):
        cell = cell_ids([a], [b], int(level))
        first, last = range_limits(cell)
        if all(not (first[0] <= other_last and other_first <= last[0]) for other_first, other_last, _ in kept):
            kept.append((first[0], last[0], cell[0]))
    return np.sort(np.array([cell for _, _, cell in kept], np.uint64))


def _points(seed, count):
    rng = np.random.default_rng(seed)
    return np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)


@given(seed=st.integers(0, 10_000), cells=st.integers(1, 40), deepest=st.sampled_from([1, 6, 30]))
@settings(max_examples=40, deadline=None)
def test_rows_equal_those_of_a_search_per_partition(seed, cells, deepest):
    rng = np.random.default_rng(seed)
    partitions = [_disjoint(*_points(seed + k, cells), rng.integers(0, deepest + 1, cells)) for k in range(3)]
    index = CellIndex(partitions)
    lat, lon = _points(seed + 9, 200)
    borders = np.concatenate([limit for part in partitions for limit in range_limits(part)])
    beside = np.concatenate([borders - np.uint64(2), borders + np.uint64(2)])
    leaves = np.concatenate([cell_ids(lat, lon), borders, beside[(beside >> np.uint64(61)) < 6]])
    expected = np.stack([locate(part, leaves) for part in partitions], axis=1)
    np.testing.assert_array_equal(index.rows(index.intervals(leaves)), expected)
    assert (expected >= 0).any()


def test_the_first_and_the_last_leaf_of_the_earth_are_found():
    whole = np.array([(2 * face + 1) << 60 for face in range(6)], np.uint64)
    index = CellIndex([whole, whole[[0, 5]]])
    ends = np.array([1, (6 << 61) - 1], np.uint64)
    assert index.rows(index.intervals(ends)).tolist() == [[0, 0], [5, 1]]


def test_many_rows_are_shared_among_threads_without_a_trace(one_core):
    lat, lon = _points(0, 200_000)
    leaves = cell_ids(lat, lon)
    index = CellIndex([np.unique(cell_ids(lat, lon, 5)), np.unique(cell_ids(lat[:50], lon[:50], 8))])
    intervals = index.intervals(leaves)
    alone = index.direction_sums(lat, lon, intervals, threads=1)
    shared = index.direction_sums(lat, lon, intervals, threads=5)
    for first, second in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(first, second)
    one_core()
    np.testing.assert_array_equal(cell_ids(lat, lon), leaves)
    np.testing.assert_array_equal(index.intervals(leaves), intervals)


def test_sums_of_directions_are_those_of_the_vectors_and_exact():
    lat, lon = _points(1, 5_000)
    cells = np.unique(cell_ids(lat, lon, 1))
    index = CellIndex([cells])
    intervals = index.intervals(cell_ids(lat, lon))
    rows = index.rows(intervals)[:, 0]
    found = index.direction_sums(lat, lon, intervals)[0]
    expected = np.stack([unit_vectors(lat[rows == row], lon[rows == row]).sum(axis=0) for row in range(len(cells))])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    order = np.random.default_rng(3).permutation(len(lat))
    np.testing.assert_array_equal(index.direction_sums(lat[order], lon[order], intervals[order])[0], found)


def test_the_poles_and_opposite_points_sum_without_overflow():
    lat, lon = np.array([90.0] * 70_000 + [-90.0]), np.zeros(70_001)
    index = CellIndex([np.array([(2 * face + 1) << 60 for face in range(6)], np.uint64)])
    sums = index.direction_sums(lat, lon, index.intervals(cell_ids(lat, lon)))[0]
    assert sums[2, 2] == pytest.approx(70_000)
    assert sums[-1, 2] == pytest.approx(-1)
