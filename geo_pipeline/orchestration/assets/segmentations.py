"""The assets `segmentations` and `segmentation_manifest`. The network stands in segmentation.oneformer."""

from collections.abc import Mapping

import pyarrow as pa

from geo_pipeline.orchestration.partitions import all_shards, every, reference_shards, same_shard
from geo_pipeline.orchestration.recipe import GPU, asset, listing, tables
from geo_pipeline.orchestration.work import ShardReads, Work


@asset(
    title="Segmentations",
    partitions=all_shards,
    reads={"images": same_shard},
    writes=tables("segmentations"),
    settings=lambda scope: (scope.profile.segmentation, scope.profile.compute.byte_settings()),
    group_name="segmentation",
    kinds={"parquet", "pytorch", "ray"},
    pool=GPU,
)
def segmentations(work: Work) -> None:
    """What is where in each photograph: a map of the 150 ADE20K classes (sky, building, ...), drawn by OneFormer."""
    from geo_pipeline.segmentation.worker import SegmentationWorker

    work.map_shards(SegmentationWorker, photographs, oneformer)


@asset(
    title="Reference segmentations",
    reads={"segmentations": every(reference_shards)},
    writes=listing("segmentation_manifest"),
    group_name="segmentation",
    kinds={"json"},
)
def segmentation_manifest(work: Work) -> None:
    """The list of the reference shards' segmentations, so that training depends on one asset."""
    work.list_inputs()


def photographs(reads: ShardReads, key: str) -> pa.Table:
    """The images of a shard."""
    return reads.table("images", key, ["image_id", "jpeg"])


def oneformer(reads: ShardReads) -> Mapping[str, object]:
    """Which OneFormer draws the maps."""
    return {"config": reads.profile.segmentation}
