"""One predictions asset per entry of METHODS: its answer to every query image, one row each."""

import importlib
from collections.abc import Iterator, Sequence

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.artifact import Artifact, checkpoint, manifest, table
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, prediction, written_shards
from geo_pipeline.profiles.profile import Profile

MANIFESTS = ("image_manifest", "segmentation_manifest", "reference_gallery")


def prediction_stage(
    method: Method, methods: dict[str, Method], profile: Profile, shards: Shards, on_demand: bool = False
) -> Stage:
    """The predictions of one method."""
    keys = shards.benchmark_keys if method.query_sets == "benchmarks" else shards.query_keys

    def inputs(key: str) -> tuple[Artifact, ...]:
        return tuple(_input(asset, key, methods) for asset in method.upstream)

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        place = step.compute if method.remote else InProcessCompute(profile.compute)
        module, _, name = method.implementation.partition(":")
        worker = getattr(importlib.import_module(module), name)
        yield from written_shards(step, step.job(keys, worker, method.queries, method.arguments), keys, place)

    return Stage(
        name=method.asset,
        title=f"Predictions: {method.title}",
        description=method.description,
        group="baselines" if method.baseline else "routing" if method.paradigm == "router" else "predictions",
        kinds=("parquet", "pytorch", "ray") if method.remote else ("parquet",),
        keys=keys,
        partitioned=True,
        inputs=inputs,
        outputs=lambda key: (prediction(method, key),),
        make=make,
        rooms=method.rooms,
        settings=(method.settings(profile), profile.compute.byte_settings()),
        heavy=method.remote,
        on_demand=on_demand,
    )


def _input(asset: str, key: str, methods: dict[str, Method]) -> Artifact:
    for method in methods.values():
        if method.asset == asset:
            return prediction(method, key)
    if asset in MANIFESTS:
        return manifest(asset)
    if asset.endswith("_checkpoint"):
        return checkpoint(asset)
    return table(asset) if asset == "geocells" else table(asset, key)
