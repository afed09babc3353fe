import math

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.coordinates import HALF_CIRCUMFERENCE_KM
from geo_pipeline.earth.distance import (
    EARTH_RADIUS_KM,
    CoordinatesError,
    distance_km,
    errors_km,
    great_circle_km,
    wgs84_km,
)

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


def _geographiclib_km(lat1, lon1, lat2, lon2):
    return [Geodesic.WGS84.Inverse(*pair)["s12"] / 1000 for pair in zip(lat1, lon1, lat2, lon2, strict=True)]


def test_antipodes_and_near_antipodes_agree_with_geographiclib_to_a_metre():
    """Where the geodesic is hard: iterations that do not converge go wrong by hundreds of kilometres here."""
    rng = np.random.default_rng(8)
    lat = np.concatenate([rng.uniform(-90, 90, 400), [0.0, 0.0, 1e-12, 90.0, -90.0, 89.999999, 45.0]])
    lon = np.concatenate([rng.uniform(-180, 180, 400), [0.0, 179.5, 10.0, 33.0, -33.0, 0.0, 180.0]])
    opposite = np.where(lon > 0, lon - 180, lon + 180)
    for spread in (0.0, 1e-9, 1e-3, 0.3, 1.0):
        lat2 = np.clip(-lat + spread * rng.normal(size=len(lat)), -90, 90)
        lon2 = opposite + spread * rng.normal(size=len(lat))
        found = wgs84_km(lat, lon, lat2, lon2)
        np.testing.assert_allclose(found, _geographiclib_km(lat, lon, lat2, lon2), atol=1e-3, rtol=0)
        assert (found > 19_200).all()


def test_poles_and_the_date_line_agree_with_geographiclib_to_a_metre():
    lat1, lon1 = np.array([90.0, 90.0, -90.0, 90.0, 10.0, 0.0, 0.0]), np.array([0.0, 77.0, 5.0, 0.0, 180.0, 179.9, 0.0])
    lat2, lon2 = (
        np.array([-90.0, 90.0, 0.0, 60.0, 10.0, 0.0, 0.0]),
        np.array([0.0, -9.0, 9.0, 9.0, -180.0, -179.9, 1e-7]),
    )
    found = wgs84_km(lat1, lon1, lat2, lon2)
    np.testing.assert_allclose(found, _geographiclib_km(lat1, lon1, lat2, lon2), atol=1e-3, rtol=0)
    assert found[1] == pytest.approx(0, abs=1e-6)
    assert found[4] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["great_circle", "wgs84"])
def test_a_batch_gives_what_each_pair_gives(kind):
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(-90, 90, (2, 3, 50)), rng.uniform(-180, 180, (2, 3, 50))
    batch = distance_km(lat[0], lon[0], lat[1], lon[1], kind)
    each = [
        [float(distance_km(*pair, kind)) for pair in zip(*rows, strict=True)]
        for rows in zip(lat[0], lon[0], lat[1], lon[1], strict=True)
    ]
    np.testing.assert_allclose(batch, each, rtol=0, atol=1e-9)
    assert distance_km([], [], [], [], kind).shape == (0,)


def test_the_great_circle_is_exact_for_neighbours_and_antipodes():
    """The law of cosines loses half the digits at both ends; a metre must stay a metre."""
    step_deg = np.degrees(0.001 / EARTH_RADIUS_KM)
    assert great_circle_km(40.0, 7.0, 40.0 + step_deg, 7.0) == pytest.approx(0.001, rel=1e-6)
    lat, lon = np.random.default_rng(1).uniform(-90, 90, 500), np.random.default_rng(2).uniform(0, 180, 500)
    np.testing.assert_allclose(great_circle_km(lat, lon, -lat, lon - 180), math.pi * EARTH_RADIUS_KM, atol=1e-3)


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


def test_missing_and_impossible_predictions_are_failures():
    lat = [10.0, None, math.nan, 91.0, 10.0, math.inf, 0.0]
    lon = [20.0, 20.0, 20.0, 20.0, 181.0, 20.0, None]
    found = errors_km(lat, lon, [10.0] * 7, [20.0] * 7)
    assert found[0] == 0
    assert np.isinf(found[1:]).all()


def test_a_guess_of_null_island_is_scored_like_any_other():
    assert errors_km([0.0], [0.0], [0.0], [90.0])[0] == pytest.approx(10007.5, abs=0.1)


@pytest.mark.parametrize(("lat", "lon"), [(math.nan, 0.0), (100.0, 0.0), (0.0, 200.0)])
def test_an_unusable_truth_is_refused(lat, lon):
    with pytest.raises(CoordinatesError, match="correct the truth"):
        errors_km([0.0], [0.0], [lat], [lon])
    with pytest.raises(CoordinatesError, match="one prediction per query"):
        errors_km([0.0], [0.0], [1.0, 2.0], [1.0, 2.0])
