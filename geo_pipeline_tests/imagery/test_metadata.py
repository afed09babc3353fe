"""Metadata files as they occur."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.imagery.metadata import SwappedColumnsError, metadata_rows
from geo_pipeline.imagery.source import SourceError


def rows_of(tmp_path, text, name="m.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return list(metadata_rows(path))


@pytest.mark.parametrize(
    "text",
    [
        "image_id,path,latitude,longitude,author,attribution\na,x/a.jpg,1.5,-2,Ann,by Ann\n",
        "IMG_ID,PATH,LAT,LON,AUTHOR,credit\na,x/a.jpg,1.5,-2,Ann,by Ann\n\n",
        "lng;lat;id;file;photographer;credit\r\n-2;1.5;a;x/a.jpg;Ann;by Ann\r\n",
        "id\tlon_deg\tlat_deg\tfile\tauthor\tcredit\na\t-2\t1.5\tx/a.jpg\tAnn\tby Ann\n",
        "\ufeffid,filename,lat,lon,author,attribution\na, x/a.jpg , 1.5 ,-2,Ann,by Ann\n,,,,,\n",
    ],
)
def test_columns_are_known_by_name_in_any_order_and_case(tmp_path, text):
    (row,) = rows_of(tmp_path, text)
    known = (row.image_id, row.path, row.lat_deg, row.lon_deg, row.author, row.credit)
    assert known == ("a", "x/a.jpg", 1.5, -2.0, "Ann", "by Ann")


def test_parquet_is_read_like_csv(tmp_path):
    pq.write_table(pa.table({"IMG_ID": [7], "LAT": [1.5], "LON": [None]}), tmp_path / "m.parquet")
    (row,) = metadata_rows(tmp_path / "m.parquet")
    assert (row.image_id, row.lat_deg, row.lon_deg, row.detail) == ("7", 1.5, None, "no longitude")


def test_missing_and_garbled_numbers_are_kept_apart(tmp_path):
    rows = rows_of(tmp_path, "id,lat,lon\na,,5\nb,NaN,5\nc,41° N,5\nd,7\n")
    assert rows[0].lat_deg is None
    assert math.isnan(rows[1].lat_deg)
    assert math.isnan(rows[2].lat_deg)
    assert "41° N" in rows[2].detail
    assert rows[3].lon_deg is None


def test_swapped_headers_refuse_the_whole_file(tmp_path):
    with pytest.raises(SwappedColumnsError, match=r"2 latitudes .* \(up to 151.2\).* swapped\?"):
        rows_of(tmp_path, "id,lat,lon\na,151.2,-33.9\nb,2.3,48.9\nc,-122.4,37.8\n")


def test_one_wrong_latitude_among_longitudes_that_are_longitudes_is_a_matter_of_its_row(tmp_path):
    assert len(rows_of(tmp_path, "id,lat,lon\na,151.2,-33.9\nb,-33.9,151.2\n")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,lat\na,1\n", "no column for lon_deg"),
        ("lat,lon\n1,2\n", "no column for image_id or path"),
        ("", "no column for lat_deg, lon_deg"),
    ],
)
def test_missing_columns_are_one_clear_error(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        rows_of(tmp_path, text)


def test_files_of_another_kind_are_one_clear_error(tmp_path):
    with pytest.raises(SourceError, match="UTF-8"):
        rows_of(tmp_path, "id,lat,lon,author\na,1,2,Rémih\n", encoding="latin-1")
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        rows_of(tmp_path, "id,lat,lon\n", name="m.parquet")
    with pytest.raises(SourceError, match="Found no metadata file"):
        list(metadata_rows(tmp_path / "absent.csv"))
