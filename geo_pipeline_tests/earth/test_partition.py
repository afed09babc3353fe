"""The partition against a slow, literal reading of section III-A written with s2sphere."""

import math
from collections import Counter

import numpy as np
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.cell_numbers import tokens
from geo_pipeline.earth.cells import cell_centres
from geo_pipeline.earth.coordinates import mean_direction
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.partition import PartitionConfig, PartitionError, build_and_assign, build_hierarchy


def _cities(count=1500, seed=0):
    """Clustered points, some on the date line and at the poles."""
    generator = np.random.default_rng(seed)
    centres = np.array(
        [[48, 2], [40, -74], [-17, 179.99], [-17, -179.99], [89.9, 30], [-89.9, 0], [0.01, 45], [35, 139]]
    )
    home = centres[generator.integers(0, len(centres), count)]
    lat = np.clip(home[:, 0] + generator.normal(0, 0.4, count), -90, 90)
    lon = (home[:, 1] + generator.normal(0, 0.4, count) + 180) % 360 - 180
    return lat, lon


def _literal(lat, lon, tau_min, tau_max, semantics, max_level):
    """(tokens -> count of kept cells, number dropped), one cell at a time."""
    leaves = [s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*p)) for p in zip(lat, lon, strict=True)]
    start = 2 if semantics == "isn" else 0
    groups = {}
    for leaf in leaves:
        groups.setdefault(leaf.parent(start).to_token(), []).append(leaf)
    kept, dropped = {}, 0
    while groups:
        token, members = groups.popitem()
        level = s2sphere.CellId.from_token(token).level()
        few = len(members) <= tau_min if semantics == "isn" else len(members) < tau_min
        if few:
            dropped += 1
        elif len(members) > tau_max and level < max_level:
            for leaf in members:
                groups.setdefault(leaf.parent(level + 1).to_token(), []).append(leaf)
        else:
            kept[token] = len(members)
    return kept, dropped


def test_the_defaults_are_the_papers():
    config = PartitionConfig()
    assert (config.tau_min, config.max_level, config.semantics) == (50, 30, "geosurge")
    assert config.tau_max == (25000, 10000, 5000, 2000, 1000, 750, 500)


