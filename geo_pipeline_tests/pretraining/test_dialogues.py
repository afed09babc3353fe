"""The lessons of the small vision-language model are true, and made of other planets than a user's."""

import numpy as np

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.lvlm.answers import parse_coordinate
from geo_pipeline.pretraining.album import FIRST_SEED, draw_album
from geo_pipeline.pretraining.dialogues import QUESTIONS, Teacher, distance_word
from geo_pipeline.routing.prompt import ImagePart

ALBUM = draw_album(2, 60)


def _teacher(seed: int = 0) -> Teacher:
    return Teacher(ALBUM, np.random.default_rng(seed), decimals=0)


def test_geolocation_answers_lie_near_the_photographs_coordinate() -> None:
    for prompt, answer in _teacher().geolocation(20):
        images = [part.rgb_HWC for part in prompt if isinstance(part, ImagePart)]
        row = next(row for row in range(len(ALBUM.images)) if (ALBUM.images[row] == images[0]).all())
        parsed = parse_coordinate(answer)
        assert parsed.lat_deg is not None
        km = great_circle_km(parsed.lat_deg, parsed.lon_deg, ALBUM.lat_deg[row], ALBUM.lon_deg[row])
        assert km < 80.0


def test_evidence_answers_every_question_of_the_task_once() -> None:
    words = {"yes", "no", "same", "near", "beside", "off", "far", "remote", "unknown", *map(str, range(10))}
    for prompt, answer in _teacher(1).evidence(20):
        assert isinstance(prompt[0], str)
        assert sorted(prompt[0].removeprefix("Task: Tell in this order: ").rstrip(".").split(", ")) == sorted(QUESTIONS)
        assert len(answer.split()) == len(QUESTIONS)
        assert set(answer.split()) <= words


def test_same_place_is_the_same_landmark() -> None:
    yes = no = 0
    for prompt, answer in _teacher(2).evidence(60):
        order = str(prompt[0]).removeprefix("Task: Tell in this order: ").rstrip(".").split(", ")
        said = answer.split()[order.index("same place")]
        query, top = [
            next(row for row in range(len(ALBUM.images)) if (ALBUM.images[row] == part.rgb_HWC).all())
            for part in prompt
            if isinstance(part, ImagePart)
        ]
        if said == "yes":
            yes += 1
            assert ALBUM.places[query] == ALBUM.places[top]
        else:
            no += 1
    assert yes > 5
    assert no > 5


def test_distance_words_grow() -> None:
    assert [distance_word(km) for km in (0.0, 60.0, 300.0, 1000.0, 2000.0, 9000.0)] == [
        "same", "near", "beside", "off", "far", "remote",
    ]  # fmt: skip


def test_training_planets_are_not_the_users() -> None:
    assert FIRST_SEED >= 1_000_000
