"""Positions from EXIF: right where they are whole, and why there is none where they are not."""

import csv
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from geo_pipeline.imagery.exif import ExifPosition, position_from_exif
from geo_pipeline_tests.imagery.drawn_files import encoded, quartered, with_exif


@pytest.mark.parametrize("position", [(48.85, 2.35), (-33.86, 151.21), (40.7, -74.0), (-54.8, -68.3), (0.0, 0.0)])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_all_four_quarters_of_the_earth(position, file_format):
    found = position_from_exif(with_exif(*position, file_format=file_format))
    assert found[:2] == pytest.approx(position, abs=1e-6)
    assert found.problem is None


def with_gps(tags):
    exif = Image.Exif()
    exif.get_ifd(0x8825).update(tags)
    return encoded(quartered(), exif=exif)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {1: "N", 2: (1.0, 2.0, 3.0)},
        {2: (1.0, 2.0, 3.0), 4: (1.0, 2.0, 3.0)},
        {1: "X", 2: (1.0, 2.0, 3.0), 3: "E", 4: (1.0, 2.0, 3.0)},
        {1: "N", 2: (1.0, 2.0, 3.0, 4.0), 3: "E", 4: (1.0, 2.0, 3.0)},
    ],
)
def test_a_position_without_its_parts_is_none(tags):
    found = position_from_exif(with_gps(tags))
    assert (found.lat_deg, found.lon_deg, found.problem) == (None, None, "no_coordinate")
    assert "GPS" in found.detail


def test_decimal_degrees_in_one_part_are_read_and_x_over_zero_is_nan():
    assert position_from_exif(with_gps({1: "S", 2: 12.5, 3: "W", 4: 3.25})) == ExifPosition(-12.5, -3.25)
    data = with_gps({1: "N", 2: (12.0, 30.0, 0.0), 3: "E", 4: (3.0, 15.0, 0.0)})
    place = data.index((12).to_bytes(4, "big") + (1).to_bytes(4, "big"))
    hurt = data[: place + 4] + bytes(4) + data[place + 8 :]
    lat, lon, _, _ = position_from_exif(hurt)
    assert np.isnan(lat)
    assert lon == 3.25


TEXT, UNSIGNED_BYTES, ANY_BYTES, SIGNED_RATIONAL, DOUBLE = 2, 1, 7, 10, 12


def packed(kind, values):
    """Number of values and bytes of an EXIF field."""
    if kind == SIGNED_RATIONAL:
        return len(values), b"".join(struct.pack("<ii", *part) for part in values)
    if kind == DOUBLE:
        return len(values), struct.pack(f"<{len(values)}d", *values)
    data = values.encode() + b"\0" if isinstance(values, str) else values
    return len(data), data


def gps_jpeg(lat_ref, lat, lon_ref=b"E", lon=(SIGNED_RATIONAL, ((151, 1),))):
    """A JPEG whose GPS numbers have a type and values, most of which Pillow does not write."""
    head = struct.pack("<HHHIIII", 1, 0x8825, 4, 1, 26, 0, 0)[:18]
    start = 8 + 18 + 2 + 4 * 12 + 4
    data, entries = b"", b""
    for tag, letter, (kind, values) in ((1, lat_ref, lat), (3, lon_ref, lon)):
        entries += struct.pack("<HHI4s", tag, TEXT, 2, letter + b"\0\0\0")
        count, field = packed(kind, values)
        place = struct.pack("<I", start + len(data)) if len(field) > 4 else field.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag + 1, kind, count) + place
        data += field if len(field) > 4 else b""
    tiff = b"II*\0" + struct.pack("<I", 8) + head + struct.pack("<H", 4) + entries + struct.pack("<I", 0) + data
    return encoded(quartered(), exif=b"Exif\0\0" + tiff)


def signed_gps(lat_ref, lat_parts, lon_ref=b"E", lon_parts=((151, 1),)):
    return gps_jpeg(lat_ref, (SIGNED_RATIONAL, lat_parts), lon_ref, (SIGNED_RATIONAL, lon_parts))


@pytest.mark.parametrize(
    ("letter", "parts", "lat_deg"),
    [
        (b"S", ((-338568, 10000),), -33.8568),
        (b"S", ((338568, 10000),), -33.8568),
        (b"N", ((338568, 10000),), 33.8568),
        (b"S", ((-33, 1), (51, 1), (24, 1)), -33.856667),
        (b"S", ((-33, 1), (-51, 1), (-24, 1)), -33.856667),
        (b"S", ((0, 1), (-51, 1), (24, 1)), -0.856667),
        (b"N", ((-33, 1), (51, 1), (24, 1)), None),
        (b"N", ((-338568, 10000),), None),
        (b"S", ((33, 1), (-51, 1), (24, 1)), None),
        (b"N", ((33, 1), (-51, 1), (24, 1)), None),
    ],
)
def test_a_sign_in_the_numbers_has_to_say_what_the_letter_says(letter, parts, lat_deg):
    found = position_from_exif(signed_gps(letter, parts))
    if lat_deg is None:
        assert found.problem == "no_coordinate"
        assert "contradicts the letter" in found.detail
    else:
        assert found[:2] == pytest.approx((lat_deg, 151.0), abs=1e-6)
    west = position_from_exif(signed_gps(b"N", ((488583, 10000),), b"W", ((-703000, 10000),)))
    assert west[:2] == pytest.approx((48.8583, -70.3))


