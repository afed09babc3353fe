"""The assets `geosurge_ablations` and `geosurge_ablation_predictions`: a partition per variant, and per shard of it.

Which variants there are belongs to geosurge.ablations.
"""

import itertools
from collections.abc import Mapping
from functools import partial

import pyarrow as pa

from geo_pipeline.geosurge.ablations import OTHER_CROPS, ablated, inference_of, takes_away
from geo_pipeline.geosurge.config import GeoSurgeConfig
from geo_pipeline.home.artifact import table
from geo_pipeline.methods.photographs import photographs_and_maps
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
from geo_pipeline.orchestration.recipe import GPU, asset, checkpoint
from geo_pipeline.orchestration.work import ShardReads, Work


def trained_variants(scope: Scope) -> tuple[str, ...]:
    """The profile's ablations that take something away from its full model."""
    profile = scope.profile
    partitions = len(profile.partition.tau_max)
    return tuple(name for name in profile.ablations if takes_away(profile.geosurge, name, partitions))


def variants(scope: Scope) -> tuple[str, ...]:
    """These, and the full model asked in another way."""
    return (*trained_variants(scope), *(name for name in scope.profile.ablations if name == OTHER_CROPS))


def variant_shards(scope: Scope) -> tuple[str, ...]:
    """Every shard of a benchmark for every variant."""
    return tuple(variant_key(variant, shard) for variant in variants(scope) for shard in benchmark_shards(scope))


def own_checkpoint(scope: Scope, key: str) -> tuple[str, ...]:
    """The checkpoint of a key's variant, where it has been trained again."""
    return () if variant_and_shard(key)[0] == OTHER_CROPS else variant_part(scope, key)


def full_checkpoint(scope: Scope, key: str) -> tuple[str, ...]:
    """The checkpoint of the full model, for a variant that has not."""
    return (ALL,) if variant_and_shard(key)[0] == OTHER_CROPS else ()


def nothing(scope: Scope) -> tuple[str, ...]:
    """A plain run makes none of these."""
    return ()


def config_of(scope: Scope, variant: str) -> GeoSurgeConfig:
    """How a variant is trained."""
    return ablated(scope.profile.geosurge, variant)


@asset(
    title="Ablations of GeoSURGE",
    partitions=trained_variants,
    everyday=nothing,
    reads={"image_manifest": whole, "segmentation_manifest": whole, "geocells": whole},
    writes=checkpoint("geosurge_ablations"),
    settings=lambda scope: scope.profile.compute.training_settings(),
    settings_of=config_of,
    group_name="ablations",
    kinds={"pytorch", "ray"},
    pool=GPU,
)
def geosurge_ablations(work: Work) -> None:
    """GeoSURGE trained again with one thing changed at a time, one partition per variant: a classifier in the place of
    the geographic embeddings, fewer partitions, fewer fusion blocks (Tables VI to VIII).
    """
    from geo_pipeline.geosurge.training import train

    for variant in work.keys:
        work.train(
            train,
            variant,
            images=work.listed_paths("image_manifest", "images"),
            segmentations=work.listed_paths("segmentation_manifest", "segmentations"),
            hierarchy_table=work.path("geocells"),
            config=config_of(work.scope, variant),
        )


@asset(
    title="Predictions of the ablations",
    partitions=variant_shards,
    everyday=nothing,
    reads={
        "geosurge_ablations": own_checkpoint,
        "geosurge_checkpoint": full_checkpoint,
        "images": shard_part,
        "segmentations": shard_part,
    },
    writes=lambda key: (table("predictions", f"geosurge_ablation_predictions/{key}"),),
    settings=lambda scope: (scope.profile.inference, scope.profile.compute.byte_settings()),
    group_name="ablations",
    kinds={"parquet", "pytorch", "ray"},
    pool=GPU,
)
def geosurge_ablation_predictions(work: Work) -> None:
    """Where every ablated GeoSURGE, and the full one asked with another number of crops, places every benchmark
    photograph (its best cell), by variant and shard.
    """
    from geo_pipeline.geosurge.worker import PhotographPredictor

    for variant, keys in itertools.groupby(work.keys, key=lambda key: variant_and_shard(key)[0]):
        work.map_shards(PhotographPredictor, pairs_of_key, partial(trained, variant=variant), keys=list(keys))


def pairs_of_key(reads: ShardReads, key: str) -> pa.Table:
    """The photographs of the shard that a key names, with their class maps."""
    return photographs_and_maps(reads, variant_and_shard(key)[1])


def trained(reads: ShardReads, variant: str) -> Mapping[str, object]:
    """The trained variant, or the full model, and how it is asked."""
    asked = inference_of(variant, reads.profile.geosurge, reads.profile.inference)
    own = ("geosurge_checkpoint",) if variant == OTHER_CROPS else ("geosurge_ablations", variant)
    return {"checkpoint_dir": reads.checkpoint(*own), "inference": asked, "method": variant}
