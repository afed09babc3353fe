"""The asset graph as text, so that a change is seen; `python -m geo_pipeline_tests.test_graph_snapshot` renews it."""

from pathlib import Path

import dagster as dg

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.definitions import build_definitions
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.sample import sample

SNAPSHOT = Path(__file__).with_name("graph_snapshot.txt")


def definitions():
    profile = sample(0)
    return build_definitions(profile, Home(Path("nowhere")), InProcessCompute(profile.compute))


def graph_text():
    graph = definitions().resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=str):
        node = graph.get(key)
        shards = ", ".join(node.partitions_def.get_partition_keys()) if node.partitions_def else "-"
        lines.append(f"{key.to_user_string()} ({node.group_name}; {', '.join(sorted(node.kinds))})")
        lines.append(f"    shards: {shards}")
        checks = sorted(check.name for check in graph.get_check_keys_for_assets({key}))
        lines.append(f"    checks: {', '.join(checks) or '-'}")
        for parent in sorted(node.parent_keys, key=str):
            mapping = node.partition_mappings.get(parent)
            lines.append(f"    reads {parent.to_user_string()}" + (f" by {type(mapping).__name__}" if mapping else ""))
    return "\n".join(lines) + "\n"


def test_the_graph_is_as_agreed():
    assert graph_text() == SNAPSHOT.read_text()


def test_every_asset_is_ready_for_a_strangers_eye():
    graph = definitions().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.description.endswith("."), key
        assert node.kinds, key
        assert node.metadata["title"], key
        assert node.is_observable or node.owners, key
        assert node.is_observable or node.code_version, key
    assert {key.to_user_string() for key in graph.observable_asset_keys} == {"photographs"}


def test_jobs_are_named_for_what_is_wanted_and_the_weekly_sensor_is_off():
    made = definitions()
    assert {job.name for job in made.jobs} == {"rebuild_geosurge", "rebuild_router", "rebenchmark", "compare"}
    assert not made.schedules
    assert [(sensor.name, sensor.default_status) for sensor in made.sensors] == [
        ("weekly_rebenchmark", dg.DefaultSensorStatus.STOPPED)
    ]


if __name__ == "__main__":
    SNAPSHOT.write_text(graph_text())


def test_an_asset_links_to_its_function_and_a_prediction_to_its_method_too():
    for name, asset in bind(ASSETS, sample(), METHODS, BENCHMARKS).assets.items():
        (file, line), *others = asset.sources.values()
        assert file.endswith(f"/{asset.function.__module__.replace('.', '/')}.py")
        assert line <= asset.function.__code__.co_firstlineno + 1, name
        entries = [method for method in METHODS.values() if method.asset == name and method.baseline is None]
        assert [Path(file).parent.name for file, _ in others] == ["methods"] * len(entries), name
