"""Files below a root: what is found, what is read, and how few reads it takes."""

import os
import pickle
import threading

import fsspec
import pytest

from geo_pipeline.imagery.source import MissingImageError, SourceError
from geo_pipeline.imagery.stores import files as files_module
from geo_pipeline.imagery.stores import remote
from geo_pipeline.imagery.stores.files import Files, braces, file_digest, inside, open_url, spans_of
from geo_pipeline.imagery.stores.remote import RemoteStore
from geo_pipeline.imagery.stores.store import FOUND, Span

CONTENT = bytes(range(256)) * 16


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    """The same files in a local folder and in fsspec's memory."""
    base = str(tmp_path / "root") if request.param == "local" else f"memory://{tmp_path.name}/root"
    fs, path = fsspec.core.url_to_fs(base)
    names = (
        "b.jpg",
        "a/x.JPG",
        "a/y.tar",
        ".hidden.jpg",
        "a/.trash/z.jpg",
        "notes.txt",
        "shard-00.tar",
        "shard-01.tar",
    )
    for name in names:
        fs.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
        fs.pipe_file(f"{path}/{name}", CONTENT)
    yield base
    if request.param == "memory":
        fs.rm(path, recursive=True)


def names_of(files):
    return [file.name for file in files.found()]


def test_files_are_found_by_their_endings_in_order_and_hidden_ones_are_not(root):
    assert names_of(Files(root, (".jpg",))) == ["a/x.JPG", "b.jpg"]
    assert names_of(Files(root)) == ["a/x.JPG", "a/y.tar", "b.jpg", "notes.txt", "shard-00.tar", "shard-01.tar"]
    table = Files(root, (".jpg",)).table()
    assert table.schema.equals(FOUND)
    assert table["name"].to_pylist() == ["a/x.JPG", "b.jpg"]
    assert table["size"].to_pylist() == [4096, 4096]


def test_a_root_may_be_one_file_or_a_pattern(root):
    assert names_of(Files(f"{root}/a/y.tar")) == ["y.tar"]
    assert names_of(Files(f"{root}/a/y.tar", (".tar",))) == ["y.tar"]
    assert names_of(Files(f"{root}/shard-{{00..01}}.tar")) == ["shard-00.tar", "shard-01.tar"]
    assert names_of(Files(f"{root}/*.tar", (".tar",))) == ["a/y.tar", "shard-00.tar", "shard-01.tar"]
    with pytest.raises(SourceError, match=r"shard-02\.tar"):
        Files(f"{root}/shard-{{00..02}}.tar").found()
    assert Files(f"{root}/a/y.tar").read("y.tar", 0, 3) == CONTENT[:3]
    assert Files(f"{root}/shard-{{00..01}}.tar").full_name("shard-01.tar").endswith("root/shard-01.tar")


def test_an_identity_changes_with_the_bytes_and_only_then(root):
    files = Files(root, (".txt",))
    before = files.found()
    assert files.found() == before
    fs, path = fsspec.core.url_to_fs(root)
    fs.pipe_file(f"{path}/notes.txt", CONTENT + b"more")
    assert files.found() != before


def test_parts_are_read_in_order_with_errors_in_their_places(root):
    files = pickle.loads(pickle.dumps(Files(root)))
    wanted = [
        ("b.jpg", 10, 5),
        ("b.jpg", 20, 5),
        ("b.jpg", 4090, 10),
        ("none", 0, 4),
        ("../b.jpg", 0, 1),
        ("b.jpg", 0, 0),
    ]
    found = list(files.read_ranges([*wanted, ("a/x.JPG", 7, 2), ("notes.txt", 0, None)]))
    assert found[:2] == [CONTENT[10:15], CONTENT[20:25]]
    words = [str(error) for error in found[2:5] if isinstance(error, MissingImageError)]
    assert "found 6 bytes at 4090, expected 10" in words[0]
    assert "No such file" in words[1]
    assert "leads out" in words[2]
    assert found[5:] == [b"", CONTENT[7:9], CONTENT]
    assert files.read("b.jpg", 4000) == CONTENT[4000:]


