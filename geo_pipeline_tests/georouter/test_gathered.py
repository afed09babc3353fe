"""Gathering the photographs of a training, and fetching those of a prediction, over a home of many shards: what is read
of the disk, and what becomes of a gathered file that is not whole.
"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.georouter.gathered import gather_images
from geo_pipeline.georouter.lessons import LessonsError, read_lessons
from geo_pipeline.home import by_id, integrity
from geo_pipeline.home.artifact import table
from geo_pipeline.home.halves import BINARY_ROW_GROUP_ROWS
from geo_pipeline.home.home import Home
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.methods.photographs import reference_images
from geo_pipeline_tests import small_lvlm

SHARDS, ROWS = 12, 4 * BINARY_ROW_GROUP_ROWS
HOLDING = {"r0": (3, 700), "r1": (8, 5)}
"""The shards, and the rows in them, where the top-1 references lie."""
RANKS = 2


class CountedFile(pq.ParquetFile):
    """A Parquet file that notes the row groups of which it reads JPEGs, and how often it reads ids alone."""

    groups, ids = [], []

    def __init__(self, source, *args, **kwargs):
        super().__init__(source, *args, **kwargs)
        self.name = Path(str(source)).stem

    def read_row_group(self, i, columns=None, **kwargs):
        self.groups.append((self.name, i))
        return super().read_row_group(i, columns, **kwargs)

    def read(self, columns=None, **kwargs):
        assert columns == ["image_id"], "the whole file is read"
        self.ids.append(self.name)
        return super().read(columns, **kwargs)


@pytest.fixture(scope="module")
def home(georouting, tmp_path_factory):
    """A home with the queries in one shard and, in twelve more of 4 row groups, two references among many others."""
    home = Home(tmp_path_factory.mktemp("home"))
    images = {row["image_id"]: row for row in pq.read_table(georouting / "images.parquet").to_pylist()}
    facts = {
        "locator": "x",
        "set_name": "reference",
        "width": 1,
        "height": 1,
        "sha256": "0" * 64,
        "phash": 0,
        "credit": None,
    }
    other = images["r0"] | facts

    def write(key, rows):
        home.write_table("images", key, pa.Table.from_pylist(rows, schema=load("images").arrow_schema), key)

    queries = [{**other, **image, "set_name": "router_queries"} for name, image in images.items() if name[0] == "q"]
    write("router_queries", queries)
    for shard in range(SHARDS):
        rows = [{**other, "image_id": f"s{shard:02d}-{row:04d}"} for row in range(ROWS)]
        for name, (holder, row) in HOLDING.items():
            if holder == shard:
                rows[row] = {**other, **images[name]}
        write(f"reference-{shard:03d}", rows)
    keys = [f"reference-{shard:03d}" for shard in range(SHARDS)]
    home.write_manifest("image_manifest", {f"images/{key}": home.version(table("images", key)) for key in keys}, "f")
    return home


@pytest.fixture
def counted(monkeypatch):
    """What is read from now on: no file has its ids kept yet."""
    by_id._ids_of.cache_clear()
    monkeypatch.setattr(by_id.pq, "ParquetFile", CountedFile)
    monkeypatch.setattr(CountedFile, "groups", [])
    monkeypatch.setattr(CountedFile, "ids", [])
    yield CountedFile
    by_id._ids_of.cache_clear()


@pytest.fixture
def files(home):
    reads = HomeReads(home, None)
    return [reads.path("images", "router_queries", "part"), *reads.listed_paths("image_manifest", "images", "part")]


def test_a_training_of_two_ranks_reads_ids_once_and_only_the_row_groups_that_hold_wanted_ones(
    home, files, georouting, router_config, tmp_path, counted, monkeypatch
):
    gathered = gather_images(georouting / "georouting.parquet", files, tmp_path)
    monkeypatch.setattr(pq, "read_table", _only_the_table(pq.read_table))
    ranks = [read_lessons(georouting / "georouting.parquet", gathered, router_config) for _ in range(RANKS)]
    assert sorted(counted.ids) == sorted(path.stem for path in files)
    holding = {("router_queries", 0), ("reference-003", 1), ("reference-008", 0)}
    assert sorted(counted.groups) == sorted(holding)
    images = {row["image_id"]: row["jpeg"] for row in pq.read_table(georouting / "images.parquet").to_pylist()}
    for lessons in ranks:
        assert [bytes(each.query.jpeg) for each in lessons] == [images[each.query.image_id] for each in lessons]
        assert [bytes(each.query.top1_jpeg) for each in lessons] == [images[f"r{at % 2}"] for at in range(39)]


@pytest.mark.parametrize("variant", ["image_only", "coordinates_only"])
def test_a_router_that_is_shown_no_reference_reads_none(files, georouting, router_config, tmp_path, counted, variant):
    gathered = gather_images(georouting / "georouting.parquet", files, tmp_path, variant)
    assert counted.groups == [("router_queries", 0)]
    config = replace(router_config, variant=variant)
    assert len(read_lessons(georouting / "georouting.parquet", gathered, config)) == 39
    with pytest.raises(LessonsError, match=r"no image for 2 of 41 ids \(r0, r1\)"):
        read_lessons(georouting / "georouting.parquet", gathered, router_config)


def _only_the_table(read_table):
    """`read_table`, refusing a shard of images."""

    def read(source, *args, **kwargs):
        assert source.stem in ("georouting", "images"), f"a rank reads {source}"
        return read_table(source, *args, **kwargs)

    return read


def test_gathered_images_are_views_of_the_file_and_take_no_memory(files, georouting, router_config, tmp_path):
    gathered = gather_images(georouting / "georouting.parquet", files, tmp_path)
    before = pa.total_allocated_bytes()
    lessons = read_lessons(georouting / "georouting.parquet", gathered, router_config)
    assert isinstance(lessons[0].query.jpeg, pa.Buffer)
    assert pa.total_allocated_bytes() - before < sum(each.query.jpeg.size for each in lessons)


def test_a_prediction_reads_ids_once_per_process_and_only_the_row_groups_that_hold_its_references(home, counted):
    reads = HomeReads(home, SimpleNamespace())
    for _ in range(3):  # the query sets and routers of one process
        found = reference_images(reads, sorted(HOLDING))
        assert sorted(found["image_id"].to_pylist()) == ["r0", "r1"]
        assert found["jpeg"].to_pylist() == [small_lvlm.jpeg(1)] * 2
    assert len(counted.ids) == len(set(counted.ids)) == SHARDS
    assert sorted(counted.groups) == sorted([("reference-003", 1), ("reference-008", 0)] * 3)


def test_an_id_that_no_shard_holds_is_named_and_nothing_is_left(files, georouting, tmp_path):
    with pytest.raises(LessonsError, match=r"no image for 1 of 41 ids \(r1\) in 9 files; expected every query"):
        gather_images(georouting / "georouting.parquet", files[:9], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_is_used_again_a_broken_or_another_one_is_not(files, georouting, tmp_path, counted):
    table = georouting / "georouting.parquet"
    gathered = gather_images(table, files, tmp_path)
    first, read = gathered.read_bytes(), len(counted.groups)
    assert gather_images(table, files, tmp_path) == gathered
    assert len(counted.groups) == read
    for broken in (first[: len(first) // 2], b""):
        gathered.write_bytes(broken)
        assert gather_images(table, files, tmp_path).read_bytes() == first
    assert gather_images(table, files[::-1], tmp_path).read_bytes() != first


def test_a_shard_that_is_replaced_is_read_anew(home, georouting):
    location = home.location(table("images", "reference-003"))
    assert by_id.rows_by_id(location, ["image_id"], ["r0"]).num_rows == 1
    whole = location.read_bytes()
    try:
        pq.write_table(pq.read_table(location).slice(701), location)
        assert by_id.rows_by_id(location, ["image_id"], ["r0"]).num_rows == 0
    finally:
        location.write_bytes(whole)
        integrity.forget()


def test_rows_by_id_are_those_of_a_filter(home):
    location = home.location(table("images", "reference-003"))
    ids = ["r0", "s03-0000", "s03-2047", "absent"]
    expected = pq.read_table(location, columns=["jpeg", "image_id"], filters=[("image_id", "in", ids)])
    assert by_id.rows_by_id(location, ["jpeg", "image_id"], ids).equals(expected)
    assert by_id.rows_by_id(location, None, ids).equals(pq.read_table(location, filters=[("image_id", "in", ids)]))
    assert by_id.rows_by_id(location, ["jpeg", "image_id"], []).equals(expected.slice(0, 0))
