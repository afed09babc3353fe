"""A lineage of four real assets without networks: numbers per shard, a table per shard, a manifest, a sum over all.

The numbers are settings of a shard, so that a changed one makes its shard stale.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import dagster as dg
import pyarrow as pa
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.bring_up_to_date import bring_up_to_date, wanted
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.dagster_home import sync_less
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.partitions import every, same_shard, whole
from geo_pipeline.orchestration.recipe import asset, listing, tables
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.compute.workers import curves

SHARDS = ("a", "b", "c", "d")
NO_TELEMETRY = {"telemetry": {"enabled": False}}


class StoppedError(RuntimeError):
    """The test stops an asset in the middle, as a kill would."""


class Doubler:
    """A worker: feature -> feature twice, as training curves."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, rows):
        losses = [self.factor * value[0] for value in rows["feature"].to_pylist()]
        return curves(losses)


@dataclass
class World:
    """What lies outside: the numbers of each shard, the edition of each asset's code, how the assets behave, and the
    network that is needed.
    """

    numbers: dict = field(default_factory=lambda: {"a": [1.0, 2.0, 3.0], "b": [4.0], "c": [], "d": [5.0, 6.0]})
    factor: float = 2.0
    editions: dict = field(default_factory=dict)
    stop_after: int | None = None
    made: list = field(default_factory=list)
    network: LvlmConfig = sample(0).lvlm


def shards(scope):
    return SHARDS


def features_of(reads, key):
    return reads.table("features", key)


def doubling(reads):
    return {"factor": 2}


def recipes(world):
    """The four assets over a world."""
    plain = {"title": "t", "group_name": "g", "kinds": {"parquet"}}

    @asset(
        partitions=shards, reads={}, writes=tables("features"),
        settings=lambda scope: world.editions.get("features"), settings_of=lambda scope, key: world.numbers[key],
        **plain,
    )  # fmt: skip
    def features(work):
        """Numbers."""
        for number, key in enumerate(work.keys):
            if world.stop_after is not None and number >= world.stop_after:
                raise StoppedError("stopped in the middle")
            world.made.append(("features", key))
            values = world.numbers[key]
            ids = [f"{key}-{position}" for position in range(len(values))]
            column = pa.array([[value / 100] for value in values], pa.list_(pa.float32()))
            work.write(key, features=pa.table({"image_id": pa.array(ids, pa.string()), "feature": column}))

    @asset(
        partitions=shards, reads={"features": same_shard},
        settings=lambda scope: world.editions.get("doubles"), writes=lambda key: (table("training_curves", key),),
        pool="gpu", **plain,
    )  # fmt: skip
    def doubles(work):
        """Numbers twice."""
        world.made += [("doubles", key) for key in work.keys]
        work.map_shards(Doubler, features_of, doubling, batch_rows=2)

    @asset(reads={"features": every(shards)}, writes=listing("features_manifest"), **plain)
    def features_manifest(work):
        """The shards."""
        work.list_inputs()

    @asset(
        reads={"features_manifest": whole}, writes=lambda key: (table("training_curves", "total"),),
        settings=lambda scope: world.factor, **plain,
    )  # fmt: skip
    def total(work):
        """Their sum."""
        world.made.append(("total", "all"))
        listed = work.listed("features_manifest", "features")
        values = [row[0] for key in listed for row in work.table("features", key)["feature"].to_pylist()]
        work.write(training_curves=curves([world.factor * sum(values)]))

    return features, doubles, features_manifest, total


def build(world):
    """The lineage over a world."""
    return bind(recipes(world), replace(sample(0), lvlm=world.network), METHODS, BENCHMARKS)


class SmallRun:
    """One home with its Dagster instance; `bring_up` runs what is needed, with the world as it is."""

    def __init__(self, folder, instance):
        self.home = Home(folder)
        self.instance = instance
        self.world = World()

    def definitions(self, compute=InProcessCompute):
        lineage = build(self.world)
        return code_location(lineage, self.home, compute(lineage.profile.compute)), lineage

    def bring_up(self, selection=None, again=None):
        definitions, lineage = self.definitions()
        what = wanted(definitions, lineage, selection, again)
        return bring_up_to_date(definitions, lineage, self.home, self.instance, what).executed

    def events(self, name):
        return self.instance.fetch_materializations(dg.AssetKey(name), limit=1000).records

    def files(self):
        return {path: path.read_bytes() for path in sorted(self.home.root.rglob("*.parquet"))}

    def launch(self, name, keys, compute=InProcessCompute, **config):
        """Materialize a range of shards as the UI does, with what its launchpad holds; whether it came through."""
        job = self.definitions(compute)[0].resolve_implicit_global_asset_job_def()
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        return (
            job.get_subset(asset_selection={dg.AssetKey(name)})
            .execute_in_process(instance=self.instance, tags=tags, run_config={"ops": {name: {"config": config}}})
            .success
        )


def stale_in_dagster(small):
    """What Dagster's own staleness marks say, per asset and shard."""
    definitions, lineage = small.definitions()
    resolver = CachingStaleStatusResolver(
        small.instance, definitions.resolve_asset_graph(), LoadingContextForTest(small.instance)
    )
    marks = {}
    for each in lineage.assets.values():
        for key in each.keys:
            partition = key if each.partitioned else None
            marks[each.name, key] = resolver.get_status(dg.AssetKey(each.name), partition)
    return {place for place, status in marks.items() if status != StaleStatus.FRESH}


@contextmanager
def small_run(folder):
    """A SmallRun in a folder, with a Dagster instance that reports nothing and waits for no disk."""
    sync_less()
    with dg.DagsterInstance.local_temp(str(folder), overrides=NO_TELEMETRY) as instance:
        yield SmallRun(folder / "home", instance)
