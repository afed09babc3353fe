"""The assets `segmentations` and `segmentation_manifest`. The network stands in segmentation.oneformer."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.contracts.contract import load
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

    work.map_shards(SegmentationWorker, photographs, oneformer, finish=in_the_shards_order)


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
    """The images of a shard, those of one size together: only they share a forward of the network."""
    rows = reads.table("images", key, ["image_id", "jpeg", "width", "height"])
    placed = rows.append_column("place", pa.array(range(len(rows)), pa.int64()))
    return placed.sort_by([(name, "ascending") for name in ("height", "width", "place")])


def in_the_shards_order(rows: pa.Table, parts: list[pa.Table]) -> Mapping[str, pa.Table]:
    """The class maps in the order in which the shard holds its images."""
    if not parts:
        return {"segmentations": load("segmentations").empty()}
    return {"segmentations": pa.concat_tables(parts).take(pc.sort_indices(rows["place"]))}


def oneformer(reads: ShardReads) -> Mapping[str, object]:
    """Which OneFormer draws the maps."""
    return {"config": reads.profile.segmentation}
