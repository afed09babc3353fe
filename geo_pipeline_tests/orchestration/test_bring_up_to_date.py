import dagster as dg
import pytest

from geo_pipeline.contracts.contract import ContractError
from geo_pipeline.orchestration.bring_up_to_date import selected
from geo_pipeline.orchestration.freshness import Freshness, StaleInputError
from geo_pipeline_tests.orchestration.small_lineage import NO_TELEMETRY, SHARDS, StoppedError, build, stale_in_dagster


def test_a_first_run_makes_everything_and_a_second_nothing(small):
    assert small.bring_up() == {
        "features": list(SHARDS),
        "doubles": list(SHARDS),
        "features_manifest": ["all"],
        "total": ["all"],
    }
    files, counts = small.files(), {name: len(small.events(name)) for name in build(small.world).assets}
    assert counts == {"features": 4, "doubles": 4, "features_manifest": 1, "total": 1}
    assert small.bring_up() == {}
    assert small.files() == files
    assert {name: len(small.events(name)) for name in counts} == counts


def test_the_record_in_dagster_has_the_exact_version_of_each_shard_and_no_stale_mark(small):
    small.bring_up()
    lineage = build(small.world)
    for name in ("features", "doubles"):
        asset = lineage.assets[name]
        recorded = {
            record.partition_key: record.event_log_entry.tags["dagster/data_version"] for record in small.events(name)
        }
        assert recorded == {key: Freshness(lineage, small.home).made_version(asset, key) for key in SHARDS}
        assert len(set(recorded.values())) == 4
    assert stale_in_dagster(small) == set()


def test_one_changed_shard_costs_that_shard_and_what_depends_on_it(small):
    small.bring_up()
    small.world.made.clear()
    before = {path: path.stat().st_mtime_ns for path in small.files()}
    small.world.numbers["b"] = [40.0]
    executed = small.bring_up()
    # Dagster knows one code version of an asset: that of the other shards is renewed in its record, nothing is made.
    assert executed == {"features": list(SHARDS), "doubles": ["b"], "features_manifest": ["all"], "total": ["all"]}
    assert small.world.made == [("features", "b"), ("doubles", "b"), ("total", "all")]
    counts = {name: len(small.events(name)) for name in executed}
    assert counts == {"features": 8, "doubles": 5, "features_manifest": 2, "total": 2}
    touched = {path.stem for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert touched == {"b", "total"}
    assert stale_in_dagster(small) == set()
    assert small.bring_up() == {}


def test_shards_between_the_needed_ones_are_left_alone(small):
    small.bring_up()
    small.world.made.clear()
    small.world.numbers.update(a=[9.0], d=[8.0])
    assert small.bring_up()["doubles"] == ["a", "d"]
    assert [made for made in small.world.made if made[0] == "doubles"] == [("doubles", "a"), ("doubles", "d")]
    assert (len(small.events("features")), len(small.events("doubles"))) == (8, 6)


def test_changed_settings_are_stale_in_dagster_and_are_made_again(small):
    small.bring_up()
    small.world.factor = 3.0
    assert stale_in_dagster(small) == {("total", "all")}
    assert small.bring_up() == {"total": ["all"]}
    assert stale_in_dagster(small) == set()


def test_a_run_that_is_stopped_keeps_finished_shards_and_ends_with_the_same_bytes(small, tmp_path):
    small.world.stop_after = 2
    with pytest.raises(StoppedError):
        small.bring_up()
    assert small.world.made == [("features", "a"), ("features", "b")]
    small.world.stop_after = None
    small.bring_up()
    assert small.world.made.count(("features", "a")) == 1
    straight = type(small)(tmp_path / "straight", small.instance)
    straight.bring_up()
    ours = {path.relative_to(small.home.root): data for path, data in small.files().items()}
    assert ours == {path.relative_to(straight.home.root): data for path, data in straight.files().items()}


def test_a_stale_input_is_refused_by_name_and_never_used(small):
    small.bring_up()
    small.world.numbers["b"] = [41.0]
    lineage = build(small.world)
    with pytest.raises(StaleInputError, match=r"doubles reads.*features \[b\] is stale.*materialize features first"):
        Freshness(lineage, small.home).refuse_stale(lineage.assets["doubles"], ["a", "b"])
    small.home.location(lineage.assets["features"].outputs("a")[0]).unlink()
    with pytest.raises(StaleInputError, match=r"features \[a\] is missing"):
        small.bring_up("doubles")


def test_a_lost_record_is_renewed_without_computing(small, tmp_path):
    small.bring_up()
    small.world.made.clear()
    with dg.DagsterInstance.local_temp(overrides=NO_TELEMETRY) as instance:
        small.instance = instance
        assert set(small.bring_up()) == {"features", "doubles", "features_manifest", "total"}
        assert small.world.made == []
        assert stale_in_dagster(small) == set()


def test_rows_that_break_the_contract_stop_the_run_and_are_not_written(small):
    small.world.numbers["d"] = [1.0, float("nan")]
    with pytest.raises(ContractError, match="features"):
        small.bring_up()
    assert not small.home.location(build(small.world).assets["features"].outputs("d")[0]).exists()


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, ["features", "doubles", "features_manifest", "total"]),
        ("total", ["total"]),
        ("+total", ["features", "features_manifest", "total"]),
        ("features+", ["features", "doubles", "features_manifest", "total"]),
        ("1+total", ["features_manifest", "total"]),
        ("doubles or total", ["doubles", "total"]),
        ("+total and not features", ["features_manifest", "total"]),
        ('+key:"total"', ["features", "features_manifest", "total"]),
    ],
)
def test_a_bare_name_selects_as_in_the_user_interface(small, selection, names):
    definitions, lineage = small.definitions()
    assert selected(definitions, lineage, selection) == names


def test_a_selection_that_cannot_be_read_is_one_clear_message(small):
    with pytest.raises(ValueError, match=r"found the selection 'total \+\+ \(', which Dagster cannot read"):
        small.bring_up("total ++ (")


def test_a_selection_that_matches_nothing_is_an_error(small):
    with pytest.raises((ValueError, dg.DagsterInvalidSubsetError), match="nosuch"):
        small.bring_up("nosuch")


def test_assets_of_one_job_follow_each_other_in_one_run(small):
    definitions, _ = small.definitions()
    keys = {dg.AssetKey("features"), dg.AssetKey("doubles")}
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "d"}
    assert job.execute_in_process(instance=small.instance, tags=tags).success
    assert len(small.events("doubles")) == 4
    assert stale_in_dagster(small) == {("features_manifest", "all"), ("total", "all")}
