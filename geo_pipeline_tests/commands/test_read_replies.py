"""`geo-pipeline read-replies`: a row for every line, whatever it holds, and a summary that counts them apart."""

import csv
import json

import pytest
from typer.testing import CliRunner

from geo_pipeline.cli import app

REPLIES = [
    {"id": "a", "raw_response": "Coordinates: 48.8584, 2.2945\u2028(Paris)"},
    {"id": "b", "raw_response": "I cannot determine the location."},
    {"id": "c", "raw_response": ""},
    {"id": "d", "raw_response": "Paris or Lyon"},
    {"id": 7, "raw_response": {"choices": 1, "content": [{"type": "text", "text": '{"lat": 1.5, "lon": -2.5}'}]}},
    {"id": "f"},
]


@pytest.fixture
def read(tmp_path):
    def run(text, *options):
        (tmp_path / "replies.jsonl").write_text(text, encoding="utf-8")
        out = tmp_path / "out" / "rows.csv"
        done = CliRunner().invoke(
            app, ["read-replies", str(tmp_path / "replies.jsonl"), "--out", str(out), *options], env={"COLUMNS": "200"}
        )
        rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines())) if out.is_file() else []
        return done, rows

    return run


def lines_of(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def test_every_line_is_a_row_in_its_place_with_a_coordinate_or_a_reason(read):
    done, rows = read(lines_of(REPLIES[:2]) + "\n{broken\n[1, 2]\n" + lines_of(REPLIES[2:]) + "\n")
    assert done.exit_code == 0, done.output
    assert list(rows[0]) == ["id", "lat_deg", "lon_deg", "reason"]
    assert [(row["id"], row["lat_deg"], row["lon_deg"], row["reason"]) for row in rows] == [
        ("a", "48.8584", "2.2945", ""),
        ("b", "", "", "declined"),
        ("3", "", "", "unreadable_line"),
        ("4", "", "", "unreadable_line"),
        ("5", "", "", "unreadable_line"),
        ("c", "", "", "empty_reply"),
        ("d", "", "", "no_coordinate"),
        ("7", "1.5", "-2.5", ""),
        ("f", "", "", "unreadable_line"),
    ]
    assert "9 replies, from the field raw_response, known by the field id" in done.stdout
    assert "2 read\n" in done.stdout
    assert "2 declined (declined 1, empty_reply 1)" in done.stdout
    assert "5 unreadable (unreadable_line 4, no_coordinate 1)" in done.stdout


@pytest.mark.parametrize(
    ("record", "options", "name"),
    [
        ({"image_file": "x.jpg", "index": 3, "output": "1.25, 2.25"}, (), "x.jpg"),
        ({"image_id": "y", "index": 3, "response": "1.25, 2.25"}, (), "y"),
        ({"index": 3, "solution_str": "1.25, 2.25"}, (), "3"),
        ({"text": "1.25, 2.25"}, (), "1"),
        ({"mine": "z", "said": "1.25, 2.25"}, ("--text-field", "said", "--id-field", "mine"), "z"),
        ({"choices": [{"message": {"content": "1.25, 2.25"}}]}, (), "1"),
    ],
)
def test_the_fields_are_found_or_named(read, record, options, name):
    done, (row,) = read(lines_of([record]), *options)
    assert done.exit_code == 0, done.output
    assert (row["id"], row["lat_deg"], row["lon_deg"]) == (name, "1.25", "2.25")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", (), "found no line in"),
        (lines_of([{"id": "a", "said": "x"}]), (), "found id, said in"),
        (
            lines_of(REPLIES),
            ("--text-field", "nothing"),
            "expected the field 'nothing'; name another with --text-field",
        ),
        (lines_of(REPLIES), ("--id-field", "nothing"), "expected the field 'nothing'; name another with --id-field"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_no_file(read, text, options, said):
    done, rows = read(text, *options)
    assert (done.exit_code, rows) == (1, [])
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_told(tmp_path):
    done = CliRunner().invoke(app, ["read-replies", str(tmp_path / "no"), "--out", str(tmp_path / "out.csv")])
    assert done.exit_code == 1
    assert "not to be readable (No such file or directory)" in done.stderr


def test_what_is_written_can_be_scored(read, tmp_path):
    _, rows = read(lines_of(REPLIES))
    (tmp_path / "truth.csv").write_text("id,lat,lon\n" + "".join(f"{row['id']},48.8584,2.2945\n" for row in rows))
    words = ["score", str(tmp_path / "out" / "rows.csv"), "--truth", str(tmp_path / "truth.csv"), "--json"]
    score = json.loads(CliRunner().invoke(app, words).stdout)
    assert (score["count"], score["failures"], score["accuracy"]["1"]) == (6, 4, 1 / 6)
