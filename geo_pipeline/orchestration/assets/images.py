"""The assets `images` and `image_manifest`. How a photograph is decoded belongs to imagery.ingest."""

from collections.abc import Mapping

import pyarrow as pa

from geo_pipeline.orchestration.partitions import all_shards, every, reference_shards, same_shard
from geo_pipeline.orchestration.recipe import asset, listing, tables
from geo_pipeline.orchestration.work import ShardReads, Work

DECODE_ROWS = 256
"""Photographs that a worker reads at once: enough that neighbours in a container come in few requests."""


@asset(
    title="Images",
    partitions=all_shards,
    reads={"catalogue": same_shard},
    writes=tables("images", "quarantine"),
    settings=lambda scope: (scope.profile.canonical_px, scope.profile.canonical_quality),
    counted=lambda scope: scope.profile.source.drawn_by(),
    group_name="photographs",
    kinds={"parquet", "jpeg", "ray"},
)
def images(work: Work) -> None:
    """The photographs themselves, upright and at one size, as JPEGs without EXIF; one that is so already keeps its
    coded picture. A photograph that cannot be decoded is kept in the table quarantine with the reason, and counts as a
    failure of every method if it belongs to a benchmark.
    """
    from geo_pipeline.imagery.ingest import DecodeWorker, decoded_tables, rejections

    work.map_shards(
        DecodeWorker,
        catalogued,
        decoding,
        finish=decoded_tables,
        notes=rejections,
        batch_rows=DECODE_ROWS,
        ahead=1,
        on_cpu=True,
    )


@asset(
    title="Reference images",
    reads={"images": every(reference_shards)},
    writes=listing("image_manifest"),
    group_name="photographs",
    kinds={"json"},
)
def image_manifest(work: Work) -> None:
    """The list of the reference shards' images, so that what needs all of them (geocells, training) depends on one
    asset.
    """
    work.list_inputs()


def catalogued(reads: ShardReads, key: str) -> pa.Table:
    """The catalogue of a shard, in the order in which its photographs are read."""
    from geo_pipeline.imagery.ingest import CARRIED, in_reading_order

    return in_reading_order(reads.table("catalogue", key, CARRIED))


def decoding(reads: ShardReads) -> Mapping[str, object]:
    """Where photographs lie, and the size and quality at which they are kept."""
    profile = reads.profile
    return {
        "source": profile.source.open(),
        "shorter_side": profile.canonical_px,
        "quality": profile.canonical_quality,
    }
