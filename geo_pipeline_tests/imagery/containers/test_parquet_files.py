"""Parquet with photographs: Hugging Face image columns, plain bytes, wrong schemas and damage."""

import io
import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.imagery.containers.entries import digest_of
from geo_pipeline.imagery.containers.parquet_columns import IMAGE_COLUMNS
from geo_pipeline.imagery.containers.parquet_files import ParquetReader
from geo_pipeline.imagery.containers.source import ContainerSource
from geo_pipeline.imagery.source import MissingImageError, SourceError, records_of

READER = ParquetReader()
HUGGING_FACE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(number, size=600):
    return b"\xff\xd8\xff" + random.Random(number).randbytes(size)


def hugging_face(count=20):
    """The columns of an OSV-5M-like table: id, coordinates, and an image column of struct."""
    return {
        "id": pa.array([f"{1000 + number}" for number in range(count)]),
        "image": pa.array([{"bytes": picture(n), "path": f"{1000 + n}.jpg"} for n in range(count)], HUGGING_FACE),
        "latitude": pa.array([float(number) for number in range(count)]),
        "longitude": pa.array([f"{number}.5" for number in range(count)]),
        "quadtree_10_5000": pa.array(range(count)),
    }


def written(columns, rows=6, **options):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=rows, **options)
    return buffer.getvalue()


def entries(data):
    return list(READER.entries(io.BytesIO(data), "train-000.parquet"))


def images(data, rows):
    return list(READER.images(io.BytesIO(data), rows))


