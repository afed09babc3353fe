from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.cell_index import locate
from geo_pipeline.earth.cell_numbers import tokens
from geo_pipeline.earth.cells import cell_ids
from geo_pipeline.earth.hierarchy import Hierarchy, HierarchyError
from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy

COVERAGE = ["partition", "tau_min", "tau_max", "cells", "covered", "total", "dropped_cells", "unsplittable_cells"]
GEOCELLS = ["partition", "cell", "token", "level", "count", "lat_deg", "lon_deg", "parent_cell"]


def _points(count=800, seed=3):
    generator = np.random.default_rng(seed)
    lat = np.clip(generator.choice([0.0, 45.0, 89.0, -60.0], count) + generator.normal(0, 2, count), -90, 90)
    lon = (generator.choice([0.0, 44.0, 179.5, -90.0], count) + generator.normal(0, 2, count) + 180) % 360 - 180
    return lat, lon


@pytest.fixture(scope="module")
def hierarchy():
    return build_hierarchy(*_points(), PartitionConfig(8, (200, 80, 30)))


def test_every_cell_lies_in_its_parent(hierarchy):
    for coarse, fine in zip(hierarchy.partitions, hierarchy.partitions[1:], strict=False):
        for token, row in zip(tokens(fine.cell_ids), fine.parent.tolist(), strict=True):
            parent = s2sphere.CellId(int(coarse.cell_ids[row]))
            assert parent.contains(s2sphere.CellId.from_token(token))
    assert (hierarchy.partitions[0].parent == -1).all()


def test_ancestors_of_the_assigned_cell_are_the_assigned_cells(hierarchy):
    rows = hierarchy.assign(*_points(seed=4))
    covered = rows[rows[:, -1] >= 0]
    assert len(covered) > 100
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(hierarchy.ancestors()[covered[:, -1]], covered)


@given(lat=st.floats(-90, 90), lon=st.floats(-180, 180))
@settings(max_examples=100, deadline=None)
def test_assignment_finds_the_one_cell_that_contains_the_point(hierarchy, lat, lon):
    leaf = s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(lat, lon))
    for part, row in zip(hierarchy.partitions, hierarchy.assign([lat], [lon])[0].tolist(), strict=True):
        inside = [n for n, cell in enumerate(part.cell_ids.tolist()) if s2sphere.CellId(cell).contains(leaf)]
        assert inside == ([row] if row >= 0 else [])


def test_a_coarser_cell_is_not_located_inside_a_finer_one():
    fine = cell_ids([10.0], [20.0], 5)
    assert locate(fine, cell_ids([10.0], [20.0], 4)).tolist() == [-1]
    assert locate(fine, cell_ids([10.0], [20.0], 5)).tolist() == [0]
    assert locate(np.zeros(0, np.uint64), fine).tolist() == [-1]


def test_the_table_goes_and_comes_back_in_any_row_order(hierarchy):
    table = hierarchy.to_table()
    assert table.column_names == GEOCELLS
    assert table.schema.field("parent_cell").type == pa.int32()
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    again = Hierarchy.from_table(shuffled)
    assert again.fingerprint() == hierarchy.fingerprint()
    assert again.to_table().equals(table)


def test_coverage_counts_every_point_and_its_table_has_the_columns_of_its_contract(hierarchy):
    lat, lon = _points(seed=9)
    table = hierarchy.coverage(lat, lon)
    assert table.column_names == COVERAGE
    assert table.column("total").to_pylist() == [800] * 3
    assert table.column("covered").to_pylist() == (hierarchy.assign(lat, lon) >= 0).sum(axis=0).tolist()
    assert table.column("tau_max").to_pylist() == [200, 80, 30]
    with pytest.raises(HierarchyError, match="build it again"):
        Hierarchy.from_table(hierarchy.to_table()).coverage(lat, lon)


def test_the_coarsest_partitions_alone_are_a_hierarchy(hierarchy):
    shallow = replace(hierarchy, partitions=hierarchy.partitions[:2])
    assert shallow.coverage(*_points()).num_rows == 2
    assert shallow.ancestors().shape == (len(hierarchy.partitions[1]), 2)
    assert shallow.fingerprint() != hierarchy.fingerprint()


@pytest.mark.parametrize("numbers", [(0, 2), (1, 2), (2,), (0, 1)])
def test_some_partitions_are_a_hierarchy_of_the_same_cells(hierarchy, numbers):
    some, columns = hierarchy.only(numbers), list(numbers)
    assert (some.assign(*_points(seed=9)) == hierarchy.assign(*_points(seed=9))[:, columns]).all()
    if 2 in numbers:
        assert (some.ancestors() == hierarchy.ancestors()[:, columns]).all()
    coverage = hierarchy.coverage(*_points()).take(columns)
    assert some.coverage(*_points()).drop_columns("partition") == coverage.drop_columns("partition")
    assert Hierarchy.from_table(some.to_table()).fingerprint() == some.fingerprint()


@pytest.mark.parametrize("column", ["cell_ids", "levels", "counts", "lat_deg", "lon_deg", "parent"])
def test_the_fingerprint_sees_every_column(hierarchy, column):
    last = hierarchy.partitions[-1]
    values = getattr(last, column).copy()
    if column in ("cell_ids", "levels", "parent"):
        values[-1] = values[0]  # such a change also breaks the hierarchy
        with pytest.raises(HierarchyError):
            replace(hierarchy, partitions=(*hierarchy.partitions[:-1], replace(last, **{column: values})))
        return
    values[0] += 1
    changed = replace(hierarchy, partitions=(*hierarchy.partitions[:-1], replace(last, **{column: values})))
    assert changed.fingerprint() != hierarchy.fingerprint()


def test_a_broken_table_is_refused(hierarchy):
    table = hierarchy.to_table()
    with pytest.raises(HierarchyError, match="0, 1, 2 and so on"):
        Hierarchy.from_table(table.filter(pc.not_equal(table["partition"], 1)))
    with pytest.raises(HierarchyError, match="count from 0"):
        Hierarchy.from_table(table.slice(1))
    with pytest.raises(HierarchyError, match="0, 1, 2 and so on"):
        Hierarchy.from_table(table.slice(0, 0))
    with pytest.raises(HierarchyError, match="no partition"):
        Hierarchy(())
