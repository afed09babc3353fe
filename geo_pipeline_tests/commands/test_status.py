import io
import json
import shutil

import pytest
from rich.console import Console
from typer.testing import CliRunner

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.cli import app
from geo_pipeline.commands.status import AssetState, asset_states, print_status, to_json
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.artifact import table
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.observation import observe
from geo_pipeline.orchestration.partitions import same_shard
from geo_pipeline.orchestration.recipe import asset
from geo_pipeline.orchestration.work import Work
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.orchestration.picture_lineage import Pictures, lineage_of
from geo_pipeline_tests.orchestration.small_lineage import World, build, curves, recipes, shards


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
    assert {name: each.rows for name, each in done.items()} == {
        "features": 6,
        "doubles": 6,
        "features_manifest": 4,
        "total": 1,
    }
    assert all(each.last for each in done.values())
    assert "all 4 assets are up to date" in printed(small)

    small.world.factor = 3.0
    changed = states(small)
    assert (changed["total"].state, changed["total"].why) == ("stale", {"code or settings changed": 1})
    assert all(changed[name].state == "fresh" for name in ("features", "doubles", "features_manifest"))

    small.world.numbers["b"] = [40.0]
    added = states(small)
    assert (counts(added["features"]), added["features"].why) == ((3, 1, 0), {"code or settings changed": 1})
    assert (counts(added["doubles"]), added["doubles"].why) == ((3, 1, 0), {"follows features": 1})
    small.bring_up("features")
    made = states(small)
    assert (counts(made["doubles"]), made["doubles"].why) == ((3, 1, 0), {"inputs changed": 1})
    assert made["features_manifest"].why == {"inputs changed": 1}
    assert made["features"].last >= added["features"].last
    text = printed(small)
    assert "1 stale of 4" in text
    assert "3 of 4 assets are not up to date" in text

    small.home.location(build(small.world).assets["doubles"].outputs("c")[0]).unlink()
    assert counts(states(small)["doubles"]) == (2, 1, 1)
    assert states(small, None)["total"].last is None
    plain = to_json(sample(0), small.home, list(made.values()))
    assert json.loads(json.dumps(plain))["assets"][1]["state"] == "stale"


def test_what_nobody_asked_for_is_no_debt(small):
    small.bring_up()
    resting = extra_of(nobody)
    found = asset_states(resting, small.home, None)
    console = Console(file=io.StringIO(), width=160)
    print_status(console, sample(0), small.home, found)
    text = console.file.getvalue()
    assert "all 4 assets are up to date" in text
    assert "1 more are made when they are asked for" in text
    assert "--select '+extra'" in text
    assert "not made yet" not in text


def test_of_keys_that_a_plain_run_passes_over_only_those_that_were_made_count(small):
    small.bring_up()
    lineage = extra_of(lambda scope: ("a",))
    extra = lineage.assets["extra"]

    def made(*keys):
        fresh = Freshness(lineage, small.home)
        prints = {key: str(fresh.expected(extra, key)) for key in keys}
        extra.make(Work(extra, keys, small.home, InProcessCompute(lineage.profile.compute), prints))

    def state():
        return {each.asset: each for each in asset_states(lineage, small.home, None)}["extra"]

    assert (state().shards, state().why) == (1, {"not made yet": 1})
    made("a")
    assert (state().state, state().shards) == ("fresh", 1)
    made("c")
    assert (state().state, state().shards) == ("fresh", 2)


def nobody(scope):
    return ()


def extra_of(everyday):
    """The small lineage with one asset more, of which a plain run makes some keys."""

    @asset(
        title="t", partitions=shards, everyday=everyday, reads={"features": same_shard}, group_name="g",
        writes=lambda key: (table("training_curves", f"extra/{key}"),), kinds={"parquet"},
    )  # fmt: skip
    def extra(work):
        """More."""
        for key in work.keys:
            work.write(key, training_curves=curves([float(work.table("features", key).num_rows)]))

    return bind((*recipes(World()), extra), sample(0), METHODS, BENCHMARKS)