def test_a_claimed_length_beyond_the_file_costs_no_memory(root):
    with pytest.raises(MissingImageError, match="the file ends before"):
        Files(root).read("b.jpg", 0, 1 << 50)
    with pytest.raises(MissingImageError):
        Files(root).read("b.jpg", 1 << 50, 4)


def test_an_opened_file_is_seekable(root):
    with Files(root).open("b.jpg") as file:
        assert file.seek(-3, os.SEEK_END) == 4093
        assert file.read() == CONTENT[-3:]
        file.seek(1)
        assert file.read(2) == CONTENT[1:3]
    with pytest.raises(MissingImageError, match="No such file"):
        Files(root).open("none")


def test_one_file_is_opened_by_its_address(root):
    with open_url(f"{root}/notes.txt") as file:
        assert file.read() == CONTENT
    assert file_digest(f"{root}/notes.txt") == file_digest(f"{root}/b.jpg")
    for absent in ("absent.csv", "a"):
        with pytest.raises(SourceError, match=absent):
            open_url(f"{root}/{absent}")


def test_neighbours_are_read_together_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(files_module, "LARGEST_READ", 1000)
    monkeypatch.setattr(files_module, "LARGEST_GAP", 100)
    wanted = [("a", 0, 400), ("a", 450, 400), ("a", 900, 400), ("a", 1500, 10), ("b", 1510, 10), ("b", 0, 10)]
    spans = spans_of(wanted, "root")
    assert [(span.name, span.start, span.end) for span in spans] == [
        ("a", 0, 850),
        ("a", 900, 1300),
        ("a", 1500, 1510),
        ("b", 1510, 1520),
        ("b", 0, 10),
    ]
    assert sum(len(span.ranges) for span in spans) == len(wanted)
    assert isinstance(spans[0], Span)


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "", ".", "a\0b", "a/../.."])
def test_names_that_lead_out_are_refused(name):
    with pytest.raises(MissingImageError, match="leads out"):
        inside(name, "root")


def test_braces_count_and_list():
    assert braces("x-{08..11}.tar") == ["x-08.tar", "x-09.tar", "x-10.tar", "x-11.tar"]
    assert braces("{a,b}-{1..2}") == ["a-1", "a-2", "b-1", "b-2"]
    assert braces("plain.tar") == ["plain.tar"]
    with pytest.raises(SourceError, match="fewer than a million"):
        braces("{0..99999999}")


def test_a_root_that_is_not_there_and_an_unknown_kind_of_address_are_clear_errors(tmp_path):
    with pytest.raises(SourceError, match="found no folder"):
        Files(str(tmp_path / "absent")).found()
    with pytest.raises(SourceError, match="found no file below"):
        Files("memory://absent/folder/").found()
    with pytest.raises(SourceError, match="Expected a path, s3://"):
        Files("gopher://host/folder/").found()
    (tmp_path / "x.tar").write_bytes(b"1")
    assert names_of(Files(f"file://{tmp_path}")) == ["x.tar"]


def test_pieces_that_nobody_takes_any_more_are_not_waited_for(monkeypatch):
    """The garbage collector closes an abandoned generator wherever it runs: perhaps inside a lock that a wait needs."""
    goes_on = threading.Event()
    store = RemoteStore("memory://abandoned")
    fetch = RemoteStore._fetch

    def slow(self, spans):
        if spans[0].name == "second":
            goes_on.wait(60)
        return fetch(self, spans)

    monkeypatch.setattr(RemoteStore, "_fetch", slow)
    monkeypatch.setattr(remote, "SPANS_AT_ONCE", 1)
    fsspec.filesystem("memory").pipe_file("/abandoned/first", CONTENT)
    pieces = store.read_spans(Span(name, 0, 4, ()) for name in ("first", "second"))
    assert next(pieces) == CONTENT[:4]
    closing = threading.Thread(target=pieces.close, daemon=True)
    closing.start()
    closing.join(20)
    waited = closing.is_alive()
    goes_on.set()
    assert not waited