@pytest.mark.parametrize(
    ("parts", "lat_deg"),
    [
        ((33, 75, 0), "beyond 60"),
        ((33, 51, 2440), "beyond 60"),
        ((0, 51, 2440), "beyond 60"),
        ((33, 60, 0), -34.0),
        ((33, 51, 60), -33.866667),
        ((0, 2031.4, 0), -33.856667),
        ((0, 0, 121884), -33.856667),
        ((33.8567, 51, 24), "said twice"),
        ((33.8567, 51), "said twice"),
        ((33, 51.4, 24), "said twice"),
        ((33.8567, 0, 0), -33.8567),
        ((33, 51.4, 0), -33.856667),
        ((33.0000001, 51, 24), -33.856667),
    ],
)
def test_numbers_that_say_two_things_are_no_position(parts, lat_deg):
    found = position_from_exif(gps_jpeg(b"S", (DOUBLE, parts)))
    if isinstance(lat_deg, str):
        assert (found.lat_deg, found.problem) == (None, "no_coordinate")
        assert lat_deg in found.detail
    else:
        assert found[:2] == pytest.approx((lat_deg, 151.0), abs=1e-6)


@pytest.mark.parametrize("text", ["3_3.8567", "33,8567", "33 51 24", "nan", "-", ""])
def test_a_text_in_the_place_of_a_number_is_read_where_it_is_one(text):
    assert position_from_exif(gps_jpeg(b"S", (TEXT, "33.8567")))[:2] == (-33.8567, 151.0)
    found = position_from_exif(gps_jpeg(b"S", (TEXT, text)))
    assert (found.lat_deg, found.problem) == (None, "no_coordinate")
    assert repr(text) in found.detail


@pytest.mark.parametrize("kind", [UNSIGNED_BYTES, ANY_BYTES])
@pytest.mark.parametrize("data", [b"3", b"33", b"!3"])
def test_bytes_in_the_place_of_a_number_are_none(kind, data):
    """Python would read the byte 51 as the digit 3."""
    found = position_from_exif(gps_jpeg(b"S", (kind, data)))
    assert (found.lat_deg, found.problem) == (None, "no_coordinate")


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({1: "S", 2: (33.0, 51.0, 24.0)}, "hold a latitude and no longitude"),
        ({3: "E", 4: (33.0, 51.0, 24.0)}, "hold a longitude and no latitude"),
        ({29: "2020:01:01"}, "hold no GPS position"),
        ({}, "are empty or cannot be read"),
    ],
)
def test_the_half_that_is_missing_is_named(tags, words):
    assert words in position_from_exif(with_gps(tags)).detail
    assert "hold no GPS position" in position_from_exif(encoded(quartered())).detail


def test_damaged_tags_are_not_called_missing():
    data = with_exif(-33.9, 151.2)
    block = data[data.index(b"Exif\0\0") + 6 :]
    pointer = data.index(struct.pack(">HHI", 0x8825, 4, 1))
    for place in (60_000, 1):
        hurt = data[: pointer + 8] + struct.pack(">I", place) + data[pointer + 12 :]
        assert "cannot be read" in position_from_exif(hurt).detail
    assert block[:4] == b"MM\0*"
    assert "cannot be read" in position_from_exif(data.replace(b"Exif\0\0MM\0*", b"Exif\0\0XX\0*")).detail


def test_a_file_that_cannot_be_opened_says_so_and_not_that_tags_are_missing():
    png = with_exif(-33.9, 151.2, file_format="PNG")
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 3_000_000)
    large = struct.pack(">I", len(text)) + b"iTXt" + text + struct.pack(">I", zlib.crc32(b"iTXt" + text))
    wrong_sum = struct.pack(">I", 4) + b"tEXtab\0c" + bytes(4)
    for chunk in (large, wrong_sum):
        found = position_from_exif(png[:33] + chunk + png[33:])
        assert found.problem == "unreadable"
        assert "png" in found.detail
    assert position_from_exif(encoded(quartered())[:40]).problem == "truncated"
    assert position_from_exif(b"\x00\x00\x00\x18ftypheic" + bytes(64)).problem in ("heif_unsupported", "unreadable")
    assert position_from_exif(b"").problem == "zero_bytes"


def test_a_photograph_of_200_megapixels_is_called_too_large():
    data = encoded(Image.new("L", (16_320, 12_240), 128), quality=5)
    assert position_from_exif(data).problem == "decompression_bomb"


def test_hurt_tags_and_no_image_at_all_give_none_and_no_warning():
    data = with_exif(48.85, 2.35)
    rng = np.random.default_rng(3)
    for _ in range(60):
        hurt = bytearray(data)
        for place in rng.integers(20, 220, 8):
            hurt[place] = rng.integers(0, 256)
        found = position_from_exif(bytes(hurt))
        assert (found.problem is None) == (found.lat_deg is not None) == (found.lon_deg is not None)
    for other in (b"", b"\xff\xd8\xff\xe1", b"text", encoded(quartered(), "PNG")):
        assert position_from_exif(other).lat_deg is None


@pytest.mark.shared_data
def test_positions_of_the_originals_are_those_of_their_index(shared_dir):
    folder = shared_dir / "photos" / "originals"
    with (folder / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["format"] != "HEIF"]
    assert len(rows) == 78
    for row in rows:
        found = position_from_exif((folder / row["file"]).read_bytes())
        if row["latitude"]:
            assert found[:2] == pytest.approx((float(row["latitude"]), float(row["longitude"])), abs=1e-6), row["file"]
        else:
            assert found.lat_deg is None, row["file"]
