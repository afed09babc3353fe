"""Metadata in JSON: the same rows as in CSV, and no line is lost."""

import json

import pytest

from geo_pipeline.imagery.metadata.read import read_metadata
from geo_pipeline.imagery.source import SourceError

LINES = (
    '{"id": 7, "latitude": 1.50, "longitude": -2, "author": " Ann "}',
    '{"id": "8", "latitude": "3,5", "longitude": "x", "more": [1]}',
    "",
    "[1, 2]",
    '{"id": "9", "latitude": null',
    '{"id": true, "latitude": NaN, "longitude": 4, "author": null}',
)


def columns(table, *names):
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


def test_every_line_stays_as_a_row_with_what_is_wrong_with_it(tmp_path):
    (tmp_path / "m.jsonl").write_text("\n".join(LINES))
    table = read_metadata(str(tmp_path / "m.jsonl"))
    assert columns(table, "image_id", "author", "line", "detail") == [
        ("7", "Ann", 1, ""),
        ("8", None, 2, "longitude is 'x'"),
        (None, None, 4, "no JSON object"),
        (None, None, 5, "no JSON object"),
        ("true", None, 6, "latitude is 'NaN'"),
    ]
    assert [lat for lat in table["lat_deg"].to_pylist() if lat == lat] == [1.5, 3.5, None, None]


def test_a_list_of_objects_is_read_like_lines(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps([json.loads(LINES[0]), 5], indent=2))
    rows = columns(read_metadata(str(tmp_path / "m.json")), "image_id", "lat_deg", "line", "detail")
    assert rows == [("7", 1.5, 1, ""), (None, None, 2, "no JSON object")]


def test_json_is_told_by_its_beginning_too(tmp_path):
    (tmp_path / "metadata.txt").write_text(LINES[0])
    assert read_metadata(str(tmp_path / "metadata.txt"))["image_id"].to_pylist() == ["7"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"id": 1}', "cannot be read as JSON"),
        (b'{"id": "\xff"}', "cannot be read as JSON"),
        (b'{"id": 1}', "no column for lat_deg, lon_deg"),
        (b"", "no column for lat_deg, lon_deg"),
    ],
)
def test_what_is_no_metadata_is_one_clear_error(tmp_path, content, said):
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(SourceError, match=said):
        read_metadata(str(tmp_path / "m.json"))


def test_half_of_a_pair_of_surrogates_stays_readable(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        r'{"image_id": "a\ud83d", "lat": 1, "lon": "\udc00"}'
        + "\n"
        + r'{"image_id": "\ud83d\ude00", "lat": 1, "lon": 2}'
    )
    assert read_metadata(str(path))["image_id"].to_pylist() == ["a\\ud83d", "\N{GRINNING FACE}"]
