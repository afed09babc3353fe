import io
import json
from dataclasses import replace

from rich.console import Console
from typer.testing import CliRunner

from geo_pipeline.cli import app
from geo_pipeline.orchestration.artifacts import table
from geo_pipeline.orchestration.status_command import asset_states, print_status, to_json
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.orchestration.small_lineage import build


def states(small, instance="its own"):
    found = asset_states(build(small.world), small.home, small.instance if instance == "its own" else instance)
    return {each.asset: each for each in found}


def counts(state):
    return state.fresh, state.stale, state.missing


def printed(small):
    console = Console(file=io.StringIO(), width=160)
    print_status(console, sample(0), small.home, list(states(small).values()))
    return console.file.getvalue()


def test_the_status_follows_a_home_through_its_life(small):
    before = states(small)
    assert {name: (each.state, dict(each.why)) for name, each in before.items()} == {
        "features": ("missing", {"not made yet": 4}),
        "doubles": ("missing", {"not made yet": 4}),
        "features_manifest": ("missing", {"not made yet": 1}),
        "total": ("missing", {"not made yet": 1}),
    }
    small.bring_up()
    done = states(small)
    assert {each.state for each in done.values()} == {"fresh"}
    assert {name: (each.rows, each.materializations) for name, each in done.items()} == {
        "features": (6, 4),
        "doubles": (6, 4),
        "features_manifest": (4, 1),
        "total": (1, 1),
    }
    assert all(each.last for each in done.values())
    assert "all 4 assets are up to date" in printed(small)

    small.world.factor = 3.0
    changed = states(small)
    assert (changed["total"].state, changed["total"].why) == ("stale", {"code or settings changed": 1})
    assert all(changed[name].state == "fresh" for name in ("features", "doubles", "features_manifest"))

    small.world.numbers["b"] = [40.0]
    added = states(small)
    assert (counts(added["features"]), added["features"].why) == ((0, 4, 0), {"photographs changed": 4})
    assert added["doubles"].why == {"follows features": 4}
    small.bring_up("features")
    made = states(small)
    assert (counts(made["doubles"]), made["doubles"].why) == ((3, 1, 0), {"inputs changed": 1})
    assert (made["features_manifest"].why, made["features"].materializations) == ({"inputs changed": 1}, 5)
    text = printed(small)
    assert "1 stale of 4" in text
    assert "3 of 4 assets are not up to date" in text

    small.home.place(build(small.world).stages["doubles"].outputs("c")[0]).unlink()
    assert counts(states(small)["doubles"]) == (2, 1, 1)
    unrecorded = states(small, None)["total"]
    assert (unrecorded.materializations, unrecorded.last) == (0, None)
    plain = to_json(sample(0), small.home, list(made.values()))
    assert json.loads(json.dumps(plain))["assets"][1]["state"] == "stale"


def test_what_nobody_asked_for_is_no_debt(small):
    small.bring_up()
    lineage = build(small.world)
    asked = replace(lineage.stages["total"], name="extra", on_demand=True)
    asked = replace(asked, outputs=lambda key: (table("training_curves", "extra"),))
    more = replace(lineage, stages={**lineage.stages, "extra": asked})
    found = asset_states(more, small.home, None)
    console = Console(file=io.StringIO(), width=160)
    print_status(console, sample(0), small.home, found)
    text = console.file.getvalue()
    assert "all 4 assets are up to date" in text
    assert "1 more are made on demand" in text
    assert "--select '+extra'" in text
    assert "not made yet" not in text


def test_photographs_that_cannot_be_read_are_said_to_be_so(small):
    small.bring_up("features")

    def gone():
        raise FileNotFoundError("the disk is not there")

    small.world.digest = gone
    assert states(small)["features"].why == {"photographs cannot be read": 4}


def test_a_home_that_was_never_run_is_told_in_clear_words(tmp_path):
    told = CliRunner().invoke(app, ["status", "--home", str(tmp_path / "none")])
    assert told.exit_code == 0
    assert "nothing was run in" in told.stdout
    assert "geo-pipeline run" in told.stdout
    told = CliRunner().invoke(app, ["status", "--home", str(tmp_path / "none"), "--json"])
    assert json.loads(told.stdout)["assets"] == []
    assert not (tmp_path / "none").exists()