def test_the_photographs_are_stale_when_they_are_not_what_was_last_seen(tmp_path):
    pictures = Pictures(tmp_path)
    for number in range(8):
        pictures.photograph(number)
    pictures.listed(range(8))

    def photographs():
        return asset_states(lineage_of(pictures.profile), pictures.home, None)[0]

    keys = len(lineage_of(pictures.profile).assets["photographs"].keys)
    assert (photographs().asset, photographs().why) == ("photographs", {"not made yet": keys})
    observe(lineage_of(pictures.profile).scope, pictures.home)
    assert (photographs().state, photographs().why) == ("fresh", {})
    pictures.photograph(3, "another colour")
    assert (photographs().stale, photographs().fresh) == (1, keys - 1)
    assert photographs().why == {"photographs changed since they were last looked at": 1}
    shutil.rmtree(tmp_path / "photographs")
    assert photographs().why == {"photographs cannot be read": 1}


def test_what_is_damaged_is_said_and_made_again_alone(small, caplog):
    small.bring_up()
    small.world.made.clear()
    whole = small.files()
    lineage = build(small.world)
    cut = small.home.location(lineage.assets["doubles"].outputs("b")[0])
    empty = small.home.location(lineage.assets["features"].outputs("c")[0])
    listing = small.home.location(lineage.assets["features_manifest"].outputs("all")[0])
    text = listing.read_text()
    cut.write_bytes(cut.read_bytes()[:300])
    empty.write_bytes(b"")
    listing.write_text("{")
    found = states(small)
    assert (counts(found["doubles"]), found["doubles"].why["file is damaged"]) == ((2, 1, 1), 1)
    assert (counts(found["features"]), found["features"].why) == ((3, 0, 1), {"file is damaged": 1})
    assert found["features_manifest"].why == {"file is damaged": 1}
    assert {path for path in (cut, empty, listing) if f"{path} is damaged" in caplog.text} == {cut, empty, listing}
    small.bring_up()
    assert small.world.made == [("features", "c"), ("doubles", "b")]
    assert (small.files(), listing.read_text()) == (whole, text)
    assert {each.state for each in states(small).values()} == {"fresh"}
    assert small.bring_up() == {}


def large_states():
    """What a large home may say: long names, long reasons, long numbers."""
    rows = [
        ("catalogue", (2048, 0, 0), 4_723_695, {}, {"a rename alone, the bytes were compared": 2048}),
        ("features", (0, 1024, 1024), 4_723_695, {"follows geosurge_checkpoint": 1024, "not made yet": 1024}, {}),
        ("geocells", (0, 1, 0), 123_456, {"code or settings changed": 1}, {}),
        ("router_coordinates_only_predictions", (1, 1, 1), 2999, {"follows router_checkpoint": 1, "inputs": 1}, {}),
    ]
    return [
        AssetState(name, "t", sum(shards), *shards, count, "2025-01-02T03:04:05+00:00", why, accepted)
        for name, shards, count, why, accepted in rows
    ]


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("width", [80, 90, 100, 120, 160, 200])
def test_every_reason_and_number_is_whole_whatever_the_terminal(small, width, few):
    given = large_states()[2:3] if few else large_states()
    console = Console(file=io.StringIO(), width=width)
    print_status(console, sample(0), small.home, given)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines[1:])
    assert "…" not in console.file.getvalue()
    table_rows = {line.split()[0]: line for line in lines if line.split()}
    words = set(console.file.getvalue().split())
    for each in given:
        start = next(name for name in table_rows if each.asset.startswith(name))
        assert f" {each.rows:,} " in f"{table_rows[start]} "
        for reason in (*each.why, *(f"accepted: {why}" for why in each.accepted)):
            assert set(reason.split()) <= words, f"{reason} at {width} columns"
    assert (" Jan " in console.file.getvalue()) == (few or width >= 160)


def test_a_home_that_was_never_run_is_told_in_clear_words(tmp_path):
    told = CliRunner().invoke(app, ["status", "--home", str(tmp_path / "none")])
    assert told.exit_code == 0
    assert "nothing was run in" in told.stdout
    assert "geo-pipeline run" in told.stdout
    told = CliRunner().invoke(app, ["status", "--home", str(tmp_path / "none"), "--json"])
    assert json.loads(told.stdout)["assets"] == []
    assert not (tmp_path / "none").exists()
