"""A shard's photographs go through OneFormer by their size, and its class maps come back in the shard's order."""

import itertools
from types import SimpleNamespace

import pyarrow as pa

from geo_pipeline.compute.shard_job import in_batches
from geo_pipeline.orchestration.assets.segmentations import in_the_shards_order, photographs

SIZES = [(384, 512), (512, 384), (384, 384), (384, 576)] * 16


def shard(rows: int) -> SimpleNamespace:
    images = pa.table(
        {
            "image_id": pa.array([f"image-{row}" for row in range(rows)], pa.string()),
            "jpeg": pa.array([str(row).encode() for row in range(rows)], pa.binary()),
            "width": pa.array([width for width, _ in SIZES[:rows]], pa.int32()),
            "height": pa.array([height for _, height in SIZES[:rows]], pa.int32()),
        }
    )
    return SimpleNamespace(table=lambda name, key, columns: images.select(columns))


def test_photographs_of_one_size_stand_together_over_the_whole_shard():
    rows = photographs(shard(64), "one")
    sizes = list(zip(rows["width"].to_pylist(), rows["height"].to_pylist(), strict=True))
    assert sum(one != other for one, other in itertools.pairwise(sizes)) == 3
    forwards = sum(len(set(sizes[start : start + 16])) for start in range(0, 64, 16))
    assert forwards == 4, "a batch of 16 as the shard holds them would take four each"
    places = rows["place"].to_pylist()
    assert all(one < other for one, other in itertools.pairwise(places[:16]))


def test_class_maps_come_back_in_the_order_of_the_shard():
    rows = photographs(shard(64), "one")
    parts = [batch.select(["image_id", "width", "height"]) for batch in in_batches(rows, 10)]
    found = in_the_shards_order(rows, parts)["segmentations"]
    assert found["image_id"].to_pylist() == [f"image-{row}" for row in range(64)]
    assert list(zip(found["width"].to_pylist(), found["height"].to_pylist(), strict=True)) == SIZES


def test_a_shard_without_photographs_has_no_class_maps():
    assert in_the_shards_order(photographs(shard(0), "one"), [])["segmentations"].num_rows == 0
