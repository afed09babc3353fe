"""An edit that changes no byte is accepted: what is stale by its code alone counts as fresh, here and in Dagster."""

import dagster as dg
import pytest

from geo_pipeline.commands.status import asset_states
from geo_pipeline.home.artifact import table
from geo_pipeline.orchestration.accept import accept
from geo_pipeline.orchestration.acceptance import ACCEPTED, accepted_of
from geo_pipeline.orchestration.freshness import Freshness, label
from geo_pipeline.orchestration.versions import digest
from geo_pipeline_tests.orchestration.picture_lineage import Pictures, lineage_of
from geo_pipeline_tests.orchestration.small_lineage import NO_TELEMETRY, SHARDS, build, stale_in_dagster

WHY = "a variable was renamed"
EARLIER = "made by an earlier version of geo_pipeline"


def accepted(small, *names, why=WHY):
    found = accept(build(small.world), names, small.home, small.instance, why)
    return found.accepted, found.refused


def own_states(small, name):
    lineage = build(small.world)
    freshness = Freshness(lineage, small.home)
    return {key: freshness.own_state(lineage.assets[name], key) for key in lineage.assets[name].keys}


def status_of(small, name):
    return {each.asset: each for each in asset_states(build(small.world), small.home, small.instance)}[name]


def test_an_accepted_edit_is_fresh_here_and_in_dagster_and_nothing_is_made(small):
    small.bring_up()
    small.world.made.clear()
    files = small.files()
    small.world.editions["doubles"] = "second"
    assert set(own_states(small, "doubles").values()) == {"stale"}
    assert stale_in_dagster(small) == {("doubles", key) for key in SHARDS}
    assert accepted(small, "doubles") == ({"doubles": list(SHARDS)}, {})
    assert set(own_states(small, "doubles").values()) == {"fresh"}
    assert stale_in_dagster(small) == set()
    state = status_of(small, "doubles")
    assert (state.state, state.why, state.accepted) == ("fresh", {}, {WHY: 4})
    assert small.bring_up() == {}
    assert (small.world.made, small.files()) == ([], files)
    latest = {record.partition_key: record.asset_materialization for record in reversed(small.events("doubles"))}
    assert {event.metadata["accepted"].value for event in latest.values()} == {WHY}
    assert len(small.events("doubles")) == 8


def test_what_follows_an_accepted_asset_is_untouched(small):
    small.bring_up()
    small.world.editions["features"] = "second"
    assert accepted(small, "features") == ({"features": list(SHARDS)}, {})
    assert {status_of(small, name).state for name in build(small.world).assets} == {"fresh"}
    assert stale_in_dagster(small) == set()
    assert {name: len(small.events(name)) for name in ("doubles", "features_manifest", "total")} == {
        "doubles": 4, "features_manifest": 1, "total": 1
    }  # fmt: skip
    assert small.bring_up() == {}


def test_changed_inputs_are_refused_and_made(small):
    small.bring_up()
    small.world.numbers["b"] = [41.0]
    small.bring_up("features")
    small.world.editions["doubles"] = "second"
    assert accepted(small, "doubles") == ({"doubles": ["a", "c", "d"]}, {"doubles": {"inputs changed": ["b"]}})
    assert own_states(small, "doubles") == {"a": "fresh", "b": "stale", "c": "fresh", "d": "fresh"}
    assert ("doubles", "b") in stale_in_dagster(small)
    small.world.made.clear()
    assert small.bring_up()["doubles"] == ["b"]
    assert ("doubles", "b") in small.world.made
    assert stale_in_dagster(small) == set()


def test_an_acceptance_holds_for_its_two_versions_and_not_for_other_inputs(small):
    small.bring_up()
    small.world.editions["doubles"] = "second"
    accepted(small, "doubles")
    small.world.editions["doubles"] = "third"
    assert set(own_states(small, "doubles").values()) == {"stale"}
    small.world.editions["doubles"] = "second"
    assert set(own_states(small, "doubles").values()) == {"fresh"}
    small.world.numbers["b"] = [41.0]
    small.bring_up("features")
    assert own_states(small, "doubles") == {"a": "fresh", "b": "stale", "c": "fresh", "d": "fresh"}
    assert status_of(small, "doubles").why == {"inputs changed": 1}


def test_nothing_is_accepted_where_nothing_is_stale_by_its_code(small):
    assert accepted(small, *build(small.world).assets) == ({}, {}), "what is missing is no edit"
    small.bring_up()
    assert accepted(small, *build(small.world).assets) == ({}, {})
    assert not (small.home.root / ACCEPTED).exists()


