"""What the launchpad of the UI offers, and what a materialization from there logs for shards that are fresh."""

import pytest

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.launchpad import Launch
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline_tests.orchestration.small_lineage import SHARDS, stale_in_dagster

DATA_VERSION = "dagster/data_version"


class CountingHome(Home):
    """A home that counts how often rows are read, by whomever."""

    def __init__(self, root):
        super().__init__(root)
        self.rows_read = 0

    def _read_parquet(self, *arguments):
        self.rows_read += 1
        return super()._read_parquet(*arguments)

    def first_rows(self, *arguments):
        self.rows_read += 1
        return super().first_rows(*arguments)


@pytest.fixture
def finished(small):
    """The small lineage, up to date, in a home that counts what is read from now on."""
    small.home = CountingHome(small.home.root)
    small.bring_up()
    small.world.made.clear()
    small.home.rows_read = 0
    return small


def latest(small, name, count):
    """The last events of an asset by shard, as many as are asked for."""
    return {record.partition_key: record.asset_materialization for record in small.events(name)[:count]}


def test_fresh_shards_log_one_event_each_with_the_version_they_had_and_no_row_is_read(finished):
    before = {key: event.tags[DATA_VERSION] for key, event in latest(finished, "doubles", 4).items()}
    files = finished.files()
    assert finished.launch("doubles", SHARDS)
    assert len(finished.events("doubles")) == 8
    now = latest(finished, "doubles", 4)
    assert {key: event.tags[DATA_VERSION] for key, event in now.items()} == before
    assert all(event.metadata["unchanged"].value for event in now.values())
    assert (finished.world.made, finished.files(), finished.home.rows_read) == ([], files, 0)
    assert stale_in_dagster(finished) == set()


def test_from_the_shell_fresh_shards_log_nothing_and_no_row_is_read(finished):
    assert finished.bring_up() == {}
    assert finished.launch("doubles", SHARDS, record_unchanged=False)
    assert len(finished.events("doubles")) == 4
    assert finished.home.rows_read == 0


def test_the_stale_shard_of_a_range_alone_is_read_and_made(finished):
    finished.home.location(finished.definitions()[1].assets["doubles"].outputs("b")[0]).unlink()
    assert finished.launch("doubles", SHARDS)
    assert finished.world.made == [("doubles", "b")]
    assert len(finished.events("doubles")) == 8
    unchanged = {key: event.metadata["unchanged"].value for key, event in latest(finished, "doubles", 4).items()}
    assert unchanged == {"a": True, "b": False, "c": True, "d": True}
    assert finished.home.rows_read >= 1, "the count does see reads"


def test_only_some_of_a_range(finished):
    assert finished.launch("doubles", SHARDS, only=["b", "d"])
    assert set(latest(finished, "doubles", 2)) == {"b", "d"}
    assert len(finished.events("doubles")) == 6


def test_again_makes_fresh_shards_which_come_out_as_they_were(finished):
    times = {path: path.stat().st_mtime_ns for path in finished.files()}
    assert finished.launch("doubles", ("b", "c"), again=True)
    assert finished.world.made == [("doubles", "b"), ("doubles", "c")]
    assert {key: event.metadata["unchanged"].value for key, event in latest(finished, "doubles", 2).items()} == {
        "b": True, "c": True
    }  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in finished.files()} == times


def test_accept_counts_an_edit_as_equal_and_makes_only_what_has_other_inputs(finished):
    finished.world.numbers["b"] = [41.0]
    finished.bring_up("features")
    finished.world.made.clear()
    finished.world.editions["doubles"] = "second"
    assert finished.launch("doubles", SHARDS, accept="a variable was renamed")
    assert finished.world.made == [("doubles", "b")]
    accepted = {
        key: event.metadata["accepted"].value if "accepted" in event.metadata else None
        for key, event in latest(finished, "doubles", 4).items()
    }
    assert accepted == {"a": "a variable was renamed", "b": None, "c": "a variable was renamed"} | {"d": accepted["a"]}
    assert {place for place in stale_in_dagster(finished) if place[0] == "doubles"} == set()


def test_workers_are_chosen_for_one_run_and_the_bytes_stay(finished):
    chosen = []

    class Watched(InProcessCompute):
        def configured(self, config):
            chosen.append(config)
            return super().configured(config)

    files = finished.files()
    settings = {"inference_workers": 3, "training_workers": 2, "gpus_per_worker": 0.5}
    assert finished.launch("doubles", SHARDS, Watched, again=True, **settings)
    (config,) = chosen
    assert (config.actors, config.cpu_actors, config.train_workers, config.gpus_per_worker) == (3, 3, 2, 0.5)
    assert finished.files() == files


def test_without_a_choice_the_profiles_machines_are_used():
    config = ComputeConfig(actors=5, train_workers=2)
    assert Launch().compute(config) == config
    assert Launch(inference_workers=1).compute(config).train_workers == 2


@pytest.mark.parametrize("wrong", [{"inference_workers": 0}, {"training_workers": -1}, {"gpus_per_worker": -0.5}])
def test_numbers_that_no_machine_has_are_refused(wrong):
    with pytest.raises(ValueError, match="greater than or equal to"):
        Launch(**wrong)
