"""Every kind of source, mutated: no crash, no hang, no lost row; what is refused is refused in clear words.

One `Case` per format: how a small right source is written, and which of its files are damaged.
"""

import contextlib
import io
import json
import random
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo_pipeline.contracts.contract import load
from geo_pipeline.imagery.catalogue import build_catalogue
from geo_pipeline.imagery.containers.entries import place_of
from geo_pipeline.imagery.decode import ImageRejected, canonical_image
from geo_pipeline.imagery.ingest import decode_shard
from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.imagery.source import LISTING, MissingImageError, SourceError
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline_tests.imagery.drawn_files import quartered, with_exif

IMAGES = 6
SLOWEST_S = 10.0
"""A mutated source that takes longer hangs; a whole one takes some hundredths of a second."""
PLAN = ShardPlan(2)
SPLIT = SplitConfig(holdout=0.0, router_queries=0.0)


@dataclass(frozen=True)
class Case:
    """A source in a folder: `write` makes it, `images` and `metadata` open it, the `damaged` files are mutated."""

    kind: str | None
    write: Callable[[Path], None]
    images: str
    damaged: tuple[str, ...]
    metadata: str | None = None
    head: bytes | None = None
    """How each photograph's record begins: a file with fewer of them may show fewer photographs without a complaint."""
    inside: Callable[[bytes], set[int]] = lambda data: set()
    """Where the photographs in a container lie, found without any reader of ours; each has to be among the records."""

    def open(self, folder):
        metadata = None if self.metadata is None else str(folder / self.metadata)
        return open_source(str(folder / self.images), metadata, self.kind)


def photograph(number):
    return with_exif(10.5 + number, 20.25 + number, image=quartered(20 + number, 16))


def name_of(number):
    return f"e1/{number}.jpg"


def write_csv(folder):
    rows = [f"{name_of(number)},Ann {number},{10.5 + number},{20.25 + number}" for number in range(IMAGES)]
    (folder / "m.csv").write_text("\n".join(["IMG_ID,AUTHOR,LAT,LON", *rows, ""]))


def write_folder(folder):
    (folder / "images" / "e1").mkdir(parents=True)
    for number in range(IMAGES):
        (folder / "images" / name_of(number)).write_bytes(photograph(number))
    write_csv(folder)


def write_table(folder):
    write_folder(folder)
    numbers = range(IMAGES)
    columns = {"img_id": [name_of(n) for n in numbers], "lat": [10.5 + n for n in numbers], "lon": ["20,25"] * IMAGES}
    pq.write_table(pa.table(columns), folder / "m.parquet")


def write_tar(folder):
    members = {name_of(number): photograph(number) for number in range(IMAGES)}
    members |= {f"{'long/' * 30}{number}.jpg": photograph(number) for number in range(2)}
    (folder / "a.tar").write_bytes(tar(members))
    write_csv(folder)


def write_webdataset(folder):
    members = {}
    for number in range(IMAGES):
        members[f"{number:05d}.jpg"] = photograph(number)
        members[f"{number:05d}.json"] = json.dumps({"lat": 10.5 + number, "lon": 20.25, "author": "Ann"}).encode()
    (folder / "a.tar").write_bytes(tar(members))


def write_dotted(folder):
    """Names with dots, of which WebDataset takes the part up to the first for the key; with and without sidecars."""
    names = [f"IMG_1.{number}" for number in range(IMAGES)] + ["012.left", "012.right", "v1.0/a", "013", "013.seg"]
    members = {f"{name}.jpg": photograph(number % IMAGES) for number, name in enumerate(names)}
    members |= {f"IMG_1.{number}.json": b'{"lat": 10.5, "lon": "20,25"}' for number in range(IMAGES)}
    members |= {"012.txt": b"10,5 20,25", "013.json": b"{}"}
    (folder / "a.tar").write_bytes(tar(dict(sorted(members.items()))))


def inside_tar(data):
    """Offsets of the plain members up to the first damage, by Python's tarfile alone."""
    found = set()
    broken = contextlib.suppress(tarfile.TarError, ValueError, OverflowError, OSError)
    with broken, tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        while (member := archive.next()) is not None:
            if member.isreg() and not member.issparse() and member.name.lower().endswith(".jpg"):
                found |= set() if "/." in f"/{member.name}" else {member.offset_data}
    return found


