"""Files made to harm: each ends as a clear error or as rows of the quarantine, soon, and without much memory.

What single readers make of damage is tested beside them; here a whole source is opened as a user opens it. Archives
are in test_hostile_archives.py.
"""

import struct
import time

import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.imagery.catalogue import EmptyCatalogueError, build_catalogue
from geo_pipeline.imagery.decode import ImageRejected, canonical_image
from geo_pipeline.imagery.ingest import decode_shard
from geo_pipeline.imagery.metadata.read import SwappedColumnsError
from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.imagery.source import SourceError, records_of
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline_tests.imagery.drawn_files import bomb_png, encoded, quartered
from geo_pipeline_tests.imagery.hostile_files import GOOD, listed, member, write_tar


def test_a_link_in_the_place_of_a_folder_of_photographs_leads_nowhere(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.jpg").write_bytes(GOOD)
    (tmp_path / "images" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "images" / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "images" / "b.jpg").write_bytes(GOOD)
    found = {record.locator: record for record in listed(tmp_path, "images")}
    assert found["b.jpg"].problem is None
    assert found["a.jpg"].problem is not None
    assert found["circle.jpg"].problem is not None
    assert all(record.detail for record in found.values() if record.problem)


# Photographs


def jpeg_header(width, height):
    """A whole small JPEG whose header claims another size."""
    data = bytearray(encoded(quartered(16, 16)))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


BOMBS = {
    "png": bomb_png(),
    "wide png": bomb_png(200_000_000, 1),
    "jpeg": jpeg_header(65_500, 65_500),
    "gif": b"GIF89a\xff\xff\xff\xff\x00\x00\x00" + b"," + b"\0\0\0\0\xff\xff\xff\xff\0\x08\0;",
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIIIII", 200, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99),
    "webp": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(8),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_an_image_that_claims_gigapixels_is_not_decoded(kind):
    started = time.process_time()
    with pytest.raises(ImageRejected) as raised:
        canonical_image(BOMBS[kind], 224, 90)
    assert raised.value.reason in ("decompression_bomb", "extreme_aspect", "unreadable", "truncated")
    assert time.process_time() - started < 2
    if kind in ("png", "jpeg"):
        assert raised.value.reason == "decompression_bomb"
        assert "at most" in raised.value.detail


def test_a_shard_of_bombs_goes_to_quarantine_and_the_rest_is_kept(tmp_path):
    images = {**{f"{kind}-bomb": data for kind, data in BOMBS.items()}, "good": GOOD}
    (tmp_path / "a.msg").write_bytes(
        b"".join(msgpack.packb({"id": name, "image": data, "lat": 1.5, "lon": 2}) for name, data in images.items())
    )
    source = open_source(str(tmp_path / "a.msg"))
    catalogue = build_catalogue(source, SplitConfig(holdout=0.0, router_queries=0.0), ShardPlan(1))
    kept, failed = decode_shard(source, catalogue.kept("reference-000"), 32)
    assert kept["image_id"].to_pylist() == ["good"]
    assert len(failed) == len(BOMBS)


# msgpack and Parquet


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (msgpack.packb([{"id": "a", "image": GOOD}]), "found list without id and image"),
        (msgpack.packb({"a": GOOD, "b": GOOD}), "found dict without id and image"),
        (msgpack.packb(7) * 1000, "found int, int, int without id"),
        (msgpack.packb({"id": "a", "img": GOOD}), "the keys id, img; expected an image"),
        (b"\x82\xa2id\xa1a\xa5image\xc6\xff\xff\xff\xff" + GOOD, "no whole record"),
        (b"\x1f\x8b" + bytes(100), "begins as gzip"),
    ],
    ids=["list", "map of images", "numbers", "other key", "four gigabytes", "gzip"],
)
def test_msgpack_of_another_shape_is_one_clear_error(tmp_path, content, words):
    (tmp_path / "a.msg").write_bytes(content)
    with pytest.raises(EmptyCatalogueError, match="none that can be used") as raised:
        build_catalogue(open_source(str(tmp_path / "a.msg")), SplitConfig(), ShardPlan(1))
    assert words in str(raised.value)


