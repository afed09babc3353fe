import pytest

from geo_pipeline.pretraining.album import draw_album
from geo_pipeline.pretraining.captions import END, VOCABULARY, captions, landmark_phrases, region_phrases
from geo_pipeline.sample_world.planet import Landmark


@pytest.fixture(scope="module")
def album():
    return draw_album(1, 150, first_seed=3_000_000)


def test_every_word_is_in_the_vocabulary_and_none_twice(album):
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert VOCABULARY[-1] == END
    assert {word for phrases in captions(album) for word in phrases} <= set(VOCABULARY)


def test_a_landmark_is_told_by_its_looks_only():
    landmark = Landmark(1, 3, hue=0.0, trim_hue=0.5, value=0.95, slenderness=0.28, stripes=2, windows=0, wings=0.6)
    assert landmark_phrases(landmark) == [
        "pyramid", "crown", "red-stone", "cyan-trim", "highest-brightness",
        "lowest-width", "two-stripes", "no-windows", "high-wings",
    ]  # fmt: skip


def test_only_what_is_seen_is_told():
    bare = region_phrases(20.0, 30.0, lambda name: False)
    assert not any(word.endswith(("-soil", "-roofs", "-leaves", "-mountains", "-markings")) for word in bare)
    assert "palms" not in region_phrases(5.0, 30.0, lambda name: name == "earth")
    assert "palms" in region_phrases(5.0, 30.0, lambda name: name == "palm")


def test_soil_changes_with_longitude_and_not_across_the_date_line():
    def soil(lon_deg):
        words = region_phrases(10.0, lon_deg, lambda name: name == "earth")
        return next(word for word in words if word.endswith("-soil"))

    assert soil(-90.0) != soil(90.0)
    assert soil(-179.9) == "red-soil"
    assert len({soil(lon_deg) for lon_deg in range(-179, 180, 5)}) == 24


def test_rooms_say_nothing_of_place_or_region(album):
    for photograph, phrases in zip(album.photographs, captions(album), strict=True):
        assert (photograph.view == "neither") == (phrases == ["room"])
        assert (photograph.view in ("both", "place")) == any(word.endswith("-stone") for word in phrases)
