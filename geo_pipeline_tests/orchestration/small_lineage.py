"""A lineage of four real stages without networks: numbers per shard, a table per shard, a manifest, a sum over all.

The numbers lie outside the home and are read as one listing, as the catalogue reads its photographs.
"""

from dataclasses import dataclass, field

import dagster as dg
import pyarrow as pa

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.artifact import ALL, manifest, table
from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.definition import RunControl, stage_asset
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.runner import bring_up_to_date
from geo_pipeline.orchestration.stage import Made, Stage, manifest_stage, same_key, written_shards
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sample import sample

SHARDS = ("a", "b", "c", "d")


class StoppedError(RuntimeError):
    """The test stops a stage in the middle, as a kill would."""


class Doubler:
    """A worker: feature -> feature twice, as training curves."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, rows):
        losses = [self.factor * value[0] for value in rows["feature"].to_pylist()]
        return curves(losses)


def curves(losses):
    count = len(losses)
    return pa.table(
        {
            "step": pa.array(range(count), pa.int64()),
            "epoch": pa.array([0] * count, pa.int64()),
            "split": ["train"] * count,
            "loss": pa.array(losses, pa.float64()),
            "learning_rate": pa.array([0.1] * count, pa.float64()),
            "metric": pa.nulls(count, pa.float64()),
        }
    )


@dataclass
class World:
    """What lies outside: the numbers of each shard, and how the stages behave."""

    numbers: dict = field(default_factory=lambda: {"a": [1.0, 2.0, 3.0], "b": [4.0], "c": [], "d": [5.0, 6.0]})
    factor: float = 2.0
    stop_after: int | None = None
    made: list = field(default_factory=list)
    looks: int = 0

    def digest(self):
        self.looks += 1
        return str(self.numbers)


def build(world):
    def make_features(step, keys):
        for number, key in enumerate(keys):
            if world.stop_after is not None and number >= world.stop_after:
                raise StoppedError("stopped in the middle")
            world.made.append(("features", key))
            values = world.numbers[key]
            ids = [f"{key}-{position}" for position in range(len(values))]
            column = pa.array([[value / 100] for value in values], pa.list_(pa.float32()))
            yield Made(key, {"features": pa.table({"image_id": pa.array(ids, pa.string()), "feature": column})})

    def make_doubles(step, keys):
        job = step.job(
            keys, Doubler, lambda reads, key: reads.table("features", key), lambda reads: {"factor": 2}, batch_rows=2
        )
        for made in written_shards(step, job, keys):
            world.made.append(("doubles", made.key))
            yield made

    def make_total(step, keys):
        world.made.append(("total", ALL))
        shards = step.listed("features_manifest", "features")
        values = [row[0] for key in shards for row in step.table("features", key)["feature"].to_pylist()]
        yield Made(ALL, {"training_curves": curves([world.factor * sum(values)])})

    plain = {"title": "t", "description": "Numbers.", "group": "g", "kinds": ("parquet",), "rooms": ("earth.distance",)}
    features = Stage(
        name="features", keys=SHARDS, partitioned=True, inputs=lambda key: (), outputs=same_key("features"),
        make=make_features, outside=world.digest, **plain,
    )  # fmt: skip
    doubles = Stage(
        name="doubles", keys=SHARDS, partitioned=True, inputs=same_key("features"), outputs=same_key("training_curves"),
        make=make_doubles, heavy=True, **plain,
    )  # fmt: skip
    listing = manifest_stage("features_manifest", "t", "The shards.", "g", ("features",), SHARDS)
    total = Stage(
        name="total", keys=(ALL,), partitioned=False, inputs=lambda key: (manifest("features_manifest"),),
        outputs=lambda key: (table("training_curves", "total"),), make=make_total, settings=world.factor, **plain,
    )  # fmt: skip
    return Lineage(sample(0), {stage.name: stage for stage in (features, doubles, listing, total)}, {})


class SmallRun:
    """One home with its Dagster instance; `bring_up` runs what is needed, with the world as it is."""

    def __init__(self, folder, instance):
        self.home = Home(folder)
        self.instance = instance
        self.world = World()

    def definitions(self):
        lineage, control = build(self.world), RunControl()
        compute = InProcessCompute(ComputeConfig(batch_rows=2))
        definitions = dg.Definitions(
            assets=[stage_asset(lineage, stage) for stage in lineage.stages.values()],
            resources={"home": self.home, "compute": compute, "control": control},
            executor=dg.in_process_executor,
        )
        return definitions, lineage, control

    def bring_up(self, selection=None):
        definitions, lineage, control = self.definitions()
        return bring_up_to_date(definitions, lineage, self.home, control, self.instance, selection).executed

    def events(self, name):
        return self.instance.fetch_materializations(dg.AssetKey(name), limit=1000).records

    def files(self):
        return {path: path.read_bytes() for path in sorted(self.home.root.rglob("*.parquet"))}
