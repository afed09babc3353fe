"""`geo-pipeline observe` and `geo-pipeline accept` on a home whose catalogue was made from the shell."""

import pytest
from typer.testing import CliRunner

from geo_pipeline.cli import app
from geo_pipeline.home.artifact import table as artifact
from geo_pipeline.home.home import Home
from geo_pipeline_tests.orchestration.picture_lineage import Pictures


@pytest.fixture
def pictures(tmp_path):
    """A dozen photographs, and a home with their catalogue."""
    pictures = Pictures(tmp_path)
    for number in range(12):
        pictures.photograph(number)
    pictures.listed(range(12))
    source = ("--images", tmp_path / "photographs", "--metadata", tmp_path / "photographs.csv")
    done = run(
        "run", "--profile", "photos", *source, "--shards", 4, "--select", "catalogue", "--in-process", home=pictures
    )
    assert done.exit_code == 0, done.output
    return pictures


def run(*words, home):
    return CliRunner().invoke(app, [*map(str, words), "--home", str(home.home.root)])


def test_looking_counts_the_shards_that_hold_other_photographs(pictures):
    assert run("observe", home=pictures).stdout == "0 of 6 shards hold other photographs than before\n"
    pictures.photograph(5, "another colour")
    assert run("observe", home=pictures).stdout == "1 of 6 shards hold other photographs than before\n"
    assert run("observe", home=pictures).stdout == "0 of 6 shards hold other photographs than before\n"


def test_accepting_names_what_was_accepted_and_what_stays_stale(pictures):
    why = ("--why", "a variable was renamed")
    assert run("accept", "*", *why, home=pictures).stdout == "nothing to accept: nothing is stale by its code alone\n"
    edited = ("reference-000", "reference-001")
    for name, prefix in (("catalogue", ""), ("quarantine", "catalogue/")):
        for key in edited:
            made_by_other_code(Home(pictures.home.root), name, prefix + key)
    refused = run("accept", "catalogue", "--why", " ", home=pictures)
    assert refused.exit_code == 1
    assert "found no reason, expected one" in refused.stderr
    (shard,) = pictures.shards_of([5])
    pictures.photograph(5, "another colour")
    assert run("accept", "catalogue", *why, home=pictures).stdout.splitlines() == [
        f"catalogue: {2 - (shard in edited)} of 6 accepted",
        "catalogue: 1 stay stale: inputs changed",
    ]
    assert "accepted: a variable was renamed" in run("status", home=pictures).stdout


def made_by_other_code(home, name, key):
    stored = artifact(name, key)
    _, _, inputs = home.stored(stored).fingerprint.partition(":")
    home.write_table(name, key, home.examined(stored), f"{'f' * 16}:{inputs}")


def test_an_asset_that_is_not_there_is_one_clear_error(pictures):
    done = run("accept", "nosuch", "--why", "w", home=pictures)
    assert done.exit_code == 1
    assert "found no asset that matches the selection 'nosuch'" in done.stderr