def test_shards_that_are_missing_beside_others_are_named(small):
    small.bring_up()
    small.home.location(table("training_curves", SHARDS[1])).unlink()
    lineage = build(small.world)
    outcome = accept(lineage, list(lineage.assets), small.home, small.instance, "nothing changed")
    assert outcome.missing == {"doubles": [SHARDS[1]]}


def test_a_reason_is_needed_and_a_damaged_record_is_one_clear_error(small):
    small.bring_up()
    small.world.editions["doubles"] = "second"
    with pytest.raises(ValueError, match="found no reason, expected one; say with --why"):
        accepted(small, "doubles", why=" ")
    assert set(own_states(small, "doubles").values()) == {"stale"}
    (small.home.root / ACCEPTED).write_text("{")
    with pytest.raises(ValueError, match=r"accepted\.json is damaged .*delete it, and accept again"):
        accepted(small, "doubles")


def as_before_fingerprints_had_two_halves(home, asset, fingerprint_of):
    """Store what an asset wrote as an earlier version did: 32 hex digits over code and inputs together."""
    for key in asset.keys:
        for output in asset.outputs(key):
            home.write_table(output.name, output.key, home.examined(output), fingerprint_of(key))


def legacy_print(freshness, asset, key):
    inputs = {label(read.artifact): freshness.version(read.artifact) for read in asset.inputs(key)}
    return digest({"code_version": asset.code_version, "inputs": inputs})


def legacy_doubles(small):
    small.bring_up()
    lineage = build(small.world)
    freshness, doubles = Freshness(lineage, small.home), lineage.assets["doubles"]
    as_before_fingerprints_had_two_halves(small.home, doubles, lambda key: legacy_print(freshness, doubles, key))
    assert status_of(small, "doubles").why == {EARLIER: 4}
    small.world.editions["doubles"] = "second"


def test_an_earlier_home_is_accepted_where_dagsters_record_proves_its_inputs(small):
    legacy_doubles(small)
    small.world.numbers["b"] = [41.0]
    small.bring_up("features")
    assert accepted(small, "doubles") == ({"doubles": ["a", "c", "d"]}, {"doubles": {EARLIER: ["b"]}})
    assert own_states(small, "doubles") == {"a": "fresh", "b": "stale", "c": "fresh", "d": "fresh"}
    assert {len(record.made_by) for record in accepted_of(small.home).records} == {32}
    assert small.bring_up()["doubles"] == ["b"]
    assert stale_in_dagster(small) == set()
    small.world.numbers["d"] = [7.0]
    small.bring_up("features")
    assert own_states(small, "doubles") == {"a": "fresh", "b": "fresh", "c": "fresh", "d": "stale"}


def test_an_earlier_home_without_dagsters_record_is_refused(small, tmp_path):
    legacy_doubles(small)
    with dg.DagsterInstance.local_temp(overrides=NO_TELEMETRY) as instance:
        small.instance = instance
        assert accepted(small, "doubles") == ({}, {"doubles": {EARLIER: list(SHARDS)}})
    assert set(own_states(small, "doubles").values()) == {"stale"}


@pytest.mark.parametrize("replaced", [False, True])
def test_an_earlier_catalogue_is_accepted_while_its_photographs_are_what_they_were(tmp_path, replaced):
    pictures = Pictures(tmp_path)
    for number in range(12):
        pictures.photograph(number)
    pictures.listed(range(12))
    with pictures.opened():
        pictures.bring_up("+catalogue")
        lineage = lineage_of(pictures.profile)
        catalogue = lineage.assets["catalogue"]
        outside = lineage.profile.source.open().fingerprint()
        legacy = digest({"code_version": catalogue.code_version, "inputs": {"outside": outside}})
        as_before_fingerprints_had_two_halves(pictures.home, catalogue, lambda key: legacy)
        if replaced:
            pictures.photograph(5, "another colour")
        pictures.look()
        found = accept(
            lineage_of(pictures.profile), ["photographs", "catalogue"], pictures.home, pictures.instance, WHY
        )
        marks = pictures.stale_marks()
    every = list(catalogue.keys)
    if replaced:
        assert (found.accepted, found.refused) == ({}, {"catalogue": {EARLIER: every}})
    else:
        assert (found.accepted, found.refused) == ({"catalogue": every}, {})
        rest = {(name, key) for name in lineage.assets for key in lineage.assets[name].keys}
        assert marks[1] == {(name, key) for name, key in rest if name not in ("photographs", "catalogue")}
        assert not {name for name, _ in marks[0]} & {"catalogue"}
