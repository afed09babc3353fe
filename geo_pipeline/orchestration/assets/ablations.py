"""The assets `geosurge_ablations` (one network per variant) and `geosurge_ablation_predictions` (their answers).

Both have one shard per variant. Which variants there are belongs to `geosurge.ablations`.
"""

import itertools
from collections.abc import Iterator, Sequence

import pyarrow as pa

from geo_pipeline.geosurge.ablations import ablated
from geo_pipeline.orchestration.artifacts import Artifact, checkpoint, manifest, table
from geo_pipeline.orchestration.assets.geosurge import TRAIN, WORKER, epoch_line, pairs_of
from geo_pipeline.orchestration.compute import InProcessCompute
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, mapped_shards
from geo_pipeline.profiles.profile import Profile

ABLATIONS = "geosurge_ablations"
PREDICTIONS = "geosurge_ablation_predictions"
PREDICTOR = "geo_pipeline.geosurge.inference:CellPredictor"


def ablation_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """Training and predictions of every variant; none for a profile without ablations."""
    return (_checkpoints(profile), _predictions(profile, shards)) if profile.ablations else ()


def ablation_predictions(variant: str, benchmark: str) -> Artifact:
    """The artifact of a variant's answers to a benchmark."""
    return table("predictions", f"{PREDICTIONS}/{_shard(variant, benchmark)}")


def _shard(variant: str, benchmark: str) -> str:
    return f"{variant}/{benchmark}"


def _checkpoints(profile: Profile) -> Stage:
    configs = {variant: ablated(profile.geosurge, variant) for variant in profile.ablations}

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        for variant in keys:
            step.log(f"variant {variant}")
            training = step.compute.train(
                TRAIN,
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
        keys=profile.ablations,
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
        for variant, group in itertools.groupby(keys, key=lambda key: key.partition("/")[0]):
            kwargs = {"checkpoint_dir": step.checkpoint(ABLATIONS, variant), "inference": profile.inference}
            features = {
                key: pa.concat_tables(parts)
                for key, parts in mapped_shards(step, list(group), lambda key: _pairs(step, key), WORKER, kwargs)
                if parts
            }
            place = InProcessCompute(profile.compute)
            named = {**kwargs, "method": variant}
            for key, parts in mapped_shards(step, list(features), features.__getitem__, PREDICTOR, named, place):
                yield Made(key, {"predictions": pa.concat_tables(parts)})

    def inputs(key: str) -> tuple[Artifact, ...]:
        variant, _, benchmark = key.partition("/")
        return (checkpoint(ABLATIONS, variant), table("images", benchmark), table("segmentations", benchmark))

    return Stage(
        name=PREDICTIONS,
        title="Predictions of the ablations",
        description=(
            "Where every ablated GeoSURGE places every benchmark photograph (its best cell), one shard per variant and "
            "benchmark."
        ),
        group="ablations",
        kinds=("parquet", "pytorch", "ray"),
        keys=tuple(_shard(variant, name) for variant in profile.ablations for name in shards.benchmarks),
        partitioned=True,
        inputs=inputs,
        outputs=lambda key: (ablation_predictions(*key.split("/")),),
        make=make,
        rooms=("geosurge", "earth", "imagery.crops", "imagery.decode"),
        settings=(profile.inference, profile.compute.byte_settings()),
        heavy=True,
        on_demand=True,
    )


def _pairs(step: Step, key: str) -> pa.Table:
    """The photographs of a shard's benchmark with their class maps."""
    return pairs_of(step, key.partition("/")[2])
