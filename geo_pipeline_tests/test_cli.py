"""The command line without a lineage run: scoring, SQL, help and mistakes. The run itself is in test_lineage."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import geo_pipeline
from geo_pipeline.cli import app
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.home.processes import Process
from geo_pipeline.home.views import refresh_views

TRUTH = "IMG_ID,AUTHOR,LAT,LON\na.jpg,u1,10.0,20.0\nb.jpg,u2,-5.0,100.0\nc.jpg,u3,0.5,0.5\nd.jpg,u4,60,10\n"
PREDICTIONS = "IMG_ID,predicted_lat,predicted_lon\na.jpg,10.0,20.0\nb.jpg,-5.0,101.0\nd.jpg,,\n"


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def files(tmp_path):
    truth, predictions = tmp_path / "truth.csv", tmp_path / "predictions.csv"
    truth.write_text(TRUTH)
    predictions.write_text(PREDICTIONS)
    return predictions, truth


def test_score_counts_every_row_of_the_truth(run, files):
    predictions, truth = files
    done = run("score", predictions, "--truth", truth, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found) >= {"count", "failures", "distance", "accuracy", "interval_95", "median_km"}
    assert (found["count"], found["failures"], found["distance"]) == (4, 2, "great_circle")
    assert found["accuracy"] == {"1": 0.25, "25": 0.25, "200": 0.5, "750": 0.5, "2500": 0.5}
    assert len(found["interval_95"]["25"]) == 2


def test_score_for_a_reader_and_with_another_distance(run, files):
    done = run("score", files[0], "--truth", files[1], "--distance", "wgs84")
    assert done.exit_code == 0
    assert "4 images, 2 without a prediction" in done.stdout
    assert "wgs84" in done.stdout


def test_score_with_columns_of_other_names(run, files):
    files[0].write_text("key,y,x\na.jpg,10,20\n")
    columns = "id=key,lat=y,lon=x"
    done = run("score", files[0], "--truth", files[1], "--columns", columns, "--json")
    assert json.loads(done.stdout)["accuracy"]["1"] == 0.25


def test_score_says_what_it_could_not_use(run, files):
    files[0].write_text("image_id,lat,lon\na.jpg,1_0,20\nelsewhere,10,20\n")
    done = run("score", files[0], "--truth", files[1])
    assert "Note: 1 row of the predictions belongs to no query (first: 'elsewhere' in line 3" in done.stdout
    assert "Note: 1 prediction cannot be read and counts as wrong (first: line 2, lat is '1_0')" in done.stdout
    found = json.loads(run("score", files[0], "--truth", files[1], "--json").stdout)
    assert (found["ignored_rows"], found["unreadable_rows"], len(found["remarks"])) == (1, 1, 2)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--distance", "manhattan"], "great_circle or wgs84"),
        (["--columns", "latitude=y"], "lat=<column>"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_1(run, files, words, expected):
    done = run("score", files[0], "--truth", files[1], *words)
    assert done.exit_code == 1
    assert expected in done.stderr
    assert "Traceback" not in done.output
    assert done.stderr.startswith("geo-pipeline: found")


def test_a_run_that_cannot_start_says_why(run, tmp_path):
    assert "--images" in run("run", "--profile", "photos", "--home", tmp_path / "home").stderr
    done = run("run", "--profile", "photos", "--images", tmp_path / "absent", "--home", tmp_path / "home")
    assert done.exit_code == 1
    assert "absent" in done.stderr
    assert not (tmp_path / "home").exists()


def test_an_empty_folder_is_one_clear_error(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (tmp_path / "empty").mkdir()
    words = ["run", "--profile", "photos", "--images", tmp_path / "empty", "--home", tmp_path / "home", "--in-process"]
    done = run(*words)
    assert done.exit_code == 1
    assert "found nothing in" in done.stderr
    assert "expected photographs" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--format", "zip"), "found --format 'zip', expected one of folder, exif, tar, webdataset, msgpack, parquet"),
        (("--format", "msgpack"), "needs the metadata of its photographs"),
        (("--metadata", "absent.csv"), "absent.csv (give another with --metadata)"),
        (("--benchmark", "imgps=queries"), "found --benchmark imgps=..., expected one of"),
        (("--benchmark", "im2gps"), "expected NAME=IMAGES or NAME=IMAGES,METADATA"),
        (("--benchmark", "im2gps=absent,absent.csv"), "absent (give others with --benchmark im2gps=...)"),
        (("--benchmark", "im2gps=a", "--benchmark", "im2gps=b"), "im2gps more than once"),
        (("--shards", "0"), "expected 1 to 100,000"),
        (("--max-rejected", "5"), "expected 0 to 1"),
        (("--profile", "sample"), "found --images with the profile sample"),
        (("--set", "geosurge.training.lr=fast"), "found geosurge.training.lr = fast, expected a number"),
        (("--set", "geosurge.training.lanes=8", "--workers", "3"), "expected a divisor of the lanes (1, 2, 4, 8)"),
        (("--set", "lr=1"), "found no setting lr, expected"),
        (("--set", "lr"), "found --set 'lr', expected PATH=VALUE"),
        (("--config", "absent.yaml"), "found --config absent.yaml not to be readable"),
        (("--gpus", "-1"), "found --gpus -1, expected 0 or more"),
    ],
)
def test_an_option_of_a_run_that_makes_no_sense_is_one_message(run, tmp_path, words, expected):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    options = {"--profile": "photos", "--images": tmp_path / "images", "--home": tmp_path / "home"}
    done = run("run", *(word for pair in options.items() for word in pair), *words)
    assert done.exit_code == 1
    assert done.stderr.startswith("geo-pipeline: ")
    assert expected in done.stderr
    assert isinstance(done.exception, SystemExit)
    assert not (tmp_path / "home").exists()


def test_the_options_of_a_run_are_remembered(run, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"no image")
    home = ("--home", tmp_path / "home", "--in-process")
    options = ("--images", tmp_path / "images", "--shards", "3", "--max-rejected", "0.5", "--seed", "2")
    assert run("run", "--profile", "photos", *options, *home, "--select", "nothing_here").exit_code == 1
    known = json.loads((tmp_path / "home" / "profile.json").read_text())
    assert len(known.pop("digest")) == 32
    expected = {"profile": "photos", "seed": 2, "images": str(tmp_path / "images"), "shards": 3, "max_rejected": 0.5}
    assert known == expected
    assert run("run", *home, "--select", "nothing_here", "--max-rejected", "0.1").exit_code == 1
    known = json.loads((tmp_path / "home" / "profile.json").read_text())
    assert known | expected | {"max_rejected": 0.1} == known


def test_settings_are_kept_with_what_the_file_said_and_taken_away_by_an_empty_option(run, tmp_path):
    (tmp_path / "my.yaml").write_text("inference: {candidates: 4}\n")
    words = ("run", "--home", tmp_path / "home", "--in-process", "--select", "nothing_here")
    given = ("--config", tmp_path / "my.yaml", "--set", "inference.top_k=3", "--set", "lvlm.batch=8", "--gpus", "2")
    assert "expected names such as" in run(*words, *given).stderr
    (tmp_path / "my.yaml").unlink()

    def known():
        found = json.loads((tmp_path / "home" / "profile.json").read_text())
        return found.get("config"), found.get("settings")

    machines = {"compute.gpus_per_worker": "1.0", "compute.actors": "2", "compute.train_workers": "2"}
    assert known() == ("inference: {candidates: 4}\n", {**machines, "inference.top_k": "3", "lvlm.batch": "8"})
    shown = run("settings", "--home", tmp_path / "home").stdout
    for line in ("  candidates: 4  # a whole number", "  top_k: 3  # a", "  gpus_per_worker: 1.0  # a number"):
        assert line in shown
    assert run(*words, "--set", "lvlm.batch=", "--gpus", "1").exit_code == 1
    assert known()[1] == machines | {"compute.actors": "1", "compute.train_workers": "1", "inference.top_k": "3"}
    assert run(*words, "--config", "", "--set", "").exit_code == 1
    assert known() == (None, None)


def test_what_settings_prints_can_be_given_back(run, tmp_path):
    home = ("--home", tmp_path / "none")
    for profile in ("sample", "photos", "paper"):
        first = run("settings", "--profile", profile, "--set", "distance=wgs84", *home)
        assert first.exit_code == 0, first.output
        (tmp_path / "all.yaml").write_text(first.stdout)
        again = run("settings", "--profile", profile, "--config", tmp_path / "all.yaml", *home)
        assert again.stdout == first.stdout
        assert "distance: wgs84  # great_circle or wgs84\n" in again.stdout
    refused = run("settings", "--set", "distance=far", *home)
    assert (refused.exit_code, "expected great_circle or wgs84" in refused.stderr) == (1, True)


@pytest.mark.parametrize("words", [("run", "--in-process"), ("status",), ("locate", "a.jpg")])
def test_a_home_that_lost_the_note_of_its_options_is_refused_before_anything_is_overwritten(run, tmp_path, words):
    (tmp_path / "tables").mkdir()
    done = run(*words, "--home", tmp_path)
    assert done.exit_code == 1
    assert "with tables and without profile.json" in done.stderr
    assert "--profile included" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def test_a_home_in_use_is_refused_by_the_name_of_its_holder(run, tmp_path):
    note = {"process": Process("elsewhere", "b", 7, "1").to_json(), "command": "geo-pipeline run", "since": "today"}
    (tmp_path / ".lock").write_text(json.dumps(note))
    done = run("run", "--home", tmp_path, "--in-process")
    assert done.exit_code == 1
    assert "held by `geo-pipeline run` (process 7 on elsewhere, since today)" in done.stderr


def test_sql_of_an_empty_home_and_locate_without_a_run(run, tmp_path):
    assert "geo-pipeline run" in run("sql", "select 1", "--home", tmp_path).stderr
    (tmp_path / "a.jpg").write_bytes(b"x")
    done = run("locate", tmp_path / "a.jpg", "--home", tmp_path)
    assert done.exit_code == 1
    assert "found no profile.json" in done.stderr


@pytest.mark.parametrize(
    "words", ["status", "observe", "locate photograph.jpg", "run", "sql x", "accept x --why y", "rehearse"]
)
def test_a_file_in_the_place_of_the_home_is_named(run, tmp_path, words):
    home = tmp_path / "home"
    home.write_text("no folder")
    done = run(*words.split(), "--home", home)
    assert done.exit_code == 1
    assert f"found that {home} is a file, expected a folder for the home" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--select", "nothing_here"), "expected names such as photographs, catalogue"),
        (("--select", "tag:(("), "expected names such as photographs, catalogue"),
        (("--seed", "-3"), "expected 0 or more"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message(run, tmp_path, words, expected):
    done = run("run", "--home", tmp_path, "--in-process", *words)
    assert done.exit_code == 1
    assert expected in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_wrong_sql_names_the_views(run, tmp_path):
    home = Home(tmp_path)
    home.write_table("coverage", "all", load("coverage").arrow_schema.empty_table(), "fixed")
    refresh_views(home)
    done = run("sql", "select * from nothing", "--home", tmp_path)
    assert done.exit_code == 1
    assert "expected SQL over these views: coverage" in done.stderr


@pytest.mark.shared_data
def test_the_published_row_of_isns_on_im2gps(run, shared_dir):
    folder = shared_dir / "data" / "im2gps"
    done = run("score", folder / "predictions_isns.csv", "--truth", folder / "ground_truth.csv", "--json")
    accuracy = json.loads(done.stdout)["accuracy"].values()
    assert [round(100 * value, 1) for value in accuracy] == [16.9, 43.0, 51.9, 66.7, 80.2]


def test_the_version_is_that_of_the_package(run):
    assert run("--version").stdout.split() == ["geo-pipeline", geo_pipeline.__version__]
    assert run("-h").stdout == run("--help").stdout


@pytest.mark.parametrize(("absent", "words"), [("dagster", ("run",)), ("scipy", ("locate", "a.jpg"))])
def test_a_command_without_its_extra_says_in_one_line_what_to_install(absent, words, tmp_path):
    code = f"import sys; sys.modules[{absent!r}] = None; from geo_pipeline.cli import app; app({words!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"geo-pipeline: found no {absent}, expected it for this command, as not for `score` and `partition`; run: "
        "pip install 'geolocalization-pipeline[run]'"
    ]
    assert list(tmp_path.iterdir()) == []


def test_observing_a_home_that_is_not_there_makes_none(tmp_path):
    result = CliRunner().invoke(app, ["observe", "--home", str(tmp_path / "none")])
    assert (result.exit_code, result.output.strip()) == (
        0,
        f"nothing was run in {tmp_path / 'none'} yet: `geo-pipeline run --home {tmp_path / 'none'}` fills it",
    )
    assert not (tmp_path / "none").exists()
