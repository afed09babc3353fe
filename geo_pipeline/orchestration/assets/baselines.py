"""The assets `baseline_checkpoints` and `baseline_predictions`: a partition for each variant, and for each shard of it.

A variant is a published method on GeoSURGE's parts, with the idea that names it or without. The networks stand in
baselines/, their entries in methods/.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.baselines.registry import entry
from geo_pipeline.home.artifact import checkpoint, table
from geo_pipeline.orchestration.partitions import (
    ALL,
    Scope,
    benchmark_shards,
    shard_part,
    variant_and_shard,
    variant_key,
    variant_part,
    whole,
)
from geo_pipeline.orchestration.recipe import GPU, asset
from geo_pipeline.orchestration.work import ShardReads, Work
from geo_pipeline.profiles.profile import ProfileError


def variants(scope: Scope) -> tuple[str, ...]:
    """Every baseline, with its idea and without."""
    return tuple(name for name, method in scope.methods.items() if method.baseline is not None)


def everyday_variants(scope: Scope) -> tuple[str, ...]:
    """Those that a plain run trains and reports (`--baselines`)."""
    chosen = scope.profile.everyday_baselines
    return tuple(name for name in variants(scope) if scope.methods[name].baseline in chosen)


def variant_shards(scope: Scope) -> tuple[str, ...]:
    """Every shard of a benchmark for every variant."""
    return tuple(variant_key(variant, shard) for variant in variants(scope) for shard in benchmark_shards(scope))


def everyday_variant_shards(scope: Scope) -> tuple[str, ...]:
    """Every shard of a benchmark for those of a plain run."""
    chosen = everyday_variants(scope)
    return tuple(variant_key(variant, shard) for variant in chosen for shard in benchmark_shards(scope))


def config_of(scope: Scope, variant: str) -> BaselineConfig:
    """How a variant is trained. Raises ProfileError where the profile does not say."""
    configs = {config.method: config for config in scope.profile.baselines}
    if variant not in configs:
        raise ProfileError(
            f"found no configuration of the baseline {variant} in profile {scope.profile.name}, expected one of "
            f"{', '.join(configs)}; add it to the profile's baselines"
        )
    return replace(configs[variant], tau_max=scope.profile.partition.tau_max)


def cells_of(scope: Scope, key: str) -> tuple[str, ...]:
    """The geocells, for a variant that is built on them."""
    return (ALL,) if entry(str(scope.methods[key].baseline)).cells else ()


def maps_of(scope: Scope, key: str) -> tuple[str, ...]:
    """The class maps of a key's shard, for a variant that reads them."""
    variant, shard = variant_and_shard(key)
    return (shard,) if "segmentations" in scope.methods[variant].upstream else ()


def network_of(scope: Scope, key: str) -> tuple[Callable[..., Any], ...]:
    """The class of a variant's network, whose code decides its bytes."""
    method = scope.methods[variant_and_shard(key)[0]]
    return (entry(str(method.baseline)).network, method.queries, method.arguments, method.worker)


@asset(
    title="Checkpoints of the baselines",
    partitions=variants,
    everyday=everyday_variants,
    reads={"image_manifest": whole, "segmentation_manifest": whole, "geocells": cells_of},
    writes=lambda key: (checkpoint(f"{key}_checkpoint"), table("training_curves", f"{key}_checkpoint")),
    settings=lambda scope: scope.profile.compute.training_settings(),
    settings_of=config_of,
    counted_of=network_of,
    group_name="baselines",
    kinds={"pytorch", "ray"},
    pool=GPU,
)
def baseline_checkpoints(work: Work) -> None:
    """Published methods, trained on the photographs that GeoSURGE is trained on: each with the idea that names it and
    without, a partition each.
    """
    from geo_pipeline.baselines.training import train

    for variant in work.keys:
        cells = entry(str(work.scope.methods[variant].baseline)).cells
        work.train(
            train,
            variant,
            images=work.listed_paths("image_manifest", "images"),
            segmentations=work.listed_paths("segmentation_manifest", "segmentations"),
            hierarchy_table=work.path("geocells") if cells else None,
            config=config_of(work.scope, variant),
        )


@asset(
    title="Predictions of the baselines",
    partitions=variant_shards,
    everyday=everyday_variant_shards,
    reads={"baseline_checkpoints": variant_part, "images": shard_part, "segmentations": maps_of},
    writes=lambda key: (table("predictions", key),),
    settings=lambda scope: (scope.profile.inference, scope.profile.compute.byte_settings()),
    counted_of=network_of,
    group_name="baselines",
    kinds={"parquet", "pytorch", "ray"},
    pool=GPU,
)
def baseline_predictions(work: Work) -> None:
    """Where every baseline, with its idea and without, places every benchmark photograph."""
    for variant, keys in itertools.groupby(work.keys, key=lambda key: variant_and_shard(key)[0]):
        method = work.scope.methods[variant]
        work.map_shards(method.worker(), partial(of_shard, method.queries), method.arguments, keys=list(keys))


def of_shard(queries: Callable[[ShardReads, str], pa.Table], reads: ShardReads, key: str) -> pa.Table:
    """What a method reads of the shard that a key names."""
    return queries(reads, variant_and_shard(key)[1])
