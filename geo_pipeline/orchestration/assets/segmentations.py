"""The assets `segmentations` (an ADE20K class map per image) and `segmentation_manifest`."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from geo_pipeline.home.reading import HomeReads
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, manifest_stage, same_key, written_shards
from geo_pipeline.profiles.profile import Profile


def segmentation_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """Segmentations and their manifest."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.segmentation.worker import SegmentationWorker

        yield from written_shards(step, step.job(keys, SegmentationWorker, _read, _arguments), keys)

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


def _read(reads: HomeReads[Profile], key: str) -> pa.Table:
    return reads.table("images", key, ["image_id", "jpeg"])


def _arguments(reads: HomeReads[Profile]) -> Mapping[str, object]:
    return {"config": reads.profile.segmentation}
