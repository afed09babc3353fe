import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.coordinates import PROBLEMS, coordinate_problems, mean_direction, problem_codes
from geo_pipeline.earth.distance import great_circle_km

LATS, LONS = st.floats(-90, 90), st.floats(-180, 180)


def test_each_problem_has_its_reason_and_the_first_one_is_told():
    lat = [math.nan, 1.0, math.inf, 90.0, -90.0001, 0.0, 0.0, -0.0, 10.0, None]
    lon = [0.0, math.nan, 500.0, 180.0, 0.0, 180.5, 0.0, 0.0, -181.0, 5.0]
    assert coordinate_problems(lat, lon) == [
        "nan_coordinate",
        "nan_coordinate",
        "nan_coordinate",
        None,
        "lat_out_of_range",
        "lon_out_of_range",
        "null_island",
        "null_island",
        "lon_out_of_range",
        "nan_coordinate",
    ]
    assert coordinate_problems([], []) == []
    codes = problem_codes([math.nan, -0.0, 7.0], [0.0, 0.0, 7.0])
    assert [PROBLEMS[code - 1] if code else None for code in codes] == ["nan_coordinate", "null_island", None]


def test_a_point_on_the_equator_or_the_meridian_is_no_null_island():
    assert coordinate_problems([0.0, 5.0], [5.0, 0.0]) == [None, None]


def test_mean_across_the_date_line_and_at_the_pole():
    lat, lon = mean_direction([10.0, 10.0], [179.0, -179.0])
    assert abs(lon) == pytest.approx(180.0)
    assert lat == pytest.approx(10.0, abs=0.01)
    lat, _ = mean_direction([80.0, 80.0, 80.0], [0.0, 120.0, -120.0])
    assert lat == pytest.approx(90.0)


@settings(deadline=None, max_examples=50)
@given(lat=LATS, lon=LONS, count=st.integers(1, 5))
def test_the_mean_of_one_place_is_that_place(lat, lon, count):
    mean = mean_direction([lat] * count, [lon] * count)
    assert great_circle_km(lat, lon, *mean) < 1e-3


@settings(deadline=None, max_examples=50)
@given(lat=LATS, lon=LONS)
def test_antipodes_have_no_mean(lat, lon):
    opposite = lon - 180 if lon > 0 else lon + 180
    mean = mean_direction([lat, -lat], [lon, opposite])
    assert all(math.isnan(value) for value in mean)


@settings(deadline=None, max_examples=50)
@given(points=st.lists(st.tuples(st.floats(-60, 60), LONS), min_size=1, max_size=6), turn=st.floats(-180, 180))
def test_the_mean_turns_with_the_earth(points, turn):
    lat, lon = [p[0] for p in points], [p[1] for p in points]
    first = mean_direction(lat, lon)
    second = mean_direction(lat, [value + turn for value in lon])
    if abs(first[0]) < 89 and not math.isnan(first[0]) and not math.isnan(second[0]):
        length = abs(sum(complex(math.cos(math.radians(v)), math.sin(math.radians(v))) for v in lon))
        if length > 1e-3:
            assert great_circle_km(first[0], first[1] + turn, *second) < 1.0


def test_no_points_have_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        mean_direction([], [])