def test_a_hugging_face_image_column_is_read_by_row():
    data = written(hugging_face())
    found = entries(data)
    assert [entry.offset for entry in found] == list(range(20))
    assert [entry.block for entry in found] == [row // 6 for row in range(20)]
    last = found[19]
    assert (last.name, last.image_id, last.lat_deg, last.lon_deg) == ("1019.jpg", "1019", 19.0, 19.5)
    assert (last.length, last.first_bytes_kind, last.problem) == (1, "jpeg", None)
    assert last.digest == digest_of(picture(19))
    assert images(data, range(20)) == [picture(number) for number in range(20)]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
@pytest.mark.parametrize("name", ["IMAGE", "jpg", "img", "image_bytes"])
def test_plain_bytes_are_read_too(kind, name):
    columns = {name: pa.array([picture(0), None, b""], kind), "IMG_ID": ["a", "b", "c"], "LON": [1, 2, 3]}
    first, null, empty = entries(written(columns))
    assert (first.name, first.lon_deg, first.lat_deg, first.problem) == ("a", 1.0, None, None)
    assert (null.problem, null.name, null.detail) == ("missing_file", "b", "The row has no image, only the path b.")
    assert (empty.problem, empty.first_bytes_kind) == (None, "empty")
    got = images(written(columns), [0, 1, 2])
    assert (got[0], got[2]) == (picture(0), b"")
    assert isinstance(got[1], MissingImageError)


def test_ids_are_texts_whatever_their_type():
    columns = {"id": pa.array([7.0, None, 2.5]), "author": pa.array(["Ann", "Bo", "Ann"]).dictionary_encode()}
    found = entries(written({**columns, "image": [picture(number) for number in range(3)]}))
    assert [(entry.name, entry.author) for entry in found] == [("7", "Ann"), ("row 1", "Bo"), ("2.5", "Ann")]


def test_images_that_stand_elsewhere_are_missing():
    column = pa.array([{"bytes": None, "path": "/data/a.jpg"}, None], HUGGING_FACE)
    elsewhere, null = entries(written({"image": column}))
    assert (elsewhere.problem, elsewhere.detail) == ("missing_file", "The row has no image, only the path /data/a.jpg.")
    assert (null.problem, null.name) == ("missing_file", "row 1")


def test_values_beside_the_image_that_are_no_numbers_are_told():
    columns = {
        "image": [picture(number) for number in range(4)],
        "lat": pa.array(["1,5", "n/a", "", None]),
        "lon": pa.array([1, 2, None, 4], pa.int8()),
        "author": pa.array([b"Ann\xff", b"", None, b"Bob"]),
    }
    comma, nan, empty, null = entries(written(columns))
    assert (comma.lat_deg, comma.detail) == (1.5, "")
    assert comma.author == "Ann\\xff"
    assert nan.lat_deg != nan.lat_deg
    assert nan.detail == "latitude 'n/a' is not a number"
    assert (empty.lat_deg, empty.lon_deg, null.lat_deg, null.lon_deg) == (None, None, None, 4.0)


def test_rows_come_in_any_order_and_a_row_group_is_read_once():
    data = written(hugging_face())
    asked = [7, 8, 6, 6, 19, 0, 25, -1]
    got = images(data, asked)
    assert got[:6] == [picture(number) for number in asked[:6]]
    assert all("the file has changed" in str(error) for error in got[6:])
    large = written({"image": [picture(number, 50_000) for number in range(20)]})
    counted = _Counted(large)
    list(READER.images(counted, range(6, 12)))
    assert 6 * 50_000 < counted.read_bytes < len(large) / 2


class _Counted(io.BytesIO):
    read_bytes = 0

    def read(self, size=-1):
        data = super().read(size)
        self.read_bytes += len(data)
        return data


WRONG = {
    "no image": (
        {"id": ["a"], "lat": [1.0]},
        r"found the columns id \(string\), lat \(double\); expected .* image, img",
    ),
    "text": ({"image": ["a.jpg"]}, r"found the columns image \(string\).*type binary"),
    "list": ({"image": [[1, 2]]}, r"image \(list<element: int64>\)"),
    "struct": ({"image": [{"path": "a"}]}, r"image \(struct<path: string>\).*struct with bytes and path"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_schema_names_the_columns_found_and_expected(case):
    columns, words = WRONG[case]
    with pytest.raises(SourceError, match=words) as raised:
        entries(written(columns))
    assert "train-000.parquet" in str(raised.value)
    assert "metadata alone goes to --metadata" in str(raised.value)
    (error,) = images(written(columns), [0])
    assert isinstance(error, MissingImageError)


def test_two_columns_of_one_name_are_refused():
    table = pa.Table.from_arrays([pa.array([b"a"]), pa.array([b"b"])], names=["image", "image"])
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    with pytest.raises(SourceError, match="two columns named image"):
        entries(buffer.getvalue())


@pytest.mark.parametrize("twice", ["image", "latitude", "id"])
def test_two_columns_whose_names_differ_only_in_case_are_refused_where_they_count(twice):
    columns = hugging_face(2)
    with pytest.raises(SourceError, match=rf"two columns named {twice} or {twice.upper()}; .* Rename"):
        entries(written({**columns, twice.upper(): columns[twice]}))
    assert len(entries(written({**columns, "Quadtree_10_5000": columns["quadtree_10_5000"]}))) == 2


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[:-60], "truncated"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: b"", "zero_bytes"),
        (lambda data: b"PAR1PAR1", "unreadable"),
        (lambda data: b"no Parquet at all" * 20, "unreadable"),
        (lambda data: data[:-9] + b"\xff" + data[-8:], "unreadable"),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", "unreadable"),
        (lambda data: data[:-4] + b"PARE", "truncated"),
    ],
)
def test_a_file_that_is_no_whole_parquet_is_one_entry(damage, problem):
    data = damage(written(hugging_face()))
    (entry,) = entries(data)
    if entry.problem != "unreadable" or problem == "unreadable":
        assert entry.problem == problem
    assert f"found {len(data)} bytes" in entry.detail
    assert "Fetch or write it again" in entry.detail
    (error,) = images(data, [0])
    assert isinstance(error, MissingImageError)


def test_damaged_pages_cost_the_rows_behind_them_and_no_more():
    columns = {**hugging_face(), "image": pa.array([picture(number) for number in range(20)])}
    data = bytearray(written(columns, write_page_checksum=True, use_dictionary=False))
    data[data.index(picture(7)) + 100] ^= 1
    found = entries(bytes(data))
    assert [entry.name for entry in found] == [f"{1000 + number}" for number in range(20)]
    assert [entry.problem for entry in found] == [None] * 6 + ["unreadable"] * 6 + [None] * 8
    assert "Row group 1 is damaged" in found[6].detail
    got = images(bytes(data), range(20))
    assert [isinstance(image, MissingImageError) for image in got] == [6 <= row < 12 for row in range(20)]


