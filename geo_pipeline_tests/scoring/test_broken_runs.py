"""Signs of broken runs: each is told where it was planted, and nothing is told of a sound run."""

import numpy as np
import pytest

from geo_pipeline.earth.open_sea import in_open_sea
from geo_pipeline.scoring.broken_runs import AnsweredQueries, findings

ON_LAND = np.array(
    [(48.2, 16.4), (39.9, 116.4), (-15.8, -47.9), (39.1, -94.6), (55.7, 37.6), (-1.3, 36.8), (23.3, 77.4), (-25.3, 131)]
)
"""Towns far from the sea."""
COUNT = 400


def truth(count=COUNT, seed=0):
    """Places around towns, no two the same."""
    rng = np.random.default_rng(seed)
    places = ON_LAND[rng.integers(len(ON_LAND), size=count)] + rng.normal(0, 0.8, (count, 2))
    return places[:, 0], places[:, 1]


def sound(count=COUNT):
    """Answers of which most are near, as float arrays beside the truth."""
    lat, lon = truth(count)
    rng = np.random.default_rng(1)
    off = rng.exponential(1.0, count) * rng.choice([-1, 1], count)
    return lat + off, lon + off, lat, lon


def told(lat, lon, true_lat, true_lon, failures=(), constant=False):
    return findings(AnsweredQueries(lat, lon, true_lat, true_lon, failures), constant)


def test_nothing_is_told_of_a_sound_run():
    assert told(*sound()) == ()


def test_rows_that_belong_to_other_images_are_at_chance_level():
    lat, lon, true_lat, true_lon = sound()
    (only,) = told(np.roll(lat, 1), np.roll(lon, 1), true_lat, true_lon)
    assert only.startswith("accuracy is at chance level: ")
    assert "ids and rows belong together" in only
    exchanged = told(lon.clip(-90, 90), lat, true_lat, true_lon)
    assert exchanged[0].startswith("accuracy is at chance level: ")


def test_a_weak_run_that_still_knows_something_is_not_at_chance_level():
    lat, lon, true_lat, true_lon = sound()
    some = np.arange(COUNT) % 8 == 0
    weak = np.where(some, lat, np.roll(lat, 3)), np.where(some, lon, np.roll(lon, 3))
    assert told(*weak, true_lat, true_lon) == ()


def test_a_coordinate_given_again_and_again_is_told_where_it_is_wrong():
    lat, lon, true_lat, true_lon = sound()
    lat[:20], lon[:20] = 34.0537, -118.243
    (only,) = told(lat, lon, true_lat, true_lon)
    assert only.startswith(
        "20 images have the same answer 34.0537, -118.243, which is within 200 km of the truth for 0"
    )
    right = true_lat.copy(), true_lon.copy()
    right[0][:20], right[1][:20] = 34.1, -118.2
    assert told(lat, lon, *right) == (), "a place that many people photograph"
    few = np.r_[lat[:9], sound()[0][9:]], np.r_[lon[:9], sound()[1][9:]]
    assert told(*few, true_lat, true_lon) == ()


def test_a_method_that_is_meant_to_give_one_answer_is_not_told_off_for_it():
    true_lat, true_lon = truth()
    lat, lon = np.full(COUNT, 48.2), np.full(COUNT, 16.4)
    assert told(lat, lon, true_lat, true_lon, constant=True) == ()
    assert told(lat, lon, true_lat, true_lon)[0].startswith("accuracy is at chance level: ")


def test_many_images_without_a_coordinate_are_told_with_the_reason_that_most_have():
    lat, lon, true_lat, true_lon = sound()
    lat[:40] = np.nan
    failures = ["empty_reply"] * 30 + ["no_coordinate"] * 10 + [None] * (COUNT - 40)
    (only,) = told(lat, lon, true_lat, true_lon, failures)
    assert only == "40 of 400 images (10.0 %) have no coordinate, 30 of them as empty_reply"
    lat[20:40] = sound()[0][20:40]
    assert told(lat, lon, true_lat, true_lon) == (), "one in twenty is no news"
    nothing = np.full(COUNT, np.nan)
    assert told(nothing, nothing, true_lat, true_lon) == ("400 of 400 images (100.0 %) have no coordinate",)


def test_answers_in_the_sea_are_told_where_the_truth_lies_on_land():
    lat, lon, true_lat, true_lon = sound()
    lat[::5], lon[::5] = np.linspace(-40, 10, 80), -140.0
    (only,) = told(lat, lon, true_lat, true_lon)
    assert only == "20 % of the answers lie in the open sea, where 0 % of the true places are"
    ships = true_lat.copy(), true_lon.copy()
    ships[0][1::5], ships[1][1::5] = np.linspace(-40, 10, 80), -120.0
    assert told(lat, lon, *ships) == ()


def test_the_truth_itself_is_no_prediction():
    true_lat, true_lon = truth()
    (only,) = told(true_lat, true_lon, true_lat, true_lon)
    assert only.startswith("400 of 400 answers are the true coordinate to the last digit")


@pytest.mark.parametrize("count", [0, 1, 29])
def test_of_few_answers_nothing_is_said_of_chance(count):
    lat, lon, true_lat, true_lon = sound(40)
    lat[count:] = np.nan
    assert all("have no coordinate" in finding for finding in told(np.roll(lat, 0), lon, true_lat, true_lon))


def test_the_open_sea_is_far_from_every_coast():
    places = [(0.0, 0.0, True), (0.0, -150.0, True), (48.2, 16.4, False), (40.69, -74.04, False), (0.0, 180.0, True)]
    lat, lon, sea = zip(*places, strict=True)
    assert in_open_sea(lat, lon).tolist() == list(sea)
    assert in_open_sea([90.0, -90.0], [0.0, 0.0]).tolist() == [True, False], "the poles: sea ice, and a continent"
