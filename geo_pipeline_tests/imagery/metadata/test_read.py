"""Metadata files as they occur, broken ones included: a table with every row, or one clear error."""

import math
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.imagery.metadata.read import (
    ALIASES,
    COORDINATES_ONLY,
    METADATA,
    MetadataFormat,
    SwappedColumnsError,
    metadata_notes,
    read_metadata,
)
from geo_pipeline.imagery.opening import Kind
from geo_pipeline.imagery.source import SourceError


def read(tmp_path, text, name="m.csv", encoding="utf-8", format=None):
    data = text if isinstance(text, bytes) else text.encode(encoding)
    (tmp_path / name).write_bytes(data)
    table = read_metadata(str(tmp_path / name), format)
    assert table.schema.equals(METADATA)
    assert table["detail"].null_count == table["line"].null_count == 0
    return table


def coordinates(table):
    return list(zip(table["lat_deg"].to_pylist(), table["lon_deg"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "image_id,path,latitude,longitude,author,attribution\na,x/a.jpg,1.5,-2,Ann,by Ann\n",
        "IMG_ID,PATH,LAT,LON,AUTHOR,credit\na,x/a.jpg,1.5,-2,Ann,by Ann\n\n",
        "lng;lat;id;file;photographer;credit\r\n-2;1.5;a;x/a.jpg;Ann;by Ann\r\n",
        "lng;lat;id;file;photographer;credit\r\n-2,0;1,5;a;x/a.jpg;Ann;by Ann\r\n",
        "id\tlon_deg\tlat_deg\tfile\tauthor\tcredit\na\t-2\t1,5\tx/a.jpg\tAnn\tby Ann\n",
        "id|lon_deg|lat_deg|file|author|credit\ra|-2|1.5|x/a.jpg|Ann|by Ann\r",
        'id,lon_deg,lat_deg,file,author,credit\na,"-2,0","1,5",x/a.jpg,"Ann","by Ann"',
        "\ufeffid,filename,lat,lon,author,attribution\na, x/a.jpg , 1.5 ,-2,Ann,by Ann\n,,,,,\n",
        "sep=;\nid;filename;lat;lon;author;attribution\na;x/a.jpg;+1.5;−2;Ann;by Ann\n",
        "\n\n  \nid,filename,lat,lon,author,attribution\na,x/a.jpg,15e-1,-2.,Ann,by Ann\n",
        "id,filename,lat,lon,author,attribution,\na,x/a.jpg,1.5,-2,Ann,by Ann,\n",
        "id,filename,lat,lon,author,attribution\na,x/a.jpg,1.5,-2,Ann,by Ann,,,\n",
        "id,filename,lat,lon,author,attribution\na,x/a.jpg,\xa01.5,-2\0,Ann,\xa0by Ann\n\0\0\0\0",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_columns_are_known_by_name_in_any_order_case_and_encoding(tmp_path, text, encoding):
    (row,) = read(tmp_path, text, encoding=encoding).to_pylist()
    known = (row["image_id"], row["path"], row["lat_deg"], row["lon_deg"], row["author"], row["credit"])
    assert known == ("a", "x/a.jpg", 1.5, -2.0, "Ann", "by Ann")
    assert row["detail"] == ""


def test_letters_in_a_windows_encoding_are_read_cell_by_cell(tmp_path):
    data = "id,lat,lon,author\na,1,2,Zoë\n".encode() + "b,1,2,Rémih € 5\n".encode("cp1252") + b"c,1,2,\x81\n"
    table = read(tmp_path, data)
    assert table["author"].to_pylist() == ["Zoë", "Rémih € 5", "\x81"]
    assert metadata_notes(table).not_utf8 == 2


def test_ids_are_text(tmp_path):
    written = ["47e673", "007", "19355699@N00", "e1/55/4763.jpg", "1e5", "TRUE", "nan", "1.50", "NULL", "١٢"]
    table = read(tmp_path, "id,lat,lon\n" + "".join(f"{each},1,2\n" for each in written))
    assert table["image_id"].to_pylist() == written


def test_missing_and_garbled_numbers_are_kept_and_told_apart(tmp_path):
    table = read(tmp_path, "ID,LAT,Lon\na,,5\nb,n/a,5\nc,41° N,inf\nd,7\ne,nan,1e999\nf,1_000,0x10\ng,1.2.3,1,5\n")
    assert table["lat_deg"][0].as_py() is None
    assert all(math.isnan(lat) for lat, _ in coordinates(table)[1:])
    assert table["detail"].to_pylist() == [
        "LAT is empty",
        "LAT is 'n/a'",
        "LAT is '41° N'; Lon is 'inf'",
        "found 2 cells, expected 3",
        "LAT is 'nan'; Lon is '1e999'",
        "LAT is '1_000'; Lon is '0x10'",
        "found 4 cells, expected 3",
    ]
    assert table["line"].to_pylist() == list(range(2, 9))


def test_numbers_are_those_that_python_reads(tmp_path):
    written = [
        "-0",
        "5.",
        ".5",
        "-.5",
        "0.1",
        "40.445378999999996",
        "1E-3",
        "12345678901234567890e-18",
        "-89.99999999999999999",
    ]
    table = read(tmp_path, "id,lat,lon\n" + "".join(f"a,{each},100\n" for each in written))
    assert table["lat_deg"].to_pylist() == [float(each) for each in written]


def test_a_row_whose_cells_are_shifted_gives_no_coordinate(tmp_path):
    table = read(tmp_path, "id,title,lat,lon,width\na,Rome, Italy,41.9,12.5,640\nb,Paris,48.9,2.4,480\n")
    assert all(math.isnan(value) for value in coordinates(table)[0])
    assert coordinates(table)[1] == (48.9, 2.4)
    assert table["image_id"].to_pylist() == ["a", "b"]


def test_a_file_of_nothing_but_bad_rows_keeps_them_all(tmp_path):
    table = read(tmp_path, "id,lat,lon\n" + "".join(f"{row},unknown {row},-\n" for row in range(500)))
    assert len(table) == 500
    assert table["detail"][499].as_py() == "lat is 'unknown 499'; lon is '-'"


def test_a_summary_after_a_blank_line_is_passed_over_and_counted(tmp_path):
    rows = "img_id,lat,lon,km\na,1,2,3\nb,4,5,6\n"
    summary = "\r\nstreet acc,city acc,region acc,mean\n0.1,0.4,0.5,1732.8\n\n"
    table = read(tmp_path, rows + summary)
    notes = metadata_notes(table)
    assert table["image_id"].to_pylist() == ["a", "b"]
    assert (notes.summary, notes.blank) == (2, 2)


@pytest.mark.parametrize(
    "tail",
    [
        "x,1,2,3\n",
        "acc,acc,acc,acc\n",
        "c,n/a,n/a,0\nd,1,2,3\n",
        "id,lat,lon,km\n7,8,9,10\n",
        "w w,w,w,w\n" + "1,2,3,4\n" * 10,
    ],
)
def test_what_may_be_photographs_after_a_blank_line_is_kept(tmp_path, tail):
    table = read(tmp_path, "img_id,lat,lon,km\na,1,2,3\n\n" + tail)
    assert len(table) == 1 + tail.count("\n")
    assert metadata_notes(table).summary == 0


def test_repeated_headers_of_files_put_together_are_passed_over(tmp_path):
    table = read(tmp_path, "IMG_ID,LAT,LON\na,1,2\nIMG_ID,LAT,LON\nb,3,4\nIMG_ID,LAT,LON\n")
    assert table["image_id"].to_pylist() == ["a", "b"]
    assert metadata_notes(table).repeated_headers == 2
    assert len(read(tmp_path, "IMG_ID,LAT,LON\na,1,2\nother,LAT,LON\n")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,lat\na,1\n", "no column for lon_deg"),
        ("lat,lon\n1,2\n", "no column for image_id or path"),
        ("", r"found the columns \(none\); no column for lat_deg, lon_deg"),
        ("\n\n\0\0\n", r"found the columns \(none\)"),
        ("a.jpg,12.3,45.6\n", "write a header line above the first photograph"),
        ("\x00\x01\x02\x03" * 50, "no column for lat_deg"),
    ],
)
def test_missing_columns_are_one_clear_error(tmp_path, text, message):
    with pytest.raises(SourceError, match=message) as caught:
        read(tmp_path, text)
    assert "\0" not in str(caught.value)


def test_files_of_another_kind_are_one_clear_error(tmp_path):
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read(tmp_path, "id,lat,lon\n", name="m.parquet")
    with pytest.raises(SourceError, match=r"found a gzip file; expected CSV, Parquet or JSON\. Unpack it"):
        read(tmp_path, b"\x1f\x8b\x08\x00", name="m.csv")
    with pytest.raises(SourceError, match=r"found a zip \(or a spreadsheet\) file"):
        read(tmp_path, b"PK\x03\x04", name="m.csv")
    with pytest.raises(SourceError, match="found no"):
        read_metadata(str(tmp_path / "absent.csv"))
    with pytest.raises(SourceError):
        read_metadata(str(tmp_path))


def test_coordinates_alone_need_no_ids(tmp_path):
    table = read(tmp_path, "LAT,LON\n-50.943392,-72.935664\n", format=COORDINATES_ONLY)
    assert coordinates(table) == [(-50.943392, -72.935664)]


def test_a_layout_without_a_header_is_read_by_numbers(tmp_path):
    layout = MetadataFormat(
        (("image_id", 2), ("lat_deg", 1), ("lon_deg", 0)), header=False, set_name="mine", expected_rows=5
    )
    table = read(tmp_path, "2,1,007\n3,4\n6,5,x\n", format=layout)
    assert table["image_id"].to_pylist() == ["007", None, "x"]
    assert table["set_name"].to_pylist() == ["mine"] * 3
    assert (metadata_notes(table).expected_rows, table["line"].to_pylist()) == (5, [1, 2, 3])
    with pytest.raises(SourceError, match="no header line"):
        read(tmp_path, "", format=layout)


@pytest.mark.parametrize(
    ("columns", "header"),
    [((("place", "x"),), True), ((("lat_deg", 3),), True), ((("lat_deg", "LAT"),), False), ((("lat_deg", -1),), False)],
)
def test_a_layout_that_cannot_be_is_refused(columns, header):
    with pytest.raises(ValueError, match="found"):
        MetadataFormat(columns, header=header)


@pytest.mark.parametrize("row_group_size", [1, 1000])
def test_parquet_is_read_like_csv_whatever_the_types(tmp_path, row_group_size):
    table = pa.table(
        {
            "IMG_ID": pa.array([7, None, 12345678901234], pa.float64()),
            "path": pa.array([b"x/a.jpg", None, b""], pa.binary()),
            "LAT": ["1,5", "n/a", None],
            "LON": pa.array([Decimal("2.5"), None, Decimal("-3")]),
            "author": pa.array(["Ann", " ", "Ann"]).dictionary_encode(),
            "title": [[1], [2], [3]],
        }
    )
    pq.write_table(table, tmp_path / "m.bin", row_group_size=row_group_size)
    found = read_metadata(str(tmp_path / "m.bin"))
    assert found.schema.equals(METADATA)
    assert found["image_id"].to_pylist() == ["7", None, "12345678901234"]
    assert found["path"].to_pylist() == ["x/a.jpg", None, None]
    assert found["author"].to_pylist() == ["Ann", None, "Ann"]
    assert found["detail"].to_pylist() == ["", "LAT is 'n/a'; LON is empty", "LAT is empty"]
    assert found["lon_deg"].to_pylist() == [2.5, None, -3.0]
    assert found["line"].to_pylist() == [1, 2, 3]


def test_parquet_ids_that_are_numbers_become_their_digits(tmp_path):
    pq.write_table(
        pa.table({"id": [7, 4763369508], "lat": pa.array([1, 2], pa.int8()), "lon": [0.5, float("nan")]}),
        tmp_path / "m.pq",
    )
    table = read_metadata(str(tmp_path / "m.pq"))
    assert table["image_id"].to_pylist() == ["7", "4763369508"]
    assert table["detail"].to_pylist() == ["", "lon is nan"]


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.bool_(), pa.timestamp("s"), pa.struct([("x", pa.int8())])])
@pytest.mark.parametrize("column", ["id", "lat"])
def test_parquet_of_a_wrong_schema_is_refused(tmp_path, kind, column):
    columns = {"id": pa.array(["a"]), "lat": pa.array([1.0]), "lon": pa.array([2.0])}
    pq.write_table(pa.table({**columns, column: pa.nulls(1, kind)}), tmp_path / "m.parquet")
    with pytest.raises(SourceError, match=rf"in the column {column}; expected text"):
        read_metadata(str(tmp_path / "m.parquet"))