def inside_msgpack(data):
    """Offsets of the records up to the first damage, by msgpack alone."""
    found, unpacker = set(), msgpack.Unpacker(io.BytesIO(data), raw=True, strict_map_key=False)
    with contextlib.suppress(Exception):  # whatever the damage is, what came before it counts
        while True:
            at, record = unpacker.tell(), unpacker.unpack()
            found |= {at} if isinstance(record, dict) and isinstance(record.get(b"image"), bytes) else set()
    return found


def inside_parquet(data):
    """Numbers of the rows of a file that reads whole."""
    try:
        return set(range(len(pq.read_table(io.BytesIO(data)))))
    except (pa.ArrowException, OSError, ValueError):
        return set()


def tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


def write_msgpack(folder):
    records = [{"id": name_of(number), "image": photograph(number)} for number in range(IMAGES)]
    (folder / "a.msg").write_bytes(b"".join(msgpack.packb(record) for record in records))
    write_csv(folder)


def write_parquet(folder):
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "id": [name_of(number) for number in range(IMAGES)],
            "image": pa.array([{"bytes": photograph(n), "path": f"{n}.jpg"} for n in range(IMAGES)], struct),
            "latitude": [10.5 + number for number in range(IMAGES)],
            "longitude": [20.25 + number for number in range(IMAGES)],
        }
    )
    pq.write_table(table, folder / "a.parquet", row_group_size=3)


CASES = {
    "folder": Case("folder", write_folder, "images", ("m.csv", "images/e1/3.jpg"), "m.csv"),
    "folder and table": Case("folder", write_table, "images", ("m.parquet",), "m.parquet"),
    "exif": Case("exif", write_folder, "images", ("images/e1/0.jpg", "images/e1/3.jpg")),
    "tar": Case("tar", write_tar, "a.tar", ("a.tar",), "m.csv", b"ustar", inside_tar),
    "webdataset": Case("webdataset", write_webdataset, "a.tar", ("a.tar",), None, b"ustar", inside_tar),
    "dotted names": Case("webdataset", write_dotted, "a.tar", ("a.tar",), None, b"ustar", inside_tar),
    "dotted names, told": Case(None, write_dotted, "a.tar", ("a.tar",), None, b"ustar", inside_tar),
    "msgpack": Case("msgpack", write_msgpack, "a.msg", ("a.msg",), "m.csv", b"\x82\xa2id", inside_msgpack),
    "parquet": Case("parquet", write_parquet, "a.parquet", ("a.parquet",), inside=inside_parquet),
}