def test_parquet_of_another_schema_is_one_clear_error(tmp_path):
    pq.write_table(pa.table({"url": ["http://x"], "latitude": [1.0], "longitude": [2.0]}), tmp_path / "a.parquet")
    with pytest.raises(SourceError) as raised:
        listed(tmp_path, "a.parquet")
    for words in ("a.parquet: found the columns url (string)", "expected the photographs", "Rename the column"):
        assert words in str(raised.value)


def test_truncated_parquet_loses_no_row_of_the_metadata(tmp_path):
    pq.write_table(pa.table({"id": ["a", "b"], "image": [GOOD, GOOD]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-10])
    (tmp_path / "m.csv").write_text("id,lat,lon\na,1,2\nb,1,2\n")
    found = listed(tmp_path, "a.parquet", "m.csv")
    assert [record.problem for record in found] == ["missing_file", "missing_file", "truncated"]
    with pytest.raises(EmptyCatalogueError, match="missing_file 2, truncated 1"):
        build_catalogue(open_source(str(tmp_path / "a.parquet"), str(tmp_path / "m.csv")), SplitConfig(), ShardPlan(1))


# Metadata


def test_metadata_cannot_point_a_benchmark_at_bytes_outside(tmp_path):
    """Rows of a benchmark stay in its denominator without a file; their path must not become a place to read."""
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards" / "a.tar", member("good.jpg"))
    (tmp_path / "secret.jpg").write_bytes(GOOD)
    paths = [
        "good.jpg",
        f"../secret.jpg!x@0+{len(GOOD)}",
        "/etc/passwd!x@0+9",
        "../secret.jpg",
        "a.tar!x@0+999999999999",
    ]
    rows = [f"{number},{path},{number}.5,2,im2gps" for number, path in enumerate(paths)]
    (tmp_path / "m.csv").write_text("\n".join(["id,path,lat,lon,set_name", *rows, ""]))
    source = open_source(str(tmp_path / "shards"), str(tmp_path / "m.csv"))
    catalogue = build_catalogue(source, SplitConfig(), ShardPlan(1, ("im2gps",)))
    images, failed = decode_shard(source, catalogue.kept("im2gps"), 32)
    assert images["image_id"].to_pylist() == ["0"]
    assert failed["reason"].to_pylist() == ["missing_file"] * 4


@pytest.fixture
def photographs(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(3):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(GOOD)
    return tmp_path


ROWS = "IMG_ID,AUTHOR,LAT,LON\n0,Ann,48.5,2.25\n1,Bo,-33.5,151.25\n2,Cé,0.5,-0.125\n"
SEMICOLONS = ROWS.replace(",", ";")
WELL_READ = {
    "BOM": ROWS.encode("utf-8-sig"),
    "UTF-16": ROWS.encode("utf-16"),
    "UTF-16, no BOM": ROWS.encode("utf-16-le"),
    "Latin-1": ROWS.encode("latin-1"),
    "CRLF": ROWS.replace("\n", "\r\n").encode(),
    "CR": ROWS.replace("\n", "\r").encode(),
    "semicolons": SEMICOLONS.encode(),
    "decimal commas": SEMICOLONS.replace(".", ",").encode(),
    "tabs": ROWS.replace(",", "\t").encode(),
    "tabs and decimal commas": ROWS.replace(",", "\t").replace(".", ",").encode(),
    "quoted": "".join(",".join(f'"{cell}"' for cell in row.split(",")) + "\n" for row in ROWS.splitlines()).encode(),
    "blank lines": ROWS.replace("\n", "\n\n").encode(),
    "no last newline": ROWS.rstrip().encode(),
    "spaces": ROWS.replace(",", " , ").encode(),
}


@pytest.mark.parametrize("how", WELL_READ)
def test_metadata_of_many_makes_is_read_right(photographs, how):
    (photographs / "m.csv").write_bytes(WELL_READ[how])
    found = listed(photographs, "images", "m.csv")
    assert [(record.lat_deg, record.lon_deg) for record in found] == [(48.5, 2.25), (-33.5, 151.25), (0.5, -0.125)]
    assert [record.author for record in found] == ["Ann", "Bo", "Cé"]
    assert [record.problem for record in found] == [None] * 3


def test_a_table_of_nothing_but_bad_rows_is_one_clear_error(photographs):
    (photographs / "m.csv").write_text("id,lat,lon\n" + "".join(f"{number},north,east\n" for number in range(3)))
    source = open_source(str(photographs / "images"), str(photographs / "m.csv"))
    assert len(list(records_of(source.listing()))) == 3
    with pytest.raises(EmptyCatalogueError, match=r"3 photographs and none that can be used \(nan_coordinate 3\)"):
        build_catalogue(source, SplitConfig(), ShardPlan(1))


def test_rows_that_name_nothing_and_files_without_a_row_are_all_listed(photographs):
    (photographs / "m.csv").write_text("id,lat,lon\n7,1,2\n0,1,2\n8,1,2\n0,1,2\n,1,2\n")
    found = listed(photographs, "images", "m.csv")
    assert [record.problem for record in found] == [
        "missing_file", None, "missing_file", "duplicate_file", "missing_file", "no_metadata", "no_metadata",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", SourceError, "empty|no column|columns"),
        (b"\n\n", SourceError, "empty|no column|columns"),
        (b"\0" * 4096, SourceError, "m.csv"),
        (b"id,lat\n1,2\n", SourceError, "lon_deg"),
        (b"PK\x03\x04" + bytes(500), SourceError, "m.csv"),
        (b"\x1f\x8b\x08" + bytes(500), SourceError, "m.csv"),
        (b"<!DOCTYPE html><html>404</html>", SourceError, "m.csv"),
        (ROWS.replace("LAT,LON", "LON,LAT").encode(), SwappedColumnsError, "swapped"),
    ],
    ids=["empty", "blank", "zeros", "no longitude", "zip", "gzip", "html", "swapped"],
)
def test_what_is_no_metadata_is_refused_in_words(photographs, content, error, words):
    (photographs / "m.csv").write_bytes(content)
    with pytest.raises(error, match=words):
        listed(photographs, "images", "m.csv")


@pytest.mark.parametrize("line", ["0," + "9" * 300_000 + ",2", '0,"' + "x" * 300_000, "0,1,2" + ",3" * 50_000])
def test_a_monstrous_line_costs_its_row_and_no_more(photographs, line):
    (photographs / "m.csv").write_text(f"id,lat,lon\n2,1,2\n{line}\n1,1,2\n")
    started = time.process_time()
    try:
        found = listed(photographs, "images", "m.csv")
    except SourceError as error:
        assert "m.csv" in str(error)  # noqa: PT017  # either is right
        return
    finally:
        assert time.process_time() - started < 10
    assert found[0].problem is None
    assert all(len(record.detail) < 2000 for record in found)


@pytest.mark.parametrize("column", ["id", "lat", "author"])
def test_a_table_with_text_that_is_none_is_refused_or_read_in_part(photographs, column):
    columns = {"id": ["0", "1", "2"], "lat": ["1", "2", "3"], "lon": ["4", "5", "6"], "author": ["Ann", "Bo", "Cy"]}
    table = pa.table({**columns, column: pa.array([b"2", b"1\xff1", b"1"], pa.binary()).view(pa.string())})
    pq.write_table(table, photographs / "m.parquet")
    try:
        found = listed(photographs, "images", "m.parquet")
    except SourceError as error:
        assert "m.parquet" in str(error)  # noqa: PT017  # either is right
    else:
        assert len(found) >= 3
