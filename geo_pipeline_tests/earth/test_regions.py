"""Regions that users name, their covers, and which cells adjoin."""

import json
import math

import numpy as np
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.cell_index import locate
from geo_pipeline.earth.cell_numbers import parent_ids, tokens
from geo_pipeline.earth.cells import cell_ids, cell_vertices
from geo_pipeline.earth.coordinates import unit_vectors
from geo_pipeline.earth.outlines import cell_geometry
from geo_pipeline.earth.regions import RegionError, adjoining, region_of

# Without subnormal numbers, which some builds of libraries make zero.
LATS, LONS = st.floats(-90, 90, allow_subnormal=False), st.floats(-180, 180, allow_subnormal=False)


def _uniform(count, seed=0):
    generator = np.random.default_rng(seed)
    return np.degrees(np.arcsin(generator.uniform(-1, 1, count))), generator.uniform(-180, 180, count)


def _geojson(path, geometry):
    path.write_text(json.dumps(geometry))
    return region_of(str(path))


@settings(max_examples=40, deadline=None)
@given(LATS, LATS, LONS, LONS, st.integers(0, 9))
def test_a_rectangle_holds_what_lies_between_its_borders(lat_a, lat_b, west, east, seed):
    south, north = sorted((lat_a, lat_b))
    lat, lon = _uniform(200, seed)
    lat, lon = np.append(lat, [south, north, south]), np.append(lon, [west, east, east])
    between = (west <= lon) & (lon <= east) if west <= east else (west <= lon) | (lon <= east)
    expected = (south <= lat) & (lat <= north) & between
    region = region_of(f"{south},{west},{north},{east}")
    found = region.contains(lat, lon)
    rest = np.abs(lon) != 180.0  # one meridian with two numbers has a test of its own
    np.testing.assert_array_equal(found[rest], expected[rest])
    assert (locate(region.cover(), cell_ids(lat, lon)) >= 0)[found].all(), "the cover holds the region"


def test_a_region_across_the_date_line_has_two_sides_and_one_meridian():
    fiji = region_of("-20,170,-10,-170")
    lat, lon = [-15.0] * 6, [175.0, -175.0, 180.0, -180.0, 165.0, 0.0]
    assert fiji.contains(lat, lon).tolist() == [True] * 4 + [False] * 2
    assert region_of("-20,-180,-10,-170").contains([-15.0, -15.0], [180.0, -180.0]).tolist() == [True, True]


@pytest.mark.parametrize("written", ["-90,-180,90,180", "80,-180,90,180", "-90,-180,-80,180"])
def test_whole_circles_hold_their_poles_and_the_date_line(written):
    south, _, north, _ = (float(part) for part in written.split(","))
    lat = np.repeat(np.linspace(south, north, 5), 4)
    assert region_of(written).contains(lat, np.tile([0.0, 180.0, -180.0, 91.0], 5)).all()


@given(LATS, LONS, st.integers(0, 30))
def test_a_token_holds_the_coordinates_of_its_cell(lat, lon, level):
    cell = cell_ids([lat], [lon], level)
    assert region_of(tokens(cell)[0]).contains([lat], [lon]).tolist() == [True]
    other_lat, other_lon = _uniform(50)
    inside = cell_ids(other_lat, other_lon, level) == cell[0]
    np.testing.assert_array_equal(region_of(tokens(cell)[0]).contains(other_lat, other_lon), inside)


def test_a_polygon_has_holes_and_may_stand_in_a_collection(tmp_path):
    outer, hole = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]], [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
    square = {"type": "Polygon", "coordinates": [outer, hole]}
    point = {"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": [1, 1]}}
    feature = {"type": "Feature", "properties": {}, "geometry": square}
    many = {"type": "GeometryCollection", "geometries": [{"type": "MultiPolygon", "coordinates": [[outer, hole]]}]}
    lat, lon = [5.0, 1.0, 1.0, -1.0, 11.0], [5.0, 1.0, 9.0, 5.0, 5.0]
    for document in (square, feature, {"type": "FeatureCollection", "features": [point, feature]}, many):
        region = _geojson(tmp_path / "square.geojson", document)
        assert region.contains(lat, lon).tolist() == [False, True, True, False, False]
        assert region.name == "square.geojson"