@pytest.mark.parametrize(
    "names", [("id", "lat", "lon", "lat"), ("ID", "id", "lat", "lon"), ("LAT", " lat", "lon", "id")]
)
@pytest.mark.parametrize("as_parquet", [True, False], ids=["Parquet", "CSV"])
def test_two_columns_of_one_name_are_refused(tmp_path, names, as_parquet):
    """Which of them holds the coordinates cannot be told, and taking the first would be a guess."""
    path = tmp_path / ("m.parquet" if as_parquet else "m.csv")
    if as_parquet:
        pq.write_table(pa.Table.from_arrays([pa.array(["1"])] * 4, names=list(names)), path)
    else:
        path.write_text(",".join(names) + "\n1,1,1,1\n")
    with pytest.raises(SourceError, match=r"found the columns .* expected one .* Rename or remove"):
        read_metadata(str(path))


def test_two_columns_of_one_name_that_nobody_asks_for_do_no_harm(tmp_path):
    names = ["id", "title", "lat", "title", "lon", "longitude"]
    columns = [pa.array([text]) for text in ("a", "x", "1,5", "y", "2", "3")]
    pq.write_table(pa.Table.from_arrays(columns, names=names), tmp_path / "m.parquet")
    assert coordinates(read_metadata(str(tmp_path / "m.parquet"))) == [(1.5, 3.0)]


