"""Tar files as they occur: MP16-Pro's archive, WebDataset shards, and archives that are broken or hostile."""

import io
import os
import random
import tarfile

import pytest

from geo_pipeline.imagery.containers.entries import digest_of
from geo_pipeline.imagery.containers.tar_files import TarReader
from geo_pipeline.imagery.containers.tar_members import LARGEST_EXTENSION, members
from geo_pipeline.imagery.source import SourceError
from geo_pipeline_tests.imagery.drawn_files import encoded, quartered, with_exif

JPEG = encoded(quartered(16, 16))
NOISE = random.Random(7).randbytes(1 << 20)


def tar_of(*items, format=tarfile.GNU_FORMAT):
    """A tar file of (name, bytes) and of TarInfo objects."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for item in items:
            if isinstance(item, tarfile.TarInfo):
                tar.addfile(item)
            else:
                info = tarfile.TarInfo(item[0])
                info.size = len(item[1])
                tar.addfile(info, io.BytesIO(item[1]))
    return buffer.getvalue()


def special(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def entries_of(data, **options):
    return list(TarReader(**options).entries(io.BytesIO(data), "x.tar"))


def problems(entries):
    return {entry.name: entry.problem for entry in entries}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_where_the_entries_say(format):
    long = "e1/" + "x" * 90 + "/" + "y" * 90 + ".jpg"
    items = [("e1/55/4763.jpg", JPEG), ("./e1/56/9.JPEG", JPEG[::-1]), (long, JPEG * 3), ("é/ü.png", b"x" * 512)]
    data = tar_of(*items, format=format)
    entries = entries_of(data)
    assert [entry.name for entry in entries] == ["e1/55/4763.jpg", "e1/56/9.JPEG", long, "é/ü.png"]
    for entry, (_, content) in zip(entries, items, strict=True):
        stored = data[entry.offset : entry.offset + entry.length]
        assert TarReader().image(stored) == content
        assert entry.digest == digest_of(content)
        assert entry.problem is None
    assert [entry.first_bytes_kind for entry in entries] == ["jpeg", "unknown", "jpeg", "unknown"]


def test_only_photographs_count_and_hidden_files_and_folders_are_passed_over():
    data = tar_of(
        special("e1", tarfile.DIRTYPE),
        ("e1/a.jpg", JPEG),
        ("e1/._a.jpg", b"mac"),
        (".hidden/b.jpg", JPEG),
        ("README.md", b"text"),
        ("e1/a.json", b"{}"),
        ("e1/empty.jpg", b""),
    )
    assert problems(entries_of(data)) == {"e1/a.jpg": None, "e1/empty.jpg": "zero_bytes"}


@pytest.mark.parametrize("sidecars", [True, False])
def test_a_photograph_by_its_bytes_is_no_less_one_for_its_name(sidecars):
    names = ["x/p1", "p2.jpg", "p2.jpg_orig", "p2.bak", "p3.jpg_orig", "p4.dat", "1234.5678", "p5.mp4", "p6.nef"]
    data = tar_of(*((name, JPEG) for name in names), ("LICENSE", b"free"), ("p7.dat", b"no photograph"), ("empty", b""))
    found = {entry.name: entry.problem for entry in entries_of(data, sidecars=sidecars)}
    aside = {} if sidecars else {"p3.jpg_orig": "unknown_ending", "p4.dat": "unknown_ending"}
    assert found == {"x/p1": None, "p2.jpg": None, "1234.5678": None, **aside}


def test_links_devices_and_names_that_lead_out_are_entries_with_a_problem():
    data = tar_of(
        special("passwd.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.jpg", tarfile.LNKTYPE, "../../secret"),
        special("null.jpg", tarfile.CHRTYPE),
        special("disk.jpg", tarfile.BLKTYPE),
        special("pipe.jpg", tarfile.FIFOTYPE),
        ("../../outside.jpg", JPEG),
        ("/absolute.jpg", JPEG),
        ("a/../../b.jpg", JPEG),
        ("C:\\windows.jpg", JPEG),
        ("good.jpg", JPEG),
        format=tarfile.PAX_FORMAT,
    )
    found = entries_of(data)
    kinds = [entry.problem for entry in found]
    assert kinds == ["not_a_file"] * 5 + ["path_outside"] * 4 + [None]
    assert "'/etc/passwd'" in found[0].detail


def test_a_header_that_claims_ten_gigabytes_costs_neither_memory_nor_what_follows():
    good = tar_of(("good.jpg", JPEG))
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.REGTYPE):
        info = tarfile.TarInfo("huge.jpg")
        info.type, info.size = kind, 10 << 30
        file = _Counting(info.tobuf(tarfile.GNU_FORMAT) + good)
        found = list(TarReader().entries(file, "x.tar"))
        assert [entry.problem for entry in found] == ["truncated" if kind == tarfile.REGTYPE else "bad_header", None]
        assert found[1].name == "good.jpg"
        assert file.largest <= LARGEST_EXTENSION


def test_a_truncated_archive_keeps_what_came_before_and_says_what_was_cut():
    data = tar_of(*((f"{number}.jpg", JPEG) for number in range(4)))
    whole = entries_of(data)
    cut = entries_of(data[: whole[2].offset + 100])
    assert cut[:2] == whole[:2]
    assert (cut[2].name, cut[2].problem, cut[2].digest) == ("2.jpg", "truncated", None)
    assert f"claims {len(JPEG)} bytes" in cut[2].detail
    assert len(cut) == 3
    within_header = entries_of(data[: whole[2].offset - 200])
    assert [entry.problem for entry in within_header] == [None, None, "truncated"]
    between = entries_of(data[: whole[2].offset - 512])
    assert [entry.problem for entry in between] == [None, None, "truncated"]
    assert "end mark" in between[2].detail


@pytest.mark.parametrize("junk", [b"\xff" * 700, b"\xff" * 512, NOISE[:2000]])
def test_garbage_in_the_middle_costs_only_what_it_hit(junk):
    data = tar_of(*((f"{number}.jpg", JPEG) for number in range(4)))
    offsets = [entry.offset for entry in entries_of(data)]
    hit = bytearray(data)
    hit[offsets[1] - 512 : offsets[1] - 512 + len(junk)] = junk
    found = entries_of(bytes(hit))
    assert found[0].name == "0.jpg"
    assert found[1].problem == "bad_header"
    assert found[-1].problem is None
    assert found[-1].name == "3.jpg"


def test_an_empty_archive_has_nothing_and_an_empty_file_has_a_problem():
    assert entries_of(tar_of()) == []
    assert [entry.problem for entry in entries_of(b"")] == ["zero_bytes"]


def test_a_file_of_another_kind_is_one_entry_with_a_problem():
    assert [entry.problem for entry in entries_of(JPEG + bytes(512))] == ["bad_header"]


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_compressed_archive_is_refused_with_the_way_out(mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(SourceError, match=r"x\.tar is compressed .*\((gunzip|bunzip2|unxz)"):
        entries_of(buffer.getvalue())


def test_archives_that_follow_one_another_are_all_read_and_what_follows_the_end_is_not():
    first, second = tar_of(("a.jpg", JPEG)), tar_of(("b.jpg", JPEG))
    assert problems(entries_of(first + second)) == {"a.jpg": None, "b.jpg": None}
    assert problems(entries_of(first + b"left over by a larger file" * 99)) == {"a.jpg": None}


def test_a_sparse_member_is_refused_and_what_follows_is_read():
    info = tarfile.TarInfo("holes.jpg")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, len(JPEG)
    header = info.tobuf(tarfile.GNU_FORMAT)
    padded = JPEG + bytes(-len(JPEG) % 512)
    assert problems(entries_of(header + padded + tar_of(("a.jpg", JPEG)))) == {
        "holes.jpg": "sparse_file",
        "a.jpg": None,
    }
    pax = tarfile.TarInfo("b.jpg")
    pax.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "real.jpg"}
    data = tar_of(pax, format=tarfile.PAX_FORMAT)
    assert problems(entries_of(data)) == {"real.jpg": "sparse_file"}


def test_names_that_are_not_utf8_are_shown_and_read():
    data = tar_of((os.fsdecode(b"caf\xe9.jpg"), JPEG))
    (entry,) = entries_of(data)
    assert (entry.name, entry.problem) == ("caf\ufffd.jpg", None)
    assert data[entry.offset :].startswith(JPEG)


def test_positions_in_exif_count_where_nothing_else_gives_one():
    tagged = with_exif(48.85, 2.35)
    data = tar_of(("1.jpg", tagged), ("1.json", b'{"lat": 1, "lon": 2}'), ("2.jpg", tagged), ("3.jpg", JPEG))
    found = entries_of(data, sidecars=True, exif=True)
    assert [(entry.lat_deg and round(entry.lat_deg, 4)) for entry in found] == [1.0, 48.85, None]
    assert [entry.lat_deg for entry in entries_of(data)] == [None, None, None]


def test_a_tar_made_of_zeros_or_noise_ends_quickly():
    assert list(members(io.BytesIO(bytes(1 << 22)))) == []
    assert [member.problem for member in members(io.BytesIO(NOISE))] == ["bad_header"]


def test_very_many_damages_cost_no_more_than_one_large_one():
    info = tarfile.TarInfo("x.jpg")
    info.size = 10 << 30
    data = (info.tobuf(tarfile.GNU_FORMAT) + bytes(512)) * 2000
    file = _Counting(data)
    assert [member.problem for member in members(file)] == ["truncated"] * 2000
    assert file.total < 20 * len(data)


class _Counting(io.BytesIO):
    """A file that remembers the largest read it was asked for, and all of them together."""

    largest = total = 0

    def read(self, size=-1):
        self.total += size
        self.largest = max(self.largest, size if size >= 0 else 1 << 60)
        return super().read(size)
