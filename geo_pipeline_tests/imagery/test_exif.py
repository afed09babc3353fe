"""Positions from EXIF: right where they are whole, None where they are not."""

import csv

import numpy as np
import pytest
from PIL import Image

from geo_pipeline.imagery.exif import coordinates_from_exif
from geo_pipeline_tests.imagery.drawn_files import encoded, quartered, with_exif


@pytest.mark.parametrize("position", [(48.85, 2.35), (-33.86, 151.21), (40.7, -74.0), (-54.8, -68.3), (0.0, 0.0)])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_all_four_quarters_of_the_earth(position, file_format):
    found = coordinates_from_exif(with_exif(*position, file_format=file_format))
    assert found == pytest.approx(position, abs=1e-6)


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
    assert coordinates_from_exif(with_gps(tags)) is None


def test_decimal_degrees_in_one_part_are_read_and_x_over_zero_is_nan():
    assert coordinates_from_exif(with_gps({1: "S", 2: 12.5, 3: "W", 4: 3.25})) == (-12.5, -3.25)
    data = with_gps({1: "N", 2: (12.0, 30.0, 0.0), 3: "E", 4: (3.0, 15.0, 0.0)})
    place = data.index((12).to_bytes(4, "big") + (1).to_bytes(4, "big"))
    hurt = data[: place + 4] + bytes(4) + data[place + 8 :]
    lat, lon = coordinates_from_exif(hurt)
    assert np.isnan(lat)
    assert lon == 3.25


def test_hurt_tags_and_no_image_at_all_give_none_and_no_warning():
    data = with_exif(48.85, 2.35)
    rng = np.random.default_rng(3)
    for _ in range(60):
        hurt = bytearray(data)
        for place in rng.integers(20, 220, 8):
            hurt[place] = rng.integers(0, 256)
        found = coordinates_from_exif(bytes(hurt))
        assert found is None or len(found) == 2
    for other in (b"", b"\xff\xd8\xff\xe1", b"text", encoded(quartered(), "PNG")):
        assert coordinates_from_exif(other) is None


@pytest.mark.shared_data
def test_positions_of_the_originals_are_those_of_their_index(shared_dir):
    folder = shared_dir / "photos" / "originals"
    with (folder / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["format"] != "HEIF"]
    assert len(rows) == 78
    for row in rows:
        found = coordinates_from_exif((folder / row["file"]).read_bytes())
        if row["latitude"]:
            assert found == pytest.approx((float(row["latitude"]), float(row["longitude"])), abs=1e-6), row["file"]
        else:
            assert found is None, row["file"]
