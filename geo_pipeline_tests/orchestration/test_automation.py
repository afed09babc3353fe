"""The weekly re-benchmark with a clock that the test moves: what Dagster asks for after Monday 03:00, in what order.

The conditions are those of the real lineage; events stand in for the runs that they ask for.
"""

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
from geo_pipeline_tests.orchestration.conftest import NO_TELEMETRY

FIRST = {"densest_cell_predictions", "geosurge_predictions", "retrieval_predictions", "generation_predictions"}
ROUTED = {"routed_predictions", "router_coordinates_only_predictions", "router_image_only_predictions"}


class Week:
    """A code location under its conditions, from a Sunday on."""

    def __init__(self, instance):
        self.lineage = bind(ASSETS, sample(0), METHODS, BENCHMARKS)
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
def week(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=NO_TELEMETRY) as instance:
        yield Week(instance)


def test_each_asks_when_all_weekly_assets_that_it_reads_have_an_event_since_the_tick(week):
    everything = {name: set(asset.keys) for name, asset in week.lineage.assets.items()}
    assert week.asked() == {}
    assert week.asked(hours=4, minutes=59) == {}, "two o'clock"
    first = week.asked(minutes=2)
    assert first == {name: everything[name] for name in ("photographs", *FIRST)}
    assert week.asked(minutes=1) == {}, "asked for once"
    week.happened(*FIRST - {"generation_predictions"})
    assert not set(week.asked(minutes=1)) & {"benchmark_scores", "benchmark_report", *ROUTED}
    week.happened("generation_predictions")
    assert {name for name in week.asked(minutes=1) if name in ROUTED} == ROUTED
    week.happened(*ROUTED)
    assert week.asked(minutes=1) == {"benchmark_scores": everything["benchmark_scores"]}
    week.happened("benchmark_scores")
    assert week.asked(minutes=1) == {"benchmark_report": {"all"}}
    week.happened("benchmark_report")
    assert week.asked(minutes=1) == {}
    assert week.asked(days=5) == {}
    assert set(week.asked(days=2)) == {"photographs", *FIRST}, "the next Monday"


def test_training_is_never_asked_for_and_the_sensor_is_off(week):
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
