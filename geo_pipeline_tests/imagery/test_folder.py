"""Folders of photographs as sources."""

import os
import pickle
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from geo_pipeline.imagery.folder import FolderSource
from geo_pipeline.imagery.source import LISTING, MissingImageError, SourceError, records_of
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


def listed(source):
    return list(records_of(source.listing()))


def records(photos, text):
    """The records of the rows; what no row names is left out."""
    (photos / "m.csv").write_text(text)
    found = listed(FolderSource(photos / "images", photos / "m.csv"))
    return [record for record in found if record.problem != "no_metadata"]


def test_paths_are_relative_to_the_metadata_or_the_image_folder(photos):
    text = "id,path,lat,lon,author,credit\nx,images/north/a.jpg,1,2,Ann,by Ann\ny,north/a.jpg,1,2,,\n"
    first, second = records(photos, text)
    assert first.locator == second.locator == "north/a.jpg"
    assert (first.image_id, first.author, first.credit, first.problem) == ("x", "Ann", "by Ann", None)
    assert (second.author, second.problem) == (None, "duplicate_file")


def test_an_image_is_found_by_its_id_with_or_without_ending(photos):
    found = records(photos, "IMG_ID,LAT,LON\na,1,2\nb.jpg,1,2\nz,1,2\n")
    assert [record.locator for record in found] == ["north/a.jpg", "b.jpg", "z"]
    assert [record.problem for record in found] == [None, None, "missing_file"]
    assert records(photos, "IMG_ID,LAT,LON\nnorth/a,1,2\n")[0].locator == "north/a.jpg"
    (photos / "images" / "a.jpg").write_bytes(b"x")
    assert records(photos, "id,lat,lon\na,1,2\n")[0].problem == "ambiguous_file"


def test_a_file_whose_letters_are_decomposed_is_found_by_its_composed_name(photos):
    for name in ("Mu\u0308ller e\u0301.jpg", "Mu\u0308ller without ending"):
        (photos / "images" / name).write_bytes(with_exif(1, 2))
        composed = unicodedata.normalize("NFC", name)
        (record,) = records(photos, f"id,path,lat,lon\nx,images/{composed},1,2\n")
        assert (record.locator, record.problem) == (name, None)


def test_the_metadata_may_name_the_set(photos):
    first, second = records(photos, "id,lat,lon,set_name\na,1,2,im2gps\nb,1,2,\n")
    assert (first.set_name, second.set_name) == ("im2gps", None)


def test_files_that_are_missing_or_outside_are_named(photos):
    text = "id,path,lat,lon\nx,images/c.jpg,1,2\ny,outside.jpg,1,2\nz,../photos/images/b.jpg,,2\n"
    missing, outside, blank = records(photos, text)
    assert missing.problem == "missing_file"
    assert outside.problem == "path_outside"
    assert blank.problem == "no_coordinate"
    assert "empty" in blank.detail


def test_a_folder_reached_by_two_names_is_one_folder(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos / "images")
    (photos / "m.csv").write_text("id,path,lat,lon\nx,images/b.jpg,1,2\n")
    source = FolderSource(tmp_path / "link", photos / "m.csv")
    record = listed(source)[0]
    assert (record.locator, record.problem) == ("b.jpg", None)
    assert source.read(record.locator)


