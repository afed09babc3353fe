"""Lessons: what is read from the table, what is left out, and the split."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.georouter.gathered import GATHERED, gather_images
from geo_pipeline.georouter.lessons import LessonsError, read_lessons
from geo_pipeline.georouter.queries import query_prompt
from geo_pipeline.routing.prompt import ImagePart


@pytest.fixture
def lessons(georouting, router_config):
    return read_lessons(georouting / "georouting.parquet", georouting / GATHERED, router_config)


def test_a_query_that_both_failed_is_left_out(lessons):
    assert [lesson.query.image_id for lesson in lessons] == [f"q{number:02d}" for number in range(39)]


def test_targets_are_preferences_or_hard_labels(lessons, georouting, router_config):
    assert all(0 < lesson.target < 1 for lesson in lessons)
    assert all((lesson.target > 0.5) == bool(lesson.label) for lesson in lessons)
    hard = read_lessons(
        georouting / "georouting.parquet", georouting / GATHERED, replace(router_config, hard_labels=True)
    )
    assert {lesson.target for lesson in hard} == {0.0, 1.0}


def test_an_author_is_on_one_side_of_the_split(lessons):
    sides = {}
    for number, lesson in enumerate(lessons):
        sides.setdefault(number // 2, set()).add(lesson.held_out)
    assert all(len(side) == 1 for side in sides.values())
    assert {True, False} == set().union(*sides.values())


def test_bob_and_bob_are_on_one_side_of_the_split(lessons, georouting, router_config, tmp_path):
    images = pq.read_table(georouting / "images.parquet").to_pylist()
    for image in images[1::2]:
        image["author"] = f" {image['author']}".upper() if image["author"] else None
    pq.write_table(pa.Table.from_pylist(images), tmp_path / "images.parquet")
    table = georouting / "georouting.parquet"
    found = read_lessons(table, gather_images(table, [tmp_path / "images.parquet"], tmp_path), router_config)
    assert [lesson.held_out for lesson in found] == [lesson.held_out for lesson in lessons]


def test_candidates_exclude_the_top_one(lessons):
    assert lessons[0].query.candidates == ((1.0, 2.0),)


def test_ids_and_authors_never_enter_a_prompt(lessons, router_config):
    for lesson in lessons:
        text = "".join(part for part in query_prompt(lesson.query, router_config) if not isinstance(part, ImagePart))
        assert lesson.query.image_id not in text
        assert "author" not in text


def test_missing_images_are_named(georouting, router_config, tmp_path):
    images = pq.read_table(georouting / "images.parquet")
    pq.write_table(images.slice(1), tmp_path / "some.parquet")
    with pytest.raises(LessonsError, match=r"no image for 1 of 41 ids \(q00\)"):
        gather_images(georouting / "georouting.parquet", [tmp_path / "some.parquet"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["some.parquet"]


def test_a_table_with_nothing_to_learn_is_refused(georouting, router_config, tmp_path):
    table = pq.read_table(georouting / "georouting.parquet")
    pq.write_table(table.slice(39), tmp_path / "georouting.parquet")
    with pytest.raises(LessonsError, match="none trainable"):
        read_lessons(tmp_path / "georouting.parquet", georouting / GATHERED, router_config)