def test_a_bomb_is_not_unpacked():
    """A row group of 300 MiB of zeros in some kilobytes."""
    buffer = io.BytesIO()
    zeros = pa.array([bytes(30 << 20)])
    with pq.ParquetWriter(buffer, pa.schema([("image", pa.binary())]), compression="zstd", use_dictionary=False) as out:
        out.write_table(pa.table({"image": pa.chunked_array([zeros] * 10)}), row_group_size=10)
    data = buffer.getvalue()
    found = entries(data)
    assert [entry.problem for entry in found] == ["decompression_bomb"] * 10
    assert "claims 3145" in found[0].detail
    assert isinstance(images(data, [3])[0], MissingImageError)


def test_a_large_value_that_a_dictionary_repeats_is_unpacked_a_few_times_at_once():
    """30 rows of one image of 10 MiB: 300 MiB, if a batch were made of all of them."""
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 30), pa.array([bytes(10 << 20)]))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": repeated}), buffer, store_schema=False, dictionary_pagesize_limit=1 << 30)
    pool = pa.system_memory_pool()
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        found = entries(buffer.getvalue())
    finally:
        pa.set_memory_pool(before)
    assert [entry.problem for entry in found] == [None] * 30
    assert pool.max_memory() < 200 << 20


FLIPS = """
import io
import pyarrow as pa, pyarrow.parquet as pq
from geo_pipeline.imagery.containers.parquet_files import ParquetReader
from geo_pipeline.imagery.source import SourceError
buffer = io.BytesIO()
pq.write_table(pa.table({"image": [b"abc", b"d"]}), buffer)
data = buffer.getvalue()
for place in range(len(data) - 8 - int.from_bytes(data[-8:-4], "little"), len(data)):
    for bit in range(8):
        damaged = bytearray(data)
        damaged[place] ^= 1 << bit
        file = io.BytesIO(damaged)
        try:
            rows = len(list(ParquetReader().entries(file, "a.parquet")))
            assert rows >= 1
            assert len(list(ParquetReader().images(file, range(rows)))) == rows
        except SourceError:
            pass
print("done")
"""


def test_no_flipped_bit_of_a_footer_ends_the_process():
    """Asking pyarrow for the footer of a column ends the process on damaged statistics; nothing may ask for it."""
    done = subprocess.run([sys.executable, "-c", FLIPS], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_files_are_a_source_with_coordinates_of_their_own(tmp_path):
    for part in range(2):
        columns = hugging_face(8)
        columns["id"] = pa.array([f"{part}-{number}" for number in range(8)])
        (tmp_path / f"train-00{part}.parquet").write_bytes(written(columns, rows=3))
    source = ContainerSource(str(tmp_path), READER, "parquet")
    found = list(records_of(source.listing()))
    assert [item.image_id for item in found] == [f"{part}-{number}" for part in range(2) for number in range(8)]
    assert found[4].locator == "train-000.parquet!1004.jpg@4+1"
    assert found[4].block == "train-000.parquet#1"
    assert (found[4].lat_deg, found[4].lon_deg, found[4].problem) == (4.0, 4.5, None)
    mixed = [found[9].locator, found[1].locator, "train-000.parquet!x@99+1", "nothing", found[15].locator]
    got = list(source.read_many(mixed))
    assert (got[0], got[1], got[4]) == (picture(1), picture(1), picture(7))
    assert isinstance(got[2], MissingImageError)
    assert isinstance(got[3], MissingImageError)


def test_no_metadata_row_is_lost_when_a_file_is_damaged(tmp_path):
    (tmp_path / "a.parquet").write_bytes(written(hugging_face(4)))
    (tmp_path / "b.parquet").write_bytes(written(hugging_face(4))[:-9])
    (tmp_path / "m.csv").write_text("id,lat,lon\n" + "".join(f"{1000 + number},1,2\n" for number in range(6)))
    source = ContainerSource(str(tmp_path), READER, "parquet", str(tmp_path / "m.csv"))
    found = list(records_of(source.listing()))
    assert [item.problem for item in found[:6]] == [None] * 4 + ["missing_file"] * 2
    assert [item.problem for item in found[6:]] == ["truncated"]


def test_every_name_of_an_image_column_is_lower_case():
    assert [name.lower() for name in IMAGE_COLUMNS] == list(IMAGE_COLUMNS)
