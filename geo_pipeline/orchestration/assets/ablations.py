"""The assets `geosurge_ablations` (one network per variant) and `geosurge_ablation_predictions` (their answers).

Both have one shard per variant. Which variants there are belongs to `geosurge.ablations`.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from geo_pipeline.geosurge.ablations import ablated, inference_of, takes_away
from geo_pipeline.home.artifact import Artifact, checkpoint, manifest, table
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.orchestration.assets.geosurge import epoch_line, pairs_of
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, written_shards
from geo_pipeline.profiles.profile import Profile

ABLATIONS = "geosurge_ablations"
PREDICTIONS = "geosurge_ablation_predictions"


def ablation_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """Training and predictions of every variant; none for a profile without ablations."""
    return (_checkpoints(profile), _predictions(profile, shards)) if variants(profile) else ()


def variants(profile: Profile) -> tuple[str, ...]:
    """The profile's ablations that take something away from its full model."""
    partitions = len(profile.partition.tau_max)
    return tuple(name for name in profile.ablations if takes_away(profile.geosurge, name, partitions))


def ablation_predictions(variant: str, part: str) -> Artifact:
    """The artifact of a variant's answers to a shard of a benchmark."""
    return table("predictions", f"{PREDICTIONS}/{_shard(variant, part)}")


def _shard(variant: str, part: str) -> str:
    return f"{variant}/{part}"


def _checkpoints(profile: Profile) -> Stage:
    configs = {variant: ablated(profile.geosurge, variant) for variant in variants(profile)}

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.geosurge.training import train

        for variant in keys:
            step.log(f"variant {variant}")
            training = step.compute.train(
                train,
                {
                    "images": step.listed_paths("image_manifest", "images"),
                    "segmentations": step.listed_paths("segmentation_manifest", "segmentations"),
                    "hierarchy_table": step.path("geocells"),
                    "config": configs[variant],
                    "out_dir": step.building(variant),
                },
                lambda row, variant=variant: step.log(f"{variant}: {epoch_line(row)}"),  # type: ignore[misc]
            )
            yield Made(variant, {"training_curves": training.curves}, notes=training.metrics)

    return Stage(
        name=ABLATIONS,
        title="Ablations of GeoSURGE",
        description=(
            "GeoSURGE trained again with one thing changed at a time, one shard per variant: a classifier in the place "
            "of the geographic embeddings, fewer partitions, fewer fusion blocks (Tables VI to VIII)."
        ),
        group="ablations",
        kinds=("pytorch", "ray"),
        keys=tuple(configs),
        partitioned=True,
        inputs=lambda variant: (manifest("image_manifest"), manifest("segmentation_manifest"), table("geocells")),
        outputs=lambda variant: (checkpoint(ABLATIONS, variant), table("training_curves", f"{ABLATIONS}/{variant}")),
        make=make,
        rooms=("geosurge", "earth", "imagery.crops", "imagery.decode"),
        settings=(configs, profile.compute.training_settings()),
        heavy=True,
        on_demand=True,
    )


def _predictions(profile: Profile, shards: Shards) -> Stage:
    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.geosurge.worker import PhotographPredictor

        for variant, group in itertools.groupby(keys, key=lambda key: key.partition("/")[0]):
            shards = list(group)
            arguments = functools.partial(_arguments, variant)
            yield from written_shards(step, step.job(shards, PhotographPredictor, _pairs, arguments), shards)

    def inputs(key: str) -> tuple[Artifact, ...]:
        variant, _, part = key.partition("/")
        return (checkpoint(ABLATIONS, variant), table("images", part), table("segmentations", part))

    return Stage(
        name=PREDICTIONS,
        title="Predictions of the ablations",
        description=(
            "Where every ablated GeoSURGE places every benchmark photograph (its best cell), by variant and shard of a "
            "benchmark."
        ),
        group="ablations",
        kinds=("parquet", "pytorch", "ray"),
        keys=tuple(_shard(variant, name) for variant in variants(profile) for name in shards.benchmark_keys),
        partitioned=True,
        inputs=inputs,
        outputs=lambda key: (ablation_predictions(*key.split("/")),),
        make=make,
        rooms=("geosurge", "earth", "imagery.crops", "imagery.decode"),
        settings=(profile.inference, profile.compute.byte_settings()),
        heavy=True,
        on_demand=True,
    )


def _arguments(variant: str, reads: HomeReads[Profile]) -> Mapping[str, object]:
    inference = inference_of(ablated(reads.profile.geosurge, variant), reads.profile.inference)
    return {"checkpoint_dir": reads.checkpoint(ABLATIONS, variant), "inference": inference, "method": variant}


def _pairs(reads: HomeReads[Profile], key: str) -> pa.Table:
    """The photographs that a key of the predictions stands for, with their class maps."""
    return pairs_of(reads, key.partition("/")[2])
