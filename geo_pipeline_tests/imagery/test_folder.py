"""Folders of photographs as sources."""

import pytest

from geo_pipeline.imagery.folder import FolderSource
from geo_pipeline.imagery.source import MissingImageError, SourceError
from geo_pipeline_tests.imagery.drawn_files import encoded, quartered, with_exif


@pytest.fixture
def photos(tmp_path):
    """images/north/a.jpg and images/b.jpg with EXIF, beside a text, a hidden file and a photograph outside."""
    images = tmp_path / "photos" / "images"
    (images / "north").mkdir(parents=True)
    (images / "north" / "a.jpg").write_bytes(with_exif(48.85, 2.35))
    (images / "b.jpg").write_bytes(with_exif(-33.86, 151.21))
    (images / "notes.txt").write_text("not a photograph")
    (images / ".hidden.jpg").write_bytes(b"")
    (tmp_path / "photos" / "outside.jpg").write_bytes(encoded(quartered()))
    return tmp_path / "photos"


def records(photos, text):
    (photos / "m.csv").write_text(text)
    return list(FolderSource(photos / "images", photos / "m.csv").records())


def test_paths_are_relative_to_the_metadata_or_the_image_folder(photos):
    text = "id,path,lat,lon,author,credit\nx,images/north/a.jpg,1,2,Ann,by Ann\ny,north/a.jpg,1,2,,\n"
    first, second = records(photos, text)
    assert first.locator == second.locator == "north/a.jpg"
    assert (first.image_id, first.author, first.credit, first.problem) == ("x", "Ann", "by Ann", None)
    assert second.author is None


def test_an_image_is_found_by_its_id_with_or_without_ending(photos):
    found = records(photos, "IMG_ID,LAT,LON\na,1,2\nb.jpg,1,2\nnorth/a,1,2\nz,1,2\n")
    assert [record.locator for record in found] == ["north/a.jpg", "b.jpg", "north/a.jpg", "z"]
    assert [record.problem for record in found] == [None, None, None, "missing_file"]
    (photos / "images" / "a.jpg").write_bytes(b"x")
    assert records(photos, "id,lat,lon\na,1,2\n")[0].problem == "ambiguous_file"


def test_the_metadata_may_name_the_set(photos):
    first, second = records(photos, "id,lat,lon,set_name\na,1,2,im2gps\nb,1,2,\n")
    assert (first.set_name, second.set_name) == ("im2gps", None)


def test_files_that_are_missing_or_outside_are_named(photos):
    text = "id,path,lat,lon\nx,images/c.jpg,1,2\ny,outside.jpg,1,2\nz,../photos/images/b.jpg,,2\n"
    missing, outside, blank = records(photos, text)
    assert missing.problem == "missing_file"
    assert outside.problem == "path_outside"
    assert blank.problem == "no_coordinate"
    assert blank.detail == "no latitude"


def test_a_folder_reached_by_two_names_is_one_folder(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos / "images")
    (photos / "m.csv").write_text("id,path,lat,lon\nx,images/b.jpg,1,2\n")
    source = FolderSource(tmp_path / "link", photos / "m.csv")
    (record,) = source.records()
    assert (record.locator, record.problem) == ("b.jpg", None)
    assert source.read(record.locator)


def test_without_metadata_the_position_comes_from_exif(photos):
    (photos / "images" / "c.jpg").write_bytes(encoded(quartered()))
    (photos / "images" / "d.png").write_bytes(b"")
    (photos / "images" / "e.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40)
    (photos / "images" / "f.jpg").write_bytes(b"garbage")
    found = {record.locator: record for record in FolderSource(photos / "images").records()}
    assert list(found) == sorted(found)
    assert found["north/a.jpg"].lat_deg == pytest.approx(48.85, abs=1e-6)
    assert found["b.jpg"].lon_deg == pytest.approx(151.21, abs=1e-6)
    assert all(record.author is None for record in found.values())
    problems = {name: record.problem for name, record in found.items() if record.problem}
    expected = {"c.jpg": "no_coordinate", "d.png": "zero_bytes", "e.heic": "heif_unsupported", "f.jpg": "unreadable"}
    assert problems == expected


def test_reading_stays_inside_the_folder(photos):
    source = FolderSource(photos / "images")
    with pytest.raises(MissingImageError, match="leads out"):
        source.read("../outside.jpg")
    with pytest.raises(MissingImageError, match="No such file"):
        source.read("nothing.jpg")


def test_the_fingerprint_follows_names_bytes_and_metadata(photos):
    (photos / "m.csv").write_text("id,lat,lon\nb,1,2\n")
    source = FolderSource(photos / "images", photos / "m.csv")
    seen = [source.fingerprint()]
    assert source.fingerprint() == seen[0]
    (photos / "images" / "notes.txt").write_text("still not a photograph")
    assert source.fingerprint() == seen[0]
    (photos / "images" / "b.jpg").write_bytes(b"other bytes")
    seen.append(source.fingerprint())
    (photos / "m.csv").write_text("id,lat,lon\nb,1,3\n")
    seen.append(source.fingerprint())
    (photos / "images" / "b.jpg").rename(photos / "images" / "c.jpg")
    seen.append(source.fingerprint())
    assert len(set(seen)) == 4


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(SourceError, match="Found no folder"):
        list(FolderSource(tmp_path / "absent").records())