def test_the_documentation_names_every_kind_and_column():
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    words = {word.lower() for word in text.split("`")[1::2]}
    assert set(get_args(Kind)) - words == set()
    assert {alias for aliases in ALIASES.values() for alias in aliases} - words == set()


VALID = (
    "IMG_ID,AUTHOR,LAT,LON,credit\n"
    + "".join(f'{row:02x}/{row}.jpg,{row % 3}@N00,{row / 7:.6f},-{row / 3:.6f},"by ""A"", B"\n' for row in range(8))
    + "\nfirst words,more words,even more\n1,2,3\n"
).encode()
HEADER_END = VALID.index(b"\n") + 1
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(VALID)),
        st.integers(0, 12),
        st.binary(max_size=4) | st.sampled_from([b'"', b"\r", b'",', b"\n\n"]),
    ),
    min_size=1,
    max_size=4,
)


def edited(data, edits, first):
    """Bytes with pieces cut out and others put in, from `first` on."""
    for at, cut, put in edits:
        at = max(first, min(at, len(data)))
        data = data[:at] + put + data[at + cut :]
    return data


def outcome(path):
    """The table, or the one error that a user may see."""
    try:
        return read_metadata(str(path))
    except SourceError as error:
        return error


@settings(max_examples=150, deadline=None)
@given(edits=EDITS)
def test_however_the_rows_are_damaged_none_is_lost(tmp_path_factory, edits):
    """Every line is a row, blank, a repeated header or part of the summary; a quoted cell may join lines into a row."""
    data = edited(VALID, edits, HEADER_END)
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(data)
    table = outcome(path)
    if isinstance(table, SwappedColumnsError):
        return
    notes = metadata_notes(table)
    passed_over = 1 + notes.blank + notes.repeated_headers + notes.summary
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").count(b"\n") + 1
    if b'"' not in data.replace(b'"by ""A"", B"', b""):
        assert len(table) + passed_over == lines
    assert len(table) + passed_over <= lines
    starts = table["line"].to_pylist()
    assert starts == sorted(set(starts))
    assert not starts or (starts[0] >= 2 and starts[-1] <= lines)
    whole = {
        row
        for row in VALID.split(b"\n")[1:9]
        if data.count(b"\n" + row + b"\n") == 1 and b'"' not in data.replace(b'"by ""A"", B"', b"")
    }
    found = set(table["image_id"].to_pylist())
    assert {row.split(b",")[0].decode() for row in whole} <= found


@settings(max_examples=150, deadline=None)
@given(edits=EDITS, as_parquet=st.booleans())
def test_whatever_becomes_of_a_file_it_is_a_table_or_one_clear_error(tmp_path_factory, edits, as_parquet):
    path = tmp_path_factory.getbasetemp() / ("fuzz.parquet" if as_parquet else "fuzz2.csv")
    data = VALID
    if as_parquet:
        pq.write_table(pa.table({"id": ["a", "b"] * 40, "lat": [1.0, 2.0] * 40, "lon": ["3", "x"] * 40}), path)
        data = path.read_bytes()
        edits = [(at * len(data) // len(VALID), cut, put) for at, cut, put in edits]
    path.write_bytes(edited(data, edits, 0))
    found = outcome(path)
    if isinstance(found, SourceError):
        assert str(found)
        assert "\n" not in str(found)
    else:
        assert found.schema.equals(METADATA)