@given(
    seed=st.integers(0, 1000),
    count=st.integers(20, 120),
    tau_min=st.integers(1, 8),
    extra=st.integers(0, 10),
    semantics=st.sampled_from(["geosurge", "isn"]),
    max_level=st.sampled_from([3, 8, 30]),
)
@settings(max_examples=40, deadline=None)
def test_cells_are_those_of_the_literal_reading(seed, count, tau_min, extra, semantics, max_level):
    lat, lon = _cities(count, seed)
    lat[: count // 4], lon[: count // 4] = lat[0], lon[0]  # many photographs with one coordinate
    expected, dropped = _literal(lat.tolist(), lon.tolist(), tau_min, tau_min + extra, semantics, max_level)
    config = PartitionConfig(tau_min, (tau_min + extra,), semantics, max_level)
    if not expected:
        with pytest.raises(PartitionError, match="lower tau_min"):
            build_hierarchy(lat, lon, config)
        return
    hierarchy = build_hierarchy(lat, lon, config)
    cells = hierarchy.partitions[0]
    assert dict(zip(tokens(cells.cell_ids), cells.counts.tolist(), strict=True)) == expected
    assert hierarchy.built[0].dropped_cells == dropped


def test_a_literal_cell_of_30_photographs_on_one_spot_is_kept_and_counted_as_unsplittable():
    lat, lon = np.full(30, 48.8584), np.full(30, 2.2945)
    hierarchy = build_hierarchy(lat, lon, PartitionConfig(5, (20, 10)))
    assert [part.levels.tolist() for part in hierarchy.partitions] == [[30], [30]]
    assert [built.unsplittable_cells for built in hierarchy.built] == [1, 1]
    assert hierarchy.coverage(lat, lon).column("unsplittable_cells").to_pylist() == [1, 1]


def test_tau_min_itself_is_kept_by_geosurge_and_dropped_by_isn():
    lat, lon = np.full(10, 10.0), np.full(10, 20.0)
    assert len(build_hierarchy(lat, lon, PartitionConfig(10, (10,))).partitions[0]) == 1
    with pytest.raises(PartitionError, match="11 or more of the 10 photographs"):
        build_hierarchy(lat, lon, PartitionConfig(10, (10,), "isn"))


def test_isn_starts_at_level_2_and_geosurge_at_the_faces():
    lat, lon = np.full(10, 10.0), np.full(10, 20.0)
    assert build_hierarchy(lat, lon, PartitionConfig(2, (50,), "isn")).partitions[0].levels.tolist() == [2]
    assert build_hierarchy(lat, lon, PartitionConfig(2, (50,))).partitions[0].levels.tolist() == [0]


def test_the_order_of_the_photographs_changes_nothing():
    lat, lon = _cities()
    config = PartitionConfig(10, (300, 100, 40))
    order = np.random.default_rng(5).permutation(len(lat))
    assert (
        build_hierarchy(lat, lon, config).fingerprint() == build_hierarchy(lat[order], lon[order], config).fingerprint()
    )


def test_a_cells_coordinate_is_the_mean_on_the_sphere_or_its_centre():
    lat, lon = _cities()
    config = PartitionConfig(10, (300, 60))
    hierarchy = build_hierarchy(lat, lon, config)
    rows = hierarchy.assign(lat, lon)[:, -1]
    finest = hierarchy.partitions[-1]
    assert finest.counts.tolist() == [Counter(rows.tolist())[row] for row in range(len(finest))]
    for row in range(len(finest)):
        expected = mean_direction(lat[rows == row], lon[rows == row])
        assert great_circle_km(finest.lat_deg[row], finest.lon_deg[row], *expected) < 1e-3
    centred = build_hierarchy(lat, lon, PartitionConfig(10, (300, 60), coordinate="centre")).partitions[-1]
    np.testing.assert_allclose(np.stack([centred.lat_deg, centred.lon_deg]), np.stack(cell_centres(centred.cell_ids)))


def test_a_mean_equals_the_direct_mean_to_a_billionth_of_a_degree():
    lat, lon = _cities(20_000, seed=3)
    lat[:5000], lon[:5000] = lat[0], lon[0]
    hierarchy, rows = build_and_assign(lat, lon, PartitionConfig(10, (6000, 400, 40)))
    for number, partition in enumerate(hierarchy.partitions):
        for row in range(len(partition)):
            members = rows[:, number] == row
            mean_lat, mean_lon = mean_direction(lat[members], lon[members])
            assert partition.lat_deg[row] == pytest.approx(mean_lat, abs=1.1e-9)  # rounded to nine decimals
            turned = (partition.lon_deg[row] - mean_lon + 180) % 360 - 180
            assert turned * math.cos(math.radians(mean_lat)) == pytest.approx(0, abs=1.1e-9)


def test_neither_order_nor_the_number_of_threads_changes_a_bit(one_core):
    lat, lon = _cities(150_000, seed=7)
    lat[:3000], lon[:3000] = lat[0], lon[0]
    config = PartitionConfig(10, (3000, 400, 100))
    first, rows = build_and_assign(lat, lon, config)
    order = np.random.default_rng(5).permutation(len(lat))
    for _ in range(2):
        again, again_rows = build_and_assign(lat[order], lon[order], config)
        assert again.fingerprint() == first.fingerprint()
        np.testing.assert_array_equal(again_rows, rows[order])
        one_core()


def test_building_assigns_as_the_finished_hierarchy_does():
    lat, lon = _cities(3000)
    config = PartitionConfig(10, (300, 60))
    hierarchy, rows = build_and_assign(lat, lon, config)
    assert hierarchy.fingerprint() == build_hierarchy(lat, lon, config).fingerprint()
    np.testing.assert_array_equal(rows, hierarchy.assign(lat, lon))
    assert hierarchy.coverage_of(rows).equals(hierarchy.coverage(lat, lon))


@given(seed=st.integers(0, 1000), semantics=st.sampled_from(["geosurge", "isn"]), max_level=st.sampled_from([4, 30]))
@settings(max_examples=20, deadline=None)
def test_each_of_many_partitions_is_the_one_that_would_be_built_alone(seed, semantics, max_level):
    lat, lon = _cities(400, seed)
    lat[:60], lon[:60] = lat[0], lon[0]
    limits = (200, 50, 50, 12, 5)
    together = build_hierarchy(lat, lon, PartitionConfig(5, limits, semantics, max_level))
    for number, tau_max in enumerate(limits):
        alone = build_hierarchy(lat, lon, PartitionConfig(5, (tau_max,), semantics, max_level))
        for column in ("cell_ids", "levels", "counts", "lat_deg", "lon_deg"):
            ours = getattr(together.partitions[number], column)
            np.testing.assert_array_equal(ours, getattr(alone.partitions[0], column))
        assert together.built[number] == alone.built[0]
        assert together.built[number].unsplittable_cells == sum(
            count > tau_max for count in together.partitions[number].counts.tolist()
        )


def test_a_cell_across_the_date_line_has_its_mean_there():
    lon = np.array([179.9, -179.9] * 10)
    partition = build_hierarchy(np.zeros(20) + 1.0, lon, PartitionConfig(5, (100,))).partitions[0]
    assert len(partition) == 1
    assert abs(partition.lon_deg[0]) == pytest.approx(180.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tau_min": 0}, "tau_min is 0"),
        ({"tau_max": ()}, "one value per partition"),
        ({"tau_max": (100, 200)}, "never rises"),
        ({"tau_max": (100, 20)}, "at least tau_min 50"),
        ({"semantics": "planet"}, "expected geosurge or isn"),
        ({"coordinate": "median"}, "expected mean or centre"),
        ({"max_level": 31}, "expected 0 to 30"),
        ({"semantics": "isn", "max_level": 1}, "expected 2 to 30"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(wrong, said):
    with pytest.raises(PartitionError, match=said):
        PartitionConfig(**wrong)


def test_unusable_coordinates_are_refused():
    with pytest.raises(ValueError, match="first: row 2"):
        build_hierarchy([1.0, 2.0, math.nan], [1.0, 2.0, 3.0], PartitionConfig(1, (5,)))


def test_no_photographs_make_no_partition():
    with pytest.raises(PartitionError, match="of the 0 photographs"):
        build_hierarchy([], [], PartitionConfig(1, (5,)))


@pytest.mark.shared_data
def test_a_hundred_thousand_real_coordinates(shared_dir):
    points = np.loadtxt(shared_dir / "data/coordinates/geoclip_gallery_100k.csv", delimiter=",", skiprows=1)
    config = PartitionConfig(5, (2500, 1000, 500, 200, 100, 75, 50))
    hierarchy = build_hierarchy(points[:, 0], points[:, 1], config)
    coverage = hierarchy.coverage(points[:, 0], points[:, 1])
    covered = coverage.column("covered").to_pylist()
    assert covered == [int(part.counts.sum()) for part in hierarchy.partitions]
    assert covered == sorted(covered, reverse=True)
    for part, tau_max in zip(hierarchy.partitions, config.tau_max, strict=True):
        assert ((part.counts >= 5) & ((part.counts <= tau_max) | (part.levels == 30))).all()
