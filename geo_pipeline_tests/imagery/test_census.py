"""The census counts every photograph once, over many shards, and misses none."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.contracts.frames import DamagedTableError
from geo_pipeline.imagery.census import LostPhotographsError, ShardFiles, census


def write(folder, name, rows):
    """Some columns of one of the stored tables, with the types of its contract."""
    table = name.partition("-")[0]
    columns = {"catalogue": ("image_id", "set_name", "author"), "images": ("image_id", "set_name")}
    names = columns.get(table, ("image_id", "reason"))
    schema = pa.schema([load(table).arrow_schema.field(column) for column in names])
    path = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema), path)
    return path


def shard(folder, key, catalogue, images, undecoded=(), refused=(), query_set=None):
    """Rows of the four tables of a shard."""
    return ShardFiles(
        catalogue=write(folder, f"catalogue-{key}", catalogue),
        images=write(folder, f"images-{key}", images),
        refused=write(folder, f"quarantine-{key}-refused", refused),
        undecoded=write(folder, f"quarantine-{key}-undecoded", undecoded),
        query_set=query_set,
    )


@pytest.fixture
def shards(tmp_path):
    return [
        shard(
            tmp_path,
            "a",
            [("1", "train", "ann"), ("2", "holdout", None), ("3", "train", "bob")],
            [("1", "train")],
            [("2", "truncated"), ("3", "truncated")],
            [(None, "null_island")],
        ),
        shard(tmp_path, "b", [("4", "train", "ann")], [("4", "train")]),
        shard(tmp_path, "c", [], [], [], [("9", "null_island"), (None, "no_coordinate")], query_set="bench"),
    ]


def test_sets_steps_and_reasons_are_counted_over_all_shards(shards):
    table = census(shards)
    assert load("census").problems(table) == []
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("bench", "catalogue", "no_coordinate", 1, None),
        ("bench", "catalogue", "null_island", 1, None),
        ("holdout", "catalogue", None, 1, 0),
        ("holdout", "decode", "truncated", 1, None),
        ("train", "catalogue", None, 3, 2),
        ("train", "decode", "truncated", 1, None),
        ("train", "decode", None, 2, None),
        (None, "catalogue", "null_island", 1, None),
    ]


def test_bob_and_bob_are_one_author_and_unknown_ones_are_none(tmp_path):
    authors = ("Bob", "bob ", "Ann", "unknown", None)
    kept = [(str(number), "train", author) for number, author in enumerate(authors)]
    counted = census([shard(tmp_path, "d", kept, [row[:2] for row in kept])]).to_pylist()
    assert [(row["stage"], row["count"], row["authors"]) for row in counted] == [
        ("catalogue", 5, 2),
        ("decode", 5, None),
    ]


def test_one_shard_alone_and_empty_shards_are_counted(shards):
    assert census(shards[1:2])["count"].to_pylist() == [1, 1]
    assert census(shards[2:])["set_name"].to_pylist() == ["bench", "bench"]


def test_photographs_that_are_nowhere_are_named_by_their_set(shards, tmp_path):
    lost = replace(shards[0], images=write(tmp_path, "images-lost", []))
    with pytest.raises(LostPhotographsError, match="found 2 of 3 in train decoded or rejected"):
        census([lost, *shards[1:]])


def test_a_refused_photograph_that_the_catalogue_does_not_have_is_not_passed_over(shards, tmp_path):
    strange = replace(shards[1], undecoded=write(tmp_path, "quarantine-strange", [("77", "truncated")]))
    with pytest.raises(LostPhotographsError, match="1 of 0 in None"):
        census([shards[0], strange])


def test_a_damaged_file_is_named(shards):
    path = shards[0].catalogue
    data = bytearray(path.read_bytes())
    data[30:60] = bytes(30)
    path.write_bytes(data)
    with pytest.raises(DamagedTableError, match=r"catalogue-a\.parquet is damaged"):
        census(shards)
