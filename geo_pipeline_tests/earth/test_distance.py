import math

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.coordinates import HALF_CIRCUMFERENCE_KM
from geo_pipeline.earth.distance import EARTH_RADIUS_KM, distance_km, great_circle_km, wgs84_km

LATS = st.floats(-90, 90) | st.sampled_from([90.0, -90.0, 0.0, 1e-9])
LONS = st.floats(-180, 180) | st.sampled_from([180.0, -180.0, 0.0, 179.9999999])


def test_a_quarter_and_half_of_the_earth():
    assert great_circle_km(0, 0, 0, 90) == pytest.approx(math.pi / 2 * EARTH_RADIUS_KM)
    assert great_circle_km(90, 17, -90, 3) == pytest.approx(math.pi * EARTH_RADIUS_KM)
    assert great_circle_km(0, 179.5, 0, -179.5) == pytest.approx(math.pi / 180 * EARTH_RADIUS_KM)
    assert wgs84_km(0, 0, 0, 180) == pytest.approx(20003.931458625)


def test_paris_to_new_york():
    assert great_circle_km(48.8566, 2.3522, 40.7128, -74.0060) == pytest.approx(5837.2, abs=0.1)


@given(lat1=LATS, lon1=LONS, lat2=LATS, lon2=LONS)
@settings(max_examples=50, deadline=None)
def test_a_distance_is_symmetric_bounded_and_zero_to_itself(lat1, lon1, lat2, lon2):
    forth, back = great_circle_km(lat1, lon1, lat2, lon2), great_circle_km(lat2, lon2, lat1, lon1)
    assert forth == pytest.approx(back, abs=1e-6)
    assert 0 <= forth <= math.pi * EARTH_RADIUS_KM <= HALF_CIRCUMFERENCE_KM + 1
    assert great_circle_km(lat1, lon1, lat1, lon1) == 0


@given(lat1=LATS, lon1=LONS, lat2=LATS, lon2=LONS)
@settings(max_examples=50, deadline=None)
def test_the_sphere_agrees_with_the_law_of_cosines_in_vectors(lat1, lon1, lat2, lon2):
    def vector(lat, lon):
        lat, lon = math.radians(lat), math.radians(lon)
        return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])

    a, b = vector(lat1, lon1), vector(lat2, lon2)
    angle = math.atan2(np.linalg.norm(np.cross(a, b)), float(a @ b))
    assert great_circle_km(lat1, lon1, lat2, lon2) == pytest.approx(angle * EARTH_RADIUS_KM, abs=1e-3)


@given(lat1=LATS, lon1=LONS, lat2=LATS, lon2=LONS)
@settings(max_examples=50, deadline=None)
def test_the_ellipsoid_agrees_with_geographiclib(lat1, lon1, lat2, lon2):
    expected = Geodesic.WGS84.Inverse(lat1, lon1, lat2, lon2)["s12"] / 1000
    assert wgs84_km(lat1, lon1, lat2, lon2) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["great_circle", "wgs84"])
def test_inputs_broadcast_and_nan_stays_nan(kind):
    found = distance_km([[0.0], [10.0]], 0.0, [0.0, 10.0, math.nan], 0.0, kind)
    assert found.shape == (2, 3)
    assert np.isnan(found[:, 2]).all()
    assert found[0, 0] == found[1, 1] == 0
    assert found[0, 1] == pytest.approx(found[1, 0])


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="found distance 'flat'; expected great_circle or wgs84"):
        distance_km(0, 0, 0, 0, "flat")
