"""Archives made to harm: each ends as a clear error or as rows of the quarantine, soon, and without much memory.

What the readers of archives make of damage is tested beside them; here a whole source is opened as a user opens it.
"""

import io
import subprocess
import sys
import tarfile
import time

import pytest

from geo_pipeline.imagery.source import SourceError
from geo_pipeline_tests.imagery.hostile_files import GOOD, listed, member, write_tar


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, b"", type=kind, linkname=target)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["GNU", "PAX"])
@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd.jpg", "/etc/passwd.jpg", "a/../../b.jpg", "..\\..\\b.jpg", "C:/b.jpg", "../" * 60 + "b.jpg"],
)
def test_members_that_lead_out_of_an_archive_are_refused(tmp_path, name, form):
    write_tar(tmp_path / "a.tar", member("good.jpg"), member(name), member("last.jpg"), form=form)
    first, outside, last = listed(tmp_path, "a.tar")
    assert (first.problem, last.problem) == (None, None)
    assert outside.problem == "path_outside"
    assert "leads out" in outside.detail
    assert not list(tmp_path.parent.rglob("*passwd*"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]  # nothing was unpacked


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (link("b.jpg", "/etc/passwd"), "a link, to '/etc/passwd'"),
        (link("b.jpg", "../../secret.jpg", tarfile.LNKTYPE), "a hard link"),
        (link("b.jpg", "good.jpg", tarfile.LNKTYPE), "a hard link"),
        (member("b.jpg", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5), "a device"),
        (member("b.jpg", b"", type=tarfile.BLKTYPE, devmajor=8), "a device"),
        (member("b.jpg", b"", type=tarfile.FIFOTYPE), "a pipe"),
    ],
    ids=["link", "hard link", "hard link inside", "character device", "block device", "pipe"],
)
def test_members_that_are_no_plain_files_are_refused(tmp_path, odd, words):
    write_tar(tmp_path / "a.tar", member("good.jpg"), odd, member("last.jpg"))
    first, refused, last = listed(tmp_path, "a.tar")
    assert (first.problem, refused.problem, last.problem) == (None, "not_a_file", None)
    assert words in refused.detail
    assert "only plain files are read" in refused.detail


LIMITED = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.source import records_of
started = time.monotonic()
for record in records_of(open_source(sys.argv[1]).listing()):
    print(record.problem)
assert time.monotonic() - started < 20
"""


def huge_headers():
    """Headers that claim ten gigabytes, in every way a header can."""
    good = b"".join((tarfile.TarInfo.tobuf(member("good.jpg")[0]), GOOD, bytes(-len(GOOD) % 512)))
    claimed = tarfile.TarInfo("huge.jpg")
    claimed.size = 10 << 30
    octal, pax = claimed.tobuf(tarfile.GNU_FORMAT), claimed.tobuf(tarfile.PAX_FORMAT)
    heads = {"GNU": octal, "PAX": pax}
    for name, kind in (("long name", tarfile.GNUTYPE_LONGNAME), ("PAX header", tarfile.XHDTYPE)):
        header = tarfile.TarInfo("././@LongLink")
        header.size, header.type = 10 << 30, kind
        heads[name] = header.tobuf(tarfile.GNU_FORMAT)
    return {name: head + good + bytes(1024) for name, head in heads.items()}


@pytest.mark.parametrize("how", huge_headers())
def test_a_header_that_claims_ten_gigabytes_costs_nothing(tmp_path, how):
    (tmp_path / "a.tar").write_bytes(huge_headers()[how])
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "a.tar")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert found[0] in ("truncated", "bad_header")
    assert found[-1] == "None"  # the photograph behind it is still found


def test_sparse_members_are_refused(tmp_path):
    header, data = member("holes.jpg", GOOD)
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10 << 30)}
    write_tar(tmp_path / "a.tar", (header, data), member("last.jpg"), form=tarfile.PAX_FORMAT)
    sparse, last = listed(tmp_path, "a.tar")
    assert (sparse.problem, last.problem) == ("sparse_file", None)


@pytest.mark.parametrize("cut", [1, 511, 700, 1024, 1500])
def test_a_truncated_archive_keeps_what_is_whole(tmp_path, cut):
    write_tar(tmp_path / "a.tar", *(member(f"{number}.jpg") for number in range(4)))
    data = (tmp_path / "a.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "a.tar").write_bytes(data[:-cut])
    found = listed(tmp_path, "a.tar")
    assert [record.problem for record in found[:3]] == [None] * 3 or cut > 1024
    assert "truncated" in [record.problem for record in found]  # also where only the last member's padding is cut
    assert any("Fetch" in record.detail or "ends" in record.detail for record in found)


def pax_of_many_lines(lines):
    """One PAX header of very many short lines."""
    body = b"5 a=\n" * lines
    header = tarfile.TarInfo("pax")
    header.size, header.type = len(body), tarfile.XHDTYPE
    return header.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


def chained_sparse_headers(count):
    """Headers of which each says that its map goes on in the next."""
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[482], header[504] = tarfile.GNUTYPE_SPARSE, 1, 1
    header[124:136] = b"77777777777\0"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) * count


@pytest.mark.parametrize(
    "data",
    [
        pax_of_many_lines(200_000) * 3,
        chained_sparse_headers(8000),
        tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT) * 8000,
        (b"\0" * 512 + tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT)) * 4000,
        (b"\x01" * 512 + tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT)) * 4000,
        b"ustar" * 800_000,
    ],
    ids=["PAX lines", "sparse chain", "headers only", "zeros between", "damage between", "magic everywhere"],
)
def test_an_archive_of_four_megabytes_cannot_cost_a_minute(tmp_path, data):
    (tmp_path / "a.tar").write_bytes(data)
    started = time.process_time()
    assert listed(tmp_path, "a.tar", kind="tar")
    assert time.process_time() - started < 10


def test_a_compressed_archive_is_refused_with_the_way_out(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(member("a.jpg")[0], io.BytesIO(GOOD))
    with pytest.raises(SourceError, match=r"compressed \(gzip\).*gunzip"):
        listed(tmp_path, "a.tar")
