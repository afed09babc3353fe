"""`geo-pipeline score --region`: which queries are counted, and what the reader sees of it."""

import json

import pytest
from typer.testing import CliRunner

from geo_pipeline.cli import app
from geo_pipeline.earth.cell_numbers import tokens
from geo_pipeline.earth.cells import cell_ids

TRUTH = "id,lat,lon\nfiji,-17.8,178.0\ntaveuni,-16.8,-179.9\nparis,48.9,2.3\nlost,-18.1,177.5\n"
PREDICTIONS = "id,lat,lon\nfiji,-17.8,178.0\ntaveuni,1,1\nparis,48.9,2.3\nlost,,\n"


@pytest.fixture
def score(tmp_path):
    (tmp_path / "truth.csv").write_text(TRUTH)
    (tmp_path / "predictions.csv").write_text(PREDICTIONS)
    files = [str(tmp_path / "predictions.csv"), "--truth", str(tmp_path / "truth.csv")]
    return lambda *words: CliRunner().invoke(app, ["score", *files, *(str(word) for word in words)])


def test_only_queries_inside_are_counted_and_their_failures_stay(score):
    done = score("--region", "-20,170,-10,-170")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("3 of 4 images lie in -20,170,-10,-170; only they are counted\n")
    assert "3 images, 1 without a prediction" in done.stdout
    found = json.loads(score("--region", "-20,170,-10,-170", "--json").stdout)
    assert (found["count"], found["failures"], found["outside"]) == (3, 1, 1)
    assert found["region"] == "-20,170,-10,-170"
    assert found["accuracy"]["1"] == 1 / 3


def test_what_is_said_of_rows_holds_for_the_region(score, tmp_path):
    """Every row of the predictions is known by its query, inside or not; what counts as wrong lies inside."""
    (tmp_path / "predictions.csv").write_text(PREDICTIONS.replace("paris,48.9", "paris,far") + "stranger,1,1\n")
    pacific, france = (
        json.loads(score("--region", region, "--json").stdout) for region in ("-20,170,-10,-170", "48,2,49,3")
    )
    assert [(found["ignored_rows"], found["unreadable_rows"]) for found in (pacific, france)] == [(1, 0), (1, 1)]
    assert len(pacific["remarks"]) == 1
    assert "counts as wrong" in france["remarks"][1]


def test_a_polygon_file_and_a_token_are_regions_too(score, tmp_path):
    ring = [[0, 40], [10, 40], [10, 50], [0, 50], [0, 40]]
    (tmp_path / "france.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    for region in (tmp_path / "france.geojson", tokens(cell_ids([48.9], [2.3], 5))[0]):
        found = json.loads(score("--region", region, "--json").stdout)
        assert (found["count"], found["outside"], found["accuracy"]["1"]) == (1, 3, 1.0)


def test_without_a_region_every_query_counts(score):
    found = json.loads(score("--json").stdout)
    assert (found["count"], found["region"], found["outside"]) == (4, None, 0)
    assert "lie in" not in score().stdout


@pytest.mark.parametrize(
    ("region", "said"),
    [("30,0,31,1", "none of the 4 true coordinates"), ("somewhere", "no file and no token"), ("1,2", "four numbers")],
)
def test_a_region_without_queries_or_without_sense_is_one_message(score, region, said):
    done = score("--region", region)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "Traceback" not in done.output


def test_what_a_stand_in_and_a_broken_run_are_is_told_beside_the_score(score, tmp_path):
    truth = [(f"q{row}", 20.0 + row / 4, 30.0 + row / 3) for row in range(60)]
    (tmp_path / "truth.csv").write_text("id,lat,lon\n" + "".join(f"{name},{a},{b}\n" for name, a, b in truth))
    answers = {name: (0, 0) if row < 2 else (a, b) for row, (name, a, b) in enumerate(truth)}
    lines = [f"{name},{a},{b}\n" for name, (a, b) in answers.items()]
    (tmp_path / "predictions.csv").write_text("id,lat,lon\n" + "".join(lines))
    found = json.loads(score("--json").stdout)
    assert found["failures"] == 2
    assert found["remarks"] == ["2 predictions are exactly (0, 0), which stand for 'do not know', and count as wrong"]
    assert [finding.split(":")[0] for finding in found["findings"]] == [
        "58 of 58 answers are the true coordinate to the last digit"
    ]
    words = score().stdout
    assert "Note: 2 predictions are exactly (0, 0)" in words
    assert "Sign of a broken run: 58 of 58 answers are the true coordinate" in words
