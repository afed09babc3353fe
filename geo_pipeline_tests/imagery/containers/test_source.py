"""Containers as a source: locators, listings, kept indexes, and reads of neighbours together."""

import os
import pickle
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from geo_pipeline.imagery.containers.entries import Entry, Place, digest_of, locator_of, place_of
from geo_pipeline.imagery.containers.source import ContainerSource
from geo_pipeline.imagery.containers.tar_files import TarReader
from geo_pipeline.imagery.source import LISTING, MissingImageError, SourceError, records_of
from geo_pipeline.imagery.stores.files import Files
from geo_pipeline_tests.imagery.containers.test_tar_files import JPEG, tar_of


@dataclass(frozen=True)
class CountingReader(TarReader):
    """A tar reader that remembers which containers it was asked to list."""

    listed: list = field(default_factory=list)

    def entries(self, file, name):
        self.listed.append(name)
        return super().entries(file, name)


class LinesReader:
    """Containers of lines, each a photograph that is read from the open file: offset is the line's number."""

    suffixes = (".lines",)

    def entries(self, file, name):
        for number, line in enumerate(file.read().splitlines()):
            yield Entry(line.decode(), number, 1, digest_of(line), None, lat_deg=1.0, lon_deg=2.0, block=number // 2)

    def image(self, stored):
        return stored

    def images(self, file, offsets):
        lines = file.read().splitlines()
        for offset in offsets:
            yield lines[offset] if offset < len(lines) else MissingImageError("no such line")


@pytest.fixture
def mp16(tmp_path):
    """An archive and a table as MP16-Pro has them: ids are paths, members too."""
    photographs = {f"e1/5{number}/47{number}.jpg": JPEG + bytes([number]) for number in range(6)}
    (tmp_path / "mp-16-images.tar").write_bytes(tar_of(*photographs.items(), ("readme.txt", b"text")))
    rows = "".join(f"{name},a{number % 2},{number},{number + 10}\n" for number, name in enumerate(photographs))
    (tmp_path / "MP16_Pro_places365.csv").write_text("IMG_ID,AUTHOR,LAT,LON\n" + rows + "ff/00/1.jpg,a9,1,2\n")
    return tmp_path, photographs


def listed(source):
    return list(records_of(source.listing()))


def test_an_archive_with_a_table_is_a_listing_whose_locators_read_the_photographs(mp16):
    folder, photographs = mp16
    source = ContainerSource(str(folder), TarReader(), "tar", str(folder / "MP16_Pro_places365.csv"))
    batches = list(source.listing())
    assert all(batch.schema.equals(LISTING) for batch in batches)
    found = list(records_of(batches))
    assert [record.image_id for record in found] == [*photographs, "ff/00/1.jpg"]
    assert [record.problem for record in found] == [None] * 6 + ["missing_file"]
    assert [record.author for record in found[:2]] == ["a0", "a1"]
    assert found[0].locator.startswith("mp-16-images.tar!e1/50/470.jpg@512+")
    assert found[0].stamp == digest_of(photographs["e1/50/470.jpg"])
    assert found[0].block == "mp-16-images.tar#0"
    source = pickle.loads(pickle.dumps(source))
    assert source.read(found[3].locator) == photographs["e1/53/473.jpg"]
    assert list(source.read_many([record.locator for record in found[:6]])) == list(photographs.values())


def test_without_a_table_ids_stay_when_containers_are_added(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.tar").write_bytes(tar_of(("000.jpg", JPEG), ("000.json", b'{"lat": 1, "lon": 2}')))
    source = ContainerSource(str(tmp_path), TarReader(sidecars=True), "webdataset")
    (before,) = listed(source)
    (tmp_path / "a.tar").write_bytes(tar_of(("000.jpg", JPEG), ("000.json", b'{"lat": 3, "lon": 4, "id": "own"}')))
    own, after = listed(source)
    assert after == before
    assert (before.image_id, own.image_id) == ("b/1/000.jpg", "own")
    assert (before.lat_deg, before.lon_deg, before.problem) == (1.0, 2.0, None)


def test_the_last_of_two_members_of_one_name_counts_as_when_unpacked(tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_of(("a.jpg", JPEG), ("b.jpg", JPEG), ("a.jpg", JPEG[::-1])))
    (tmp_path / "m.csv").write_text("id,lat,lon\na,1,2\nb,1,2\n")
    source = ContainerSource(str(tmp_path), TarReader(), "tar", str(tmp_path / "m.csv"))
    first, second, replaced = listed(source)
    assert (first.problem, second.problem, replaced.problem) == (None, None, "superseded")
    assert source.read(first.locator) == JPEG[::-1]


def test_broken_members_are_records_with_their_problem(tmp_path):
    data = tar_of(("a.jpg", JPEG), ("../b.jpg", JPEG), ("c.jpg", JPEG))
    (tmp_path / "x.tar").write_bytes(data[: data.rindex(JPEG) + 50])
    (tmp_path / "m.csv").write_text("id,path,lat,lon\na,a.jpg,1,2\nc,c.jpg,1,2\n")
    found = listed(ContainerSource(str(tmp_path), TarReader(), "tar", str(tmp_path / "m.csv")))
    problems = {record.image_id: record.problem for record in found}
    assert problems["a"] is None
    assert problems["c"] == "truncated"
    assert problems["../b.jpg"] == "path_outside"


def test_only_new_and_changed_containers_are_read_again(tmp_path):
    root, index = tmp_path / "root", tmp_path / "index"
    root.mkdir()
    for name in ("a", "b"):
        (root / f"{name}.tar").write_bytes(tar_of((f"{name}.jpg", JPEG)))
    reader = CountingReader()
    source = ContainerSource(str(root), reader, "tar", index=index)
    first = listed(source)
    assert sorted(reader.listed) == ["a.tar", "b.tar"]
    assert listed(source) == first == listed(ContainerSource(str(root), TarReader(), "tar"))
    assert len(reader.listed) == 2
    (root / "b.tar").write_bytes(tar_of(("b.jpg", JPEG), ("c.jpg", JPEG)))
    (root / "d.tar").write_bytes(tar_of(("d.jpg", JPEG)))
    assert len(listed(source)) == 4
    assert sorted(reader.listed[2:]) == ["b.tar", "d.tar"]
    assert len(list(index.iterdir())) == 3
    for kept in index.iterdir():
        kept.write_bytes(b"damaged")
    assert len(listed(source)) == 4
    assert len(reader.listed) == 7


def test_the_fingerprint_follows_containers_and_table_without_reading_them(mp16):
    folder, _ = mp16
    reader = CountingReader()
    table = folder / "MP16_Pro_places365.csv"
    source = ContainerSource(str(folder), reader, "tar", str(table))
    seen = [source.fingerprint(), source.fingerprint()]
    assert seen[0] == seen[1]
    table.write_text(table.read_text() + "x,y,1,2\n")
    seen.append(source.fingerprint())
    os.utime(folder / "mp-16-images.tar", ns=(1, 1))
    seen.append(source.fingerprint())
    (folder / "second.tar").write_bytes(tar_of())
    seen.append(source.fingerprint())
    assert len(set(seen)) == 4
    assert reader.listed == []


def test_neighbours_are_read_together(mp16, monkeypatch):
    folder, photographs = mp16
    source = ContainerSource(str(folder), TarReader(), "tar")
    locators = [record.locator for record in listed(source)]
    reads = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: reads.append(args[1]) or pread(*args))
    assert list(source.read_many(locators)) == list(photographs.values())
    assert len(reads) == 1


def test_what_cannot_be_read_is_an_error_in_its_place(mp16):
    folder, photographs = mp16
    source = ContainerSource(str(folder), TarReader(), "tar")
    good = listed(source)[0].locator
    wrong = ["no locator", "absent.tar!a@0+5", "../x.tar!a@0+5", "mp-16-images.tar!a@99999999+5", "x!a@-1+5", "x!a@1+"]
    found = list(source.read_many([wrong[0], good, *wrong[1:], good]))
    assert found[1] == found[-1] == photographs["e1/50/470.jpg"]
    assert [isinstance(data, MissingImageError) for data in found] == [True, False, *[True] * 5, False]
    with pytest.raises(MissingImageError, match=r"expected container!name@offset\+length"):
        source.read("no locator")


def test_a_reader_may_read_the_places_itself(tmp_path):
    (tmp_path / "x.lines").write_bytes(b"one\ntwo\nthree\n")
    (tmp_path / "y.lines").write_bytes(b"four\n")
    source = ContainerSource(str(tmp_path), LinesReader(), "lines")
    found = listed(source)
    assert [record.block for record in found] == ["x.lines#0", "x.lines#0", "x.lines#1", "y.lines#0"]
    locators = [record.locator for record in found]
    assert list(source.read_many(locators[::-1])) == [b"four", b"three", b"two", b"one"]
    mixed = list(source.read_many(["gone.lines!a@0+1", locators[0], "x.lines!a@9+1"]))
    assert [isinstance(data, MissingImageError) for data in mixed] == [True, False, True]


@pytest.mark.parametrize("container", ["a.tar", "sub/a b.tar", "a!b.tar", "50%21!.tar", "%25.tar"])
@pytest.mark.parametrize("name", ["e1/55/4.jpg", "odd!name@5+6.jpg", ""])
def test_a_locator_says_its_place_and_back(container, name):
    place = Place(container, name, 1536, 48213)
    assert place_of(locator_of(place)) == place
    assert locator_of(place).partition("!")[0].replace("%21", "!").replace("%25", "%") == container


def test_a_container_with_an_exclamation_mark_is_read(tmp_path):
    (tmp_path / "wow!%21.tar").write_bytes(tar_of(("a.jpg", JPEG)))
    source = ContainerSource(str(tmp_path), TarReader(), "tar")
    (record,) = listed(source)
    assert source.read(record.locator) == JPEG


def test_a_root_without_containers_and_a_compressed_one_are_clear_errors(tmp_path):
    with pytest.raises(SourceError, match=r"found no container .* expected files named \*\.tar"):
        listed(ContainerSource(str(tmp_path), TarReader(), "tar"))
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(SourceError, match="compressed"):
        listed(ContainerSource(str(tmp_path), TarReader(), "tar"))


def test_the_table_beside_the_containers_is_none_of_them(tmp_path):
    table = pa.table({"id": ["a"], "lat": [1.0], "lon": [2.0]})
    pa.parquet.write_table(table, tmp_path / "m.lines")
    (tmp_path / "x.lines").write_bytes(b"a\n")
    source = ContainerSource(str(tmp_path), LinesReader(), "lines", str(tmp_path / "m.lines"))
    assert [file.name for file in source._containers()] == ["x.lines"]
    assert [file.name for file in Files(str(tmp_path)).found()] == ["m.lines", "x.lines"]
