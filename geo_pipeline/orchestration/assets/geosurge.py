"""The assets `geosurge_checkpoint` (the trained network).

`features` (what it sees in each image) and `reference_gallery`.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from geo_pipeline.home.artifact import ALL, checkpoint, manifest, table
from geo_pipeline.home.joining import with_column
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, manifest_stage, written_shards
from geo_pipeline.profiles.profile import Profile

CHECKPOINT = "geosurge_checkpoint"


def geosurge_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """Training, features, gallery."""
    return (
        _checkpoint(profile),
        _features(profile, shards),
        manifest_stage(
            "reference_gallery",
            "Reference gallery",
            "The reference photographs as retrieval searches them: the list of their images and features.",
            "geosurge",
            ("images", "features"),
            shards.reference,
        ),
    )


def _checkpoint(profile: Profile) -> Stage:
    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.geosurge.training import train

        training = step.compute.train(
            train,
            {
                "images": step.listed_paths("image_manifest", "images"),
                "segmentations": step.listed_paths("segmentation_manifest", "segmentations"),
                "hierarchy_table": step.path("geocells"),
                "config": profile.geosurge,
                "out_dir": step.building(),
            },
            lambda row: step.log(epoch_line(row)),
        )
        yield Made(ALL, {"training_curves": training.curves}, notes=training.metrics)

    return Stage(
        name=CHECKPOINT,
        title="GeoSURGE checkpoint",
        description=(
            "GeoSURGE, trained: a network that places a photograph and every geocell in one space, from "
            "the look of the photograph and the map "
            "of what is in it."
        ),
        group="geosurge",
        kinds=("pytorch", "ray"),
        keys=(ALL,),
        partitioned=False,
        inputs=lambda key: (manifest("image_manifest"), manifest("segmentation_manifest"), table("geocells")),
        outputs=lambda key: (checkpoint(CHECKPOINT), table("training_curves", CHECKPOINT)),
        make=make,
        rooms=("geosurge", "earth", "imagery.crops", "imagery.decode"),
        settings=(profile.geosurge, profile.compute.training_settings()),
        heavy=True,
    )


def _features(profile: Profile, shards: Shards) -> Stage:
    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.geosurge.worker import FeatureWorker

        yield from written_shards(step, step.job(keys, FeatureWorker, pairs_of, _arguments), keys)

    return Stage(
        name="features",
        title="Features",
        description=(
            "What GeoSURGE sees in each photograph, as one vector: compared with geocells it gives a place, "
            "with other photographs a likeness."
        ),
        group="geosurge",
        kinds=("parquet", "pytorch", "ray"),
        keys=shards.all,
        partitioned=True,
        inputs=lambda key: (table("images", key), table("segmentations", key), checkpoint(CHECKPOINT)),
        outputs=lambda key: (table("features", key),),
        make=make,
        rooms=("geosurge", "imagery.crops", "imagery.decode"),
        settings=(profile.inference, profile.compute.byte_settings()),
        heavy=True,
    )


def _arguments(reads: HomeReads[Profile]) -> Mapping[str, object]:
    return {"checkpoint_dir": reads.checkpoint(CHECKPOINT), "inference": reads.profile.inference}


def pairs_of(reads: HomeReads[Profile], key: str) -> pa.Table:
    """image_id, jpeg and class_map_png of one shard, in the order of its images."""
    images = reads.table("images", key, ["image_id", "jpeg"])
    return with_column(images, reads.table("segmentations", key, ["image_id", "class_map_png"]), "class_map_png")


def epoch_line(row: dict[str, object]) -> str:
    """What a training loop reported, as one line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
    )
