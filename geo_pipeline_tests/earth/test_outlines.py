"""Cells as GeoJSON: valid by RFC 7946, also at the date line and the poles, and a tiling of the map."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.cell_numbers import cell_levels
from geo_pipeline.earth.cells import cell_centres, cell_ids, cell_vertices
from geo_pipeline.earth.outlines import cell_feature, cell_geometry

LATS, LONS = st.floats(-90, 90), st.floats(-180, 180)
FACES = [int(each) for each in cell_ids([0, 0, 90, 0, 0, -90], [0, 90, 0, 180, -90, 0], 0)]


def _rings(geometry):
    """The outer rings (V, 2), longitude first; the cells have no holes."""
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    assert all(len(polygon) == 1 for polygon in polygons)
    return [np.array(polygon[0]) for polygon in polygons]


def _area(ring):
    """Signed, in square degrees of the map: positive where the ring runs counter-clockwise."""
    lon, lat = (ring - ring[0]).T  # a cell of a centimetre would drown in the rounding of large products
    return float(np.sum(lon[:-1] * lat[1:] - lon[1:] * lat[:-1]) / 2)


def _children(cell):
    lowest = (cell & -cell) >> 2
    return [cell - 3 * lowest + 2 * at * lowest for at in range(4)]


@settings(max_examples=150, deadline=None)
@given(LATS, LONS, st.integers(0, 30))
@example(90.0, 0.0, 1)
@example(-90.0, 0.0, 1)
@example(89.999999, 12.0, 20)
@example(-90.0, 180.0, 30)
@example(0.0, 180.0, 0)
@example(0.0, -180.0, 30)
@example(35.2643896827546, 45.0, 30)
def test_every_ring_is_closed_counter_clockwise_and_within_the_map(lat, lon, level):
    for ring in _rings(cell_geometry(int(cell_ids([lat], [lon], level)[0]))):
        assert len(ring) >= 4
        assert (ring[0] == ring[-1]).all()
        assert (np.abs(ring) <= (180, 90)).all()
        assert _area(ring) > 0
        assert (np.abs(np.diff(ring, axis=0)).max(axis=1) > 0).all(), "no position stands twice in a row"
        jumps = np.abs(np.diff(ring[:, 0])) > 180
        assert (np.abs(ring[:-1][jumps, 1]) == 90).all(), "no side crosses the map, but along a pole"


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_the_cells_of_a_level_tile_the_map(level):
    cells = FACES
    for _ in range(level):
        cells = [child for cell in cells for child in _children(cell)]
    assert (cell_levels(np.array(cells, np.uint64)) == level).all()
    total = sum(_area(ring) for cell in cells for ring in _rings(cell_geometry(cell)))
    assert total == pytest.approx(360 * 180, rel=1e-9)


def test_the_face_on_the_date_line_is_cut_there_and_the_polar_faces_are_closed_along_the_pole():
    cut = [face for face in FACES if cell_geometry(face)["type"] == "MultiPolygon"]
    assert cut == [FACES[3]]
    west, east = sorted(_rings(cell_geometry(FACES[3])), key=lambda ring: ring[:, 0].min())
    assert (west[:, 0].min(), west[:, 0].max()) == (-180, -135)
    assert (east[:, 0].min(), east[:, 0].max()) == (135, 180)
    for face, pole in ((FACES[2], 90), (FACES[5], -90)):
        (ring,) = _rings(cell_geometry(face))
        assert {tuple(each) for each in ring.tolist()} >= {(-180.0, pole), (180.0, pole)}


@settings(max_examples=100, deadline=None)
@given(LATS, LONS, st.integers(1, 30))
def test_the_corners_of_the_cell_stand_in_its_ring_and_its_centre_within(lat, lon, level):
    cell = cell_ids([lat], [lon], level)
    (ring,) = _rings(cell_geometry(int(cell[0])))
    corner_lat, corner_lon = (corners[0] for corners in cell_vertices(cell))
    for one_lat, one_lon in zip(corner_lat, corner_lon, strict=True):
        beside = np.abs((ring[:, 0] - one_lon + 180) % 360 - 180) if abs(one_lat) < 90 else np.zeros(len(ring))
        assert (np.hypot(beside, ring[:, 1] - one_lat) < 1e-8).any()
    centre_lat, centre_lon = (value[0] for value in cell_centres(cell))
    assert ring[:, 1].min() <= centre_lat <= ring[:, 1].max()
    assert ring[:, 0].min() <= centre_lon <= ring[:, 0].max()


def test_a_feature_carries_its_properties():
    feature = cell_feature(FACES[0], {"token": "1", "count": 7})
    assert feature["type"] == "Feature"
    assert feature["properties"] == {"token": "1", "count": 7}
    assert feature["geometry"]["type"] == "Polygon"
