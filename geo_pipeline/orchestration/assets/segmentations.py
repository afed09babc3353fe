"""The assets `segmentations` (an ADE20K class map per image) and `segmentation_manifest`."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from geo_pipeline.contracts.contract import load
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, manifest_stage, mapped_shards, same_key
from geo_pipeline.profiles.profile import Profile

WORKER = "geo_pipeline.segmentation.worker:SegmentationWorker"


def segmentation_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """Segmentations and their manifest."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        def read(key: str) -> pa.Table:
            return step.table("images", key, ["image_id", "jpeg"])

        for key, parts in mapped_shards(step, keys, read, WORKER, {"config": profile.segmentation}):
            yield Made(key, {"segmentations": pa.concat_tables(parts) if parts else load("segmentations").empty()})

    segmentations = Stage(
        name="segmentations",
        title="Segmentations",
        description=(
            "What is where in each photograph: a map of the 150 ADE20K classes (sky, building, road, ...), "
            "drawn by OneFormer."
        ),
        group="segmentation",
        kinds=("parquet", "pytorch", "ray"),
        keys=shards.all,
        partitioned=True,
        inputs=same_key("images"),
        outputs=same_key("segmentations"),
        make=make,
        rooms=("segmentation", "imagery.decode"),
        settings=(profile.segmentation, profile.compute.byte_settings()),
        heavy=True,
    )
    manifest = manifest_stage(
        "segmentation_manifest",
        "Reference segmentations",
        "The list of the reference shards' segmentations, so that training depends on one asset.",
        "segmentation",
        ("segmentations",),
        shards.reference,
    )
    return segmentations, manifest