@settings(max_examples=30, deadline=None)
@given(LATS, LONS, st.integers(0, 12))
def test_the_outline_of_a_cell_holds_what_the_cell_holds(tmp_path_factory, lat, lon, level):
    cell = int(cell_ids([lat], [lon], level)[0])
    region = _geojson(tmp_path_factory.getbasetemp() / "outline.json", cell_geometry(cell))
    generator = np.random.default_rng(level)
    span = 180 / 2**level
    near_lat = np.clip(lat + generator.uniform(-span, span, 400), -89.9, 89.9)  # a pole has every longitude
    near_lon = (lon + generator.uniform(-span, span, 400) * 1.5 + 180) % 360 - 180
    inside = cell_ids(near_lat, near_lon, level) == np.uint64(cell)
    wrong = region.contains(near_lat, near_lon) != inside
    assert wrong.mean() <= 0.03, "sides that are straight on the map differ from arcs by a hair"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1,2,3", "four numbers"),
        ("1,2,3,x", "four numbers"),
        ("1,2,3,nan", "four numbers"),
        ("4_0,1,50,2", "four numbers"),
        ("\N{ARABIC-INDIC DIGIT FOUR}0,1,50,2", "four numbers"),
        ("1,2,3,1e999", "four numbers"),
        ("10,0,-10,20", "southern one first"),
        ("0,0,91,20", "southern one first"),
        ("0,0,1,190", "across the date line"),
        ("nowhere", "no file and no token"),
        ("", "no file and no token"),
    ],
)
def test_words_that_name_no_region_are_refused(written, said):
    with pytest.raises(RegionError, match=said):
        region_of(written)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"type": "Point", "coordinates": [1, 2]}',
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}',
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}',
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 95], [0, 0]]]}',
        '{"type": "Polygon", "coordinates": [[["a", 0], [1, 0], [1, 1], [0, 0]]]}',
        '{"type": "Polygon", "coordinates": [[[NaN, 0], [1, 0], [1, 1], [NaN, 0]]]}',
        '{"type": "Polygon", "coordinates": [7]}',
        "[]",
        "null",
    ],
)
def test_a_file_without_a_polygon_is_refused_by_name(tmp_path, text):
    path = tmp_path / "shape.geojson"
    path.write_text(text)
    with pytest.raises(RegionError, match=r"shape\.geojson"):
        region_of(str(path))


def _touching(a, b):
    """Geometry alone: whether a corner of the finer cell lies on the border of the coarser one, to within a hair."""
    fine, coarse = (a, b) if a.level() >= b.level() else (b, a)
    corners = cell_vertices(np.array([coarse.id(), fine.id()], np.uint64))
    vectors = unit_vectors(*corners)
    hair = 1e-7 * 2.0 ** -fine.level()
    for point in vectors[1]:
        for k in range(4):
            start, end = vectors[0][k], vectors[0][(k + 1) % 4]
            normal = np.cross(start, end)
            normal /= np.linalg.norm(normal)
            along = np.dot(np.cross(normal, start), point), np.dot(np.cross(end, normal), point)
            if abs(np.dot(normal, point)) < hair and min(along) > -hair and np.dot(start + end, point) > 0:
                return True
    return False


@pytest.mark.parametrize("level", [0, 1, 2])
def test_adjoining_cells_are_those_that_touch_on_the_sphere(level):
    cells = list(s2sphere.CellId.walk_fast(level))
    for first in cells[:: max(1, len(cells) // 12)]:
        others = [cell for cell in cells if cell != first]
        expected = [_touching(first, other) for other in others]
        found = adjoining([first.id()] * len(others), [other.id() for other in others])
        assert found.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(LATS, LONS, st.integers(1, 12), st.integers(0, 4), st.integers(0, 400))
def test_cells_of_two_levels_adjoin_where_they_touch(lat, lon, level, coarser, seed):
    first = cell_ids([lat], [lon], level)
    generator = np.random.default_rng(seed)
    around = np.clip(lat + generator.normal(0, 120 / 2**level, 8), -90, 90)
    other = cell_ids(around, (lon + generator.normal(0, 120 / 2**level, 8) + 180) % 360 - 180, level)
    other = parent_ids(other, max(0, level - coarser))
    firsts = np.repeat(first, 8)
    inside = parent_ids(firsts, max(0, level - coarser)) == other
    ids = [(s2sphere.CellId(int(a)), s2sphere.CellId(int(b))) for a, b in zip(firsts, other, strict=True)]
    expected = np.array([_touching(a, b) for a, b in ids]) & ~inside
    np.testing.assert_array_equal(adjoining(firsts, other), expected)
    np.testing.assert_array_equal(adjoining(other, firsts), expected)


def test_cells_adjoin_across_a_corner_of_the_cube_and_at_the_pole():
    corner = math.degrees(math.asin(1 / math.sqrt(3)))
    lat_at_corner, lon_at_corner = [corner - 0.1, corner - 0.1, corner + 0.1], [44.9, 45.1, 45.0]
    for lat, lon, count in ((lat_at_corner, lon_at_corner, 3), ([89.9] * 4, [45, 135, -45, -135], 4)):
        around = np.unique(cell_ids(lat, lon, 7))
        assert len(around) == count
        pairs = [(a, b) for a in around for b in around]
        assert adjoining(*zip(*pairs, strict=True)).tolist() == [a != b for a, b in pairs]


@pytest.mark.parametrize("odd", ['"4_0"', '"40"', "true", "null", "NaN", "[1]"])
def test_a_corner_that_is_no_number_is_refused(tmp_path, odd):
    file = tmp_path / "odd.geojson"
    file.write_text(f'{{"type": "Polygon", "coordinates": [[[{odd}, 1], [2, 3], [4, 5], [{odd}, 1]]]}}')
    with pytest.raises(RegionError, match="found a ring"):
        region_of(str(file))