def mutated(data, draw):
    """Some bytes changed in one to three ways: flipped bits, cut off, taken out, doubled, strangers put in."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        place = draw.randrange(len(changed) + 1)
        length = min(draw.choice((1, 4, 16, 512, 4096)), max(1, len(changed)))
        how = draw.choice(("flip", "flip", "byte", "cut", "zero", "double", "insert", "swap"))
        if how == "flip" and changed:
            changed[place % len(changed)] ^= 1 << draw.randrange(8)
        elif how == "byte" and changed:
            changed[place % len(changed)] = draw.choice((0, 1, 0x7F, 0x80, 0xC1, 0xFF))
        elif how == "cut":
            del changed[place:]
        elif how == "zero":
            changed[place : place + length] = bytes(length)
        elif how == "double":
            block = place // 512 * 512
            changed[block:block] = changed[block : block + length]
        elif how == "insert":
            changed[place:place] = draw.randbytes(length)
        elif how == "swap":
            changed[place : place + length] = changed[place : place + length][::-1]
    return bytes(changed)


class Harness:
    """One source on disk, opened again and again with one file damaged at a time."""

    def __init__(self, case, folder):
        self.case, self.folder = case, folder
        case.write(folder)
        self.whole = {name: (folder / name).read_bytes() for name in case.damaged}
        self.ids = [name_of(number) for number in range(IMAGES)] if case.metadata else []
        self.outcomes = Counter()

    def check(self, name, data, thorough):
        """Read the source with this content of one file, and restore it."""
        (self.folder / name).write_bytes(data)
        started = time.monotonic()
        try:
            self.outcomes[self._read(name, data, thorough)] += 1
        except SourceError as error:
            assert_clear(error)
            self.outcomes["refused"] += 1
        finally:
            (self.folder / name).write_bytes(self.whole[name])
        assert time.monotonic() - started < SLOWEST_S

    def _read(self, name, data, thorough):
        source = self.case.open(self.folder)
        listing = pa.Table.from_batches(source.listing(), LISTING)
        listing.validate(full=True)
        rows = listing.to_pylist()
        if self.case.metadata not in (None, name):
            assert [row["image_id"] for row in rows[: len(self.ids)]] == self.ids
        if self.case.kind in ("folder", "exif"):
            named = {row["locator"] for row in rows}
            assert {name_of(number) for number in range(IMAGES)} <= named
        if name.startswith("a."):
            listed = {place_of(row["locator"]).offset for row in rows if "!" in row["locator"]}
            assert self.case.inside(data) <= listed
        assert all(row["problem"] is None or row["detail"] for row in rows)
        good = [row["locator"] for row in rows if row["problem"] is None]
        if len(good) == len(rows) and not self._heads_are_gone(name, data):
            assert len(good) >= IMAGES
        images = list(source.read_many(good))
        assert len(images) == len(good)
        kept = sum(is_image(image) for image in images)
        if thorough:
            assert_nothing_lost(source, len(rows))
        return "whole" if kept == IMAGES == len(rows) else "in part" if kept else "nothing"

    def _heads_are_gone(self, name, data):
        head = self.case.head
        return head is not None and data.count(head) < self.whole[name].count(head)


def is_image(data):
    """True for a photograph that decodes; anything else must be refused in words."""
    if isinstance(data, MissingImageError):
        assert_clear(data)
        return False
    try:
        canonical_image(data, 16, 90)
    except ImageRejected as error:
        assert_clear(error)
        return False
    return True


def assert_nothing_lost(source, listed):
    """Read = kept + quarantined, through the catalogue and through the decoding of each shard."""
    catalogue = build_catalogue(source, SPLIT, PLAN)
    assert catalogue.rows + catalogue.rejected == listed
    seen = 0
    for key in PLAN.keys:
        kept, refused = catalogue.kept(key), catalogue.refused(key)
        seen += len(kept) + len(refused)
        load("quarantine").conform(refused)
        images, failed = decode_shard(source, load("catalogue").conform(kept), 16, 90)
        assert len(images) + len(failed) == len(kept)
    assert seen == listed


def assert_clear(error):
    """A sentence that a person can act on, and no name of Python's inside."""
    words = str(error)
    assert len(words) > 20
    assert not any(odd in words for odd in ("Traceback", "object at 0x", "<class", "NoneType"))


@pytest.fixture(scope="module", params=CASES)
def harness(request, tmp_path_factory):
    return Harness(CASES[request.param], tmp_path_factory.mktemp(request.param.replace(" ", "_")))


def test_the_whole_source_is_read_whole(harness):
    for name, data in harness.whole.items():
        assert not name.startswith("a.") or len(harness.case.inside(data)) >= IMAGES
        harness.check(name, data, thorough=True)
    assert harness.outcomes["refused"] == 0
    assert harness.outcomes["nothing"] == 0


@pytest.mark.parametrize(
    "rounds", [120, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])], ids=["", "many"]
)
def test_mutations_lose_nothing(harness, rounds):
    draw = random.Random(f"{harness.case.kind} {harness.case.damaged} {rounds}")
    for number in range(rounds):
        name = draw.choice(harness.case.damaged)
        data = mutated(harness.whole[name], draw)
        harness.check(name, data, thorough=number % 24 == 0)
    assert harness.outcomes["in part"] + harness.outcomes["whole"] > rounds / 20


@pytest.mark.parametrize("place", [0, 1, 3, 511, 512, 513])
def test_every_kind_of_cut_loses_nothing(harness, place):
    for name, data in harness.whole.items():
        harness.check(name, data[:place], thorough=False)
        harness.check(name, data[: len(data) - place], thorough=False)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=2000))
def test_any_bytes_lose_nothing(harness, data):
    for name in harness.whole:
        harness.check(name, data, thorough=False)
