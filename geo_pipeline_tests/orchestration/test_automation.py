"""The weekly re-benchmark with a clock that the test moves: what Dagster asks for after Monday 03:00, in what order.

The conditions are those of the real lineage; events stand in for the runs that they ask for.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.automation import SENSOR
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.orchestration.small_lineage import NO_TELEMETRY

FIRST = {"densest_cell_predictions", "geosurge_predictions", "retrieval_predictions", "generation_predictions"}
ROUTED = {"routed_predictions", "router_coordinates_only_predictions", "router_image_only_predictions"}


class Week:
    """A code location under its conditions, from a Sunday on."""

    def __init__(self, instance, **changes):
        self.lineage = bind(ASSETS, replace(sample(0), **changes), METHODS, BENCHMARKS)
        self.definitions = code_location(
            self.lineage, Home(Path("nowhere")), InProcessCompute(self.lineage.profile.compute)
        )
        self.instance = instance
        now = datetime.now(UTC)
        sunday = now + timedelta(days=6 - now.weekday())
        self.clock = sunday.replace(hour=22, minute=0, second=0, microsecond=0)
        self.cursor = None

    def asked(self, **later):
        """What is asked for when the clock has moved: the keys of each asset."""
        self.clock += timedelta(**later)
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, evaluation_time=self.clock, cursor=self.cursor
        )
        self.cursor = result.cursor
        found = {}
        for name, asset in self.lineage.assets.items():
            key = dg.AssetKey(name)
            if asset.partitioned:
                keys = result.get_requested_partitions(key)
            else:
                keys = {"all"} if result.get_num_requested(key) else set()
            found |= {name: set(keys)} if keys else {}
        return found

    def happened(self, *names, keys=None):
        """Log that these assets were made again, as they were."""
        for name in names:
            asset = self.lineage.assets[name]
            for key in keys or asset.keys:
                self.instance.report_runless_asset_event(
                    dg.AssetMaterialization(name, partition=key if asset.partitioned else None)
                )


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=NO_TELEMETRY) as instance:
        yield instance


def test_each_asks_when_all_weekly_assets_that_it_reads_have_an_event_since_the_tick(instance):
    week = Week(instance, query_shards=(("planet_mixed", 2),))
    every = {name: set(asset.keys) for name, asset in week.lineage.assets.items()}
    assert week.asked() == {}
    assert week.asked(hours=4, minutes=59) == {}, "a minute before three"
    assert week.asked(minutes=2) == {name: every[name] for name in ("photographs", *FIRST)}
    assert week.asked(minutes=1) == {}, "asked for once"
    week.happened(*FIRST - {"generation_predictions"})
    assert week.asked(minutes=1) == {}
    week.happened("generation_predictions")
    assert week.asked(minutes=1) == {name: every[name] for name in ROUTED}
    week.happened(*ROUTED, keys=["planet_mixed-000", "planet_remote"])
    assert week.asked(minutes=1) == {"benchmark_scores": {"planet_remote"}}, "a benchmark waits for all its shards"
    week.happened(*ROUTED, keys=["planet_mixed-001", "planet_cities"])
    assert week.asked(minutes=1) == {"benchmark_scores": {"planet_mixed", "planet_cities"}}
    week.happened("benchmark_scores", keys=["planet_mixed", "planet_cities"])
    assert week.asked(minutes=1) == {}
    week.happened("benchmark_scores", keys=["planet_remote"])
    assert week.asked(minutes=1) == {"benchmark_report": {"all"}}
    week.happened("benchmark_report")
    assert week.asked(minutes=1) == {}
    assert week.asked(days=5) == {}
    assert set(week.asked(days=2)) == {"photographs", *FIRST}, "the next Monday"


def test_where_every_benchmark_is_one_shard_its_scores_are_made_in_the_run_of_the_last_predictions(instance):
    week = Week(instance)
    week.asked()
    assert set(week.asked(hours=5, minutes=1)) == {"photographs", *FIRST}
    week.happened(*FIRST)
    assert set(week.asked(minutes=1)) == {*ROUTED, "benchmark_scores"}
    week.happened(*ROUTED)
    assert week.asked(minutes=1) == {}, "asked for already"
    week.happened("benchmark_scores")
    assert week.asked(minutes=1) == {"benchmark_report": {"all"}}


def test_training_is_never_asked_for_and_the_sensor_is_off(instance):
    week = Week(instance)
    (sensor,) = week.definitions.sensors
    assert (sensor.name, sensor.default_status) == (SENSOR, dg.DefaultSensorStatus.STOPPED)
    graph = week.definitions.resolve_asset_graph()
    under = {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).automation_condition}
    assert under == {"photographs", "benchmark_scores", "benchmark_report", *FIRST, *ROUTED}
    assert {key.to_user_string() for key in sensor.asset_selection.resolve(graph)} == under
    trained = {
        name for name, asset in week.lineage.assets.items() if asset.outputs(asset.keys[0])[0].kind == "checkpoint"
    }
    assert not under & trained
