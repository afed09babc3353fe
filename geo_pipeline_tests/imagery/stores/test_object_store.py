"""The same sources behind addresses: a local object store (moto), and a local web server with and without ranges."""

import contextlib
import http.server
import json
import logging
import pickle
import re
import threading
import urllib.parse

import fsspec
import pytest

from geo_pipeline.imagery.containers.source import ContainerSource
from geo_pipeline.imagery.containers.tar_files import TarReader
from geo_pipeline.imagery.folder import FolderSource
from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.source import MissingImageError, SourceError, records_of
from geo_pipeline.imagery.stores import errors as store_errors
from geo_pipeline.imagery.stores.files import Files, open_url
from geo_pipeline.imagery.stores.store import StoreError
from geo_pipeline_tests.imagery.containers.test_tar_files import JPEG, tar_of
from geo_pipeline_tests.imagery.drawn_files import with_exif
from geo_pipeline_tests.imagery.test_folder import CountingFolder

pytestmark = pytest.mark.xdist_group("object_store")
PHOTOGRAPHS = {f"e1/55/{number}.jpg": JPEG + bytes([number]) * number for number in range(5)}
SIDECAR = json.dumps({"latitude": 1.5, "longitude": 2}).encode()
TABLE = "IMG_ID,AUTHOR,LAT,LON\n" + "".join(f"{name},a,{number},7\n" for number, name in enumerate(PHOTOGRAPHS))


@pytest.fixture(scope="module")
def s3():
    """A bucket with a folder of photographs, an archive of them, and their table; the address of its folder."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fs = fsspec.filesystem("s3")
        fs.mkdir("field")
        for name, data in PHOTOGRAPHS.items():
            fs.pipe_file(f"field/loose/{name}", data)
        fs.pipe_file("field/loose/.hidden.jpg", JPEG)
        fs.pipe_file("field/tars/images-00.tar", tar_of(*list(PHOTOGRAPHS.items())[:3]))
        fs.pipe_file("field/tars/images-01.tar", tar_of(*list(PHOTOGRAPHS.items())[3:]))
        fs.pipe_file("field/m.csv", TABLE.encode())
        yield "s3://field"
    server.stop()


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves `files` of its server by whole or by ranges, and a page that lists them, as web servers do."""

    def do_HEAD(self):
        self._answer(False)

    def do_GET(self):
        self._answer(True)

    def log_message(self, *args):
        pass

    def _answer(self, body):
        name = urllib.parse.unquote(self.path).lstrip("/")
        self.server.asked.append((self.command, name, self.headers.get("Range")))
        status, data, kind = 200, self.server.files.get(name), "application/octet-stream"
        if self.server.failures and body:
            status, data = self.server.failures.pop(0), b""
        elif data is None and (name.endswith("/") or not name):
            parts = {
                known.removeprefix(name).split("/")[0] + "/" * ("/" in known.removeprefix(name))
                for known in self.server.files
                if known.startswith(name)
            }
            data, kind = "".join(f'<a href="{urllib.parse.quote(part)}">x</a>' for part in parts).encode(), "text/html"
        elif data is None:
            status, data = 404, b""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if wanted and status == 200 and self.server.ranges:
            status, data = 206, data[int(wanted[1]) : int(wanted[2]) + 1]
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", kind)
        if self.server.marks:
            self.send_header("ETag", f'"{hash(data)}"')
        self.end_headers()
        if body:
            with contextlib.suppress(ConnectionError):  # a client that has seen enough hangs up
                self.wfile.write(data)