def test_without_metadata_the_position_comes_from_exif(photos):
    (photos / "images" / "c.jpg").write_bytes(encoded(quartered()))
    (photos / "images" / "d.png").write_bytes(b"")
    (photos / "images" / "e.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40)
    (photos / "images" / "f.jpg").write_bytes(b"garbage")
    found = {record.locator: record for record in listed(FolderSource(photos / "images"))}
    assert list(found) == sorted(found)
    assert found["north/a.jpg"].lat_deg == pytest.approx(48.85, abs=1e-6)
    assert found["b.jpg"].lon_deg == pytest.approx(151.21, abs=1e-6)
    assert all(record.author is None for record in found.values())
    problems = {name: record.problem for name, record in found.items() if record.problem}
    expected = {"c.jpg": "no_coordinate", "d.png": "zero_bytes", "e.heic": "heif_unsupported", "f.jpg": "unreadable"}
    assert problems == expected


class CountingFolder(FolderSource):
    """A folder that remembers which photographs were read; it reads as the real one does."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.reads = []

    def read_many(self, locators):
        self.reads += locators
        return super().read_many(locators)


def test_an_added_photograph_costs_one_read_where_an_index_is_kept(photos, tmp_path):
    images = photos / "images"
    (images / "c.jpg").write_bytes(encoded(quartered()))
    (images / "d.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40)
    (images / "e.jpg").symlink_to(photos / "nothing.jpg")

    def read_anew():
        """The records, and what was read for them; always those of a source without an index."""
        source = CountingFolder(images, index=tmp_path / "index")
        found = listed(source)
        assert found == listed(FolderSource(images))
        return found, source.reads

    found, reads = read_anew()
    assert reads == ["b.jpg", "c.jpg", "d.heic", "north/a.jpg"]
    assert [record.problem for record in found] == [
        None,
        "no_coordinate",
        "heif_unsupported",
        "missing_file",
        None,
    ]
    assert read_anew() == (found, [])
    (images / "bb.jpg").write_bytes(with_exif(10, 20))
    assert read_anew()[1] == ["bb.jpg"]
    (images / "b.jpg").write_bytes(with_exif(11, 21))
    (images / "c.jpg").unlink()
    (images / "north" / "a.jpg").rename(images / "north" / "z.jpg")
    assert read_anew()[1] == ["b.jpg", "north/z.jpg"]
    assert read_anew()[1] == []
    (kept,) = (tmp_path / "index").iterdir()
    kept.write_bytes(b"damaged")
    assert len(read_anew()[1]) == 4


def test_what_could_not_be_read_is_tried_again(photos, tmp_path):

    class Denied(FolderSource):
        def read_many(self, locators):
            yield from (MissingImageError("Permission denied") for _ in locators)

    denied = listed(Denied(photos / "images", index=tmp_path / "index"))
    assert [(record.problem, record.detail) for record in denied] == [("missing_file", "Permission denied")] * 2
    source = CountingFolder(photos / "images", index=tmp_path / "index")
    assert [record.problem for record in listed(source)] == [None, None]
    assert source.reads == ["b.jpg", "north/a.jpg"]


def test_a_folder_with_a_table_keeps_no_index(photos, tmp_path):
    (photos / "m.csv").write_text("id,lat,lon\nb,1,2\n")
    source = CountingFolder(photos / "images", photos / "m.csv", index=tmp_path / "index")
    assert listed(source)
    assert source.reads == []
    assert not (tmp_path / "index").exists()


def test_positions_read_before_a_listing_breaks_off_are_kept(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("geo_pipeline.imagery.exif_index.WRITTEN_AT_ONCE", 1)
    monkeypatch.setattr("geo_pipeline.imagery.exif_index.READ_AT_ONCE", 1)

    class Breaking(CountingFolder):
        def read_many(self, locators):
            if "north/a.jpg" in locators:
                raise SourceError("the store does not answer")
            return super().read_many(locators)

    with pytest.raises(SourceError, match="does not answer"):
        listed(Breaking(photos / "images", index=tmp_path / "index"))
    source = CountingFolder(photos / "images", index=tmp_path / "index")
    assert len(listed(source)) == 2
    assert source.reads == ["north/a.jpg"]


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
    with pytest.raises(SourceError, match="found no folder"):
        list(FolderSource(tmp_path / "absent").listing())


def test_every_row_and_every_file_is_a_record(photos):
    (photos / "m.csv").write_text("id,lat,lon\nb,1,2\nz,1,2\n")
    batches = list(FolderSource(photos / "images", photos / "m.csv").listing())
    assert all(batch.schema.equals(LISTING) for batch in batches)
    found = {record.image_id: record for record in records_of(batches)}
    assert {name: record.problem for name, record in found.items()} == {
        "b": None,
        "z": "missing_file",
        "north/a.jpg": "no_metadata",
    }
    status = (photos / "images" / "b.jpg").stat()
    assert found["b"].stamp == f"{status.st_size}-{status.st_mtime_ns}"


def test_a_photograph_by_its_bytes_is_read_or_set_aside_whatever_its_name_is(photos):
    images = photos / "images"
    jpeg = (images / "b.jpg").read_bytes()
    read = {"p05", "north/p06", "1234.5678", "IMG.20201231", "ends in a dot.", "p12.MPO", "p13.pjpeg"}
    aside = {"p07.jpg_orig", "p08.JPG~", "p09.heic.tmp", "p10.orig", "p11.dat", "p14.v2", "p15.jpg.1", "p16.insp"}
    for name in (*read, *aside, "b.jpg_original", "b.jpg.json", "b.jpg.1", "b.orig", "b.bak"):
        (images / name).write_bytes(jpeg)
    for name in ("LICENSE", "Makefile", "p10.jpg.xmp", "p11.png.part", "p17.part"):
        (images / name).write_text("no photograph")
    (images / "empty").touch()
    for name in ("clip.mp4", "clip.THM", "b.dng", "p18.nef", "p19.json"):
        (images / name).write_bytes(jpeg)
    (images / "scan").write_bytes(encoded(quartered(), "TIFF"))
    found = {record.locator: record for record in listed(FolderSource(images))}
    assert found.pop("scan").problem == "no_coordinate"
    assert {name: record.problem for name, record in found.items()} == {
        **dict.fromkeys(("b.jpg", "north/a.jpg", *read)),
        **dict.fromkeys(aside, "unknown_ending"),
    }
    assert found["p05"].lat_deg == found["b.jpg"].lat_deg
    assert "Rename it" in found["p07.jpg_orig"].detail


def test_a_photograph_without_an_ending_counts_when_a_row_names_it(photos):
    (photos / "images" / "4763369508").write_bytes(encoded(quartered()))
    (photos / "images" / "LICENSE").write_text("no photograph")
    found = records(photos, "id,lat,lon\n4763369508,1,2\n")
    assert [(record.locator, record.problem) for record in found] == [("4763369508", None)]
    (row,) = records(photos, "id,path,lat,lon\nx,images/notes.txt,1,2\n")
    assert row.problem == "not_a_file"
    assert "does not end as photographs do" in row.detail


def test_metadata_within_the_image_folder_names_what_lies_beside_it(photos):
    metadata = photos / "images" / "north" / "m.csv"
    metadata.write_text("id,path,lat,lon\nx,a.jpg,1,2\ny,../b.jpg,1,2\nz,b.jpg,1,2\n")
    found = listed(FolderSource(photos / "images", metadata))
    assert [(record.locator, record.problem) for record in found] == [
        ("north/a.jpg", None),
        ("b.jpg", None),
        ("b.jpg", "duplicate_file"),
    ]


def test_links_that_lead_out_are_refused_unless_they_are_wanted(photos):
    images = photos / "images"
    (images / "out.jpg").symlink_to(photos / "outside.jpg")
    (images / "within.jpg").symlink_to(images / "b.jpg")
    (images / "nowhere.jpg").symlink_to(photos / "nothing.jpg")
    (images / "loop").symlink_to(images)
    (images / "above").symlink_to(photos.parent)
    found = {record.locator: record.problem for record in listed(FolderSource(images))}
    assert found == {
        "b.jpg": None,
        "within.jpg": None,
        "north/a.jpg": None,
        "out.jpg": "path_outside",
        "nowhere.jpg": "missing_file",
        "above/": "path_outside",
    }
    (row,) = records(photos, "id,path,lat,lon\nx,images/out.jpg,1,2\n")[:1]
    assert row.problem == "path_outside"
    (row,) = records(photos, "id,path,lat,lon\nx,images/above/photos/outside.jpg,1,2\n")[:1]
    assert row.problem == "path_outside"
    assert "--follow-links" in row.detail
    with pytest.raises(MissingImageError, match="leads out"):
        FolderSource(images).read("out.jpg")
    with pytest.raises(MissingImageError, match="leads out"):
        FolderSource(images).read("above/photos/outside.jpg")
    followed = FolderSource(images, follow_links=True)
    assert followed.read("out.jpg") == (photos / "outside.jpg").read_bytes()


def test_what_is_no_plain_file_neither_hangs_nor_counts(photos):
    os.mkfifo(photos / "images" / "pipe.jpg")
    found = {record.locator: record.problem for record in listed(FolderSource(photos / "images"))}
    assert found["pipe.jpg"] == "not_a_file"
    with pytest.raises(MissingImageError, match="no plain file"):
        FolderSource(photos / "images").read("pipe.jpg")


def test_a_name_that_is_not_utf8_is_a_record_with_a_problem(photos):
    Path(os.fsdecode(os.fsencode(photos / "images") + b"/caf\xe9.jpg")).write_bytes(with_exif(1, 2))
    found = {record.locator: record.problem for record in listed(FolderSource(photos / "images"))}
    assert found["caf\ufffd.jpg"] == "unreadable_name"
    assert FolderSource(photos / "images").fingerprint()


def test_many_are_read_in_order_with_errors_in_their_places(photos):
    source = pickle.loads(pickle.dumps(FolderSource(photos / "images")))
    found = list(source.read_many(["b.jpg", "nothing.jpg", "../outside.jpg", "north/a.jpg"]))
    assert found[0] == (photos / "images" / "b.jpg").read_bytes()
    assert found[3] == (photos / "images" / "north" / "a.jpg").read_bytes()
    assert [isinstance(data, MissingImageError) for data in found] == [False, True, True, False]


def test_a_folder_of_many_files_is_listed_without_a_python_object_for_each(tmp_path):
    for number in range(3000):
        (tmp_path / f"{number:05d}.jpg").touch()
    (tmp_path / "m.csv").write_text("id,lat,lon\n" + "".join(f"{number:05d},1,2\n" for number in range(3000)))
    found = pa.Table.from_batches(FolderSource(tmp_path, tmp_path / "m.csv").listing())
    assert found["problem"].null_count == 3000
    assert found["locator"][2999].as_py() == "02999.jpg"