@pytest.fixture
def web():
    """A web server whose files, failures and habits a test decides."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    server.files, server.failures, server.ranges, server.marks, server.asked = {}, [], True, True, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def listed(source):
    return list(records_of(source.listing()))


def test_a_folder_with_a_table_in_an_object_store(s3):
    source = open_source(f"{s3}/loose", f"{s3}/m.csv")
    assert isinstance(source, FolderSource)
    found = listed(source)
    assert [record.problem for record in found] == [None] * 5
    assert [record.locator for record in found] == list(PHOTOGRAPHS)
    assert len({record.stamp for record in found}) == 5
    source = pickle.loads(pickle.dumps(source))
    data = list(source.read_many([*PHOTOGRAPHS, "e1/none.jpg"]))
    assert data[:5] == list(PHOTOGRAPHS.values())
    assert isinstance(data[5], MissingImageError)


def test_archives_in_an_object_store_with_a_kept_index(s3, tmp_path):
    source = open_source(f"{s3}/tars", f"{s3}/m.csv", index=tmp_path)
    assert isinstance(source, ContainerSource)
    found = listed(source)
    assert [record.problem for record in found] == [None] * 5
    assert list(source.read_many([record.locator for record in found])) == list(PHOTOGRAPHS.values())
    assert listed(source) == found
    assert len(list(tmp_path.iterdir())) == 2


def test_a_replaced_object_changes_the_fingerprint_and_only_its_own_stamp(s3):
    fs = fsspec.filesystem("s3")
    fs.pipe_file("field/replaced/a.jpg", JPEG)
    fs.pipe_file("field/replaced/b.jpg", JPEG)
    source = FolderSource(f"{s3}/replaced")
    before, stamps = source.fingerprint(), [record.stamp for record in listed(source)]
    assert source.fingerprint() == before
    fs.pipe_file("field/replaced/b.jpg", JPEG[::-1])
    assert source.fingerprint() != before
    assert [old == new.stamp for old, new in zip(stamps, listed(source), strict=True)] == [True, False]


def test_an_added_photograph_of_a_store_costs_one_read(s3, tmp_path):
    fs = fsspec.filesystem("s3")
    for name in ("a", "b", "c"):
        fs.pipe_file(f"field/tagged/{name}.jpg", with_exif(48.5, 2.25))

    def reads():
        source = CountingFolder(f"{s3}/tagged", index=tmp_path)
        assert {record.lat_deg for record in listed(source)} == {48.5}
        return source.reads

    assert reads() == ["a.jpg", "b.jpg", "c.jpg"]
    assert reads() == []
    fs.pipe_file("field/tagged/bb.jpg", with_exif(48.5, 2.25))
    assert reads() == ["bb.jpg"]


def test_photographs_of_a_web_server_are_asked_for_once(web, tmp_path):
    """Where the server marks its files; without a mark nothing says that they are still the same."""
    web.files = {f"photos/{number}.jpg": with_exif(48.5, 2.25) for number in range(3)}
    for web.marks, expected in ((True, 0), (False, 3)):
        source = open_source(f"{web.url}/photos/", index=tmp_path)
        before = listed(source)
        web.asked.clear()
        assert listed(source) == before
        assert [record.lat_deg for record in before] == [48.5] * 3
        asked = [name for command, name, _ in web.asked if command == "GET" and name.endswith(".jpg")]
        assert len(asked) == expected


def test_what_is_not_in_the_store_is_said(s3):
    with pytest.raises(SourceError, match="found no file below s3://field/absent"):
        open_source(f"{s3}/absent/")
    with pytest.raises(SourceError, match="No such file"):
        open_source("s3://no-such-bucket/folder/")
    with pytest.raises(SourceError, match=r"s3://field/absent\.csv"):
        open_url(f"{s3}/absent.csv")


def test_archives_of_a_web_server_are_read_by_ranges(web):
    for number in range(2):
        web.files[f"data/images-{number:02d}.tar"] = tar_of((f"{number}.jpg", JPEG), (f"{number}.json", SIDECAR))
    source = open_source(f"{web.url}/data/images-{{00..01}}.tar")
    found = listed(source)
    assert [(record.image_id, record.lat_deg) for record in found] == [
        ("images-00/0.jpg", 1.5),
        ("images-01/1.jpg", 1.5),
    ]
    web.asked.clear()
    assert list(source.read_many([record.locator for record in found])) == [JPEG, JPEG]
    assert [name for command, name, wanted in web.asked if command == "GET" and wanted is None] == []


def test_a_folder_of_a_web_server_that_lists_it(web):
    web.files = {"photos/a b.jpg": JPEG, "photos/sub/c.jpg": JPEG, "photos/m.csv": b"id,lat,lon\na b,1,2\nc,3,4\n"}
    source = open_source(f"{web.url}/photos/", f"{web.url}/photos/m.csv")
    found = listed(source)
    assert [(record.locator, record.problem) for record in found] == [("a b.jpg", None), ("sub/c.jpg", None)]
    assert list(source.read_many(["a b.jpg", "sub/c.jpg"])) == [JPEG, JPEG]


def test_a_server_that_fails_for_a_moment_is_asked_again(web, monkeypatch):
    monkeypatch.setattr("geo_pipeline.imagery.stores.remote.WAIT_S", 0.01)
    web.files["a.jpg"] = JPEG
    files = Files(f"{web.url}/a.jpg", (".jpg",))
    web.failures = [503, 429]
    assert files.read("a.jpg", 0, 9) == JPEG[:9]
    web.failures = [503] * 3
    with pytest.raises(StoreError, match="the store does not answer"):
        files.read("a.jpg", 0, 9)
    web.failures = [403]
    with pytest.raises(MissingImageError, match="403"):
        files.read("a.jpg", 0, 9)


def test_a_server_that_is_not_there_is_no_missing_photograph(web, monkeypatch):
    monkeypatch.setattr(store_errors, "WAIT_S", 0.01)
    files = Files("http://127.0.0.1:9/x.tar", (".tar",))
    with pytest.raises(StoreError, match="Check the address"):
        files.found()
    with pytest.raises(StoreError, match="Check the address"):
        files.open("x.tar")


def test_a_server_that_gives_only_whole_files_is_refused_for_containers(web):
    web.ranges = False
    web.files["x.tar"] = tar_of(("a.jpg", JPEG * 2000), ("b.jpg", JPEG))
    source = ContainerSource(f"{web.url}/x.tar", TarReader(), "tar")
    with pytest.raises(SourceError, match="only whole files"):
        source.read("x.tar!a.jpg@512+100")
    assert Files(f"{web.url}/x.tar").read("x.tar") == web.files["x.tar"]
