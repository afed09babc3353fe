"""Photographs of a shard become images or quarantine, none is lost, and a killed ingest goes on where it stopped."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.imagery.decode import canonical_image
from geo_pipeline.imagery.ingest import (
    CARRIED,
    DecodeWorker,
    LostRowsError,
    ShardTooLargeError,
    decode_shard,
    decoded,
    in_reading_order,
)
from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.source import MissingImageError, read_each
from geo_pipeline.orchestration.assets.images import image_stages
from geo_pipeline.orchestration.definition import commit
from geo_pipeline.orchestration.lineage import Freshness, Lineage
from geo_pipeline.orchestration.shards import shards_of
from geo_pipeline.orchestration.stage import Made, Stage, Step, same_key
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.imagery.drawn_files import bomb_png, encoded, quartered, with_exif


@dataclass(frozen=True)
class PlainFolder:
    """Files by name. Asked for `deadly`, it ends its process at once, as a kill does, unless `spared` is there."""

    root: Path
    deadly: str = ""

    def read(self, locator):
        if locator == self.deadly and not (self.root / "spared").exists():
            (self.root / "spared").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return (self.root / locator).read_bytes()
        except OSError as error:
            raise MissingImageError(f"{locator}: {error.strerror}") from error

    def read_many(self, locators):
        return read_each(self.read, locators)

    def open(self):
        return self


class Forgetful(PlainFolder):
    """A source with a fault: it gives nothing where a file is missing."""

    def read_many(self, locators):
        return (data for data in super().read_many(locators) if isinstance(data, bytes))


FILES = {
    "good.jpg": with_exif(10.0, 20.0, 6, quartered(120, 80)),
    "kept.jpg": with_exif(10.0, 20.0, 1, quartered(64, 80)),
    "empty.jpg": b"",
    "cut.jpg": encoded(quartered(300, 300))[:900],
    "bomb.jpg": bomb_png(),
    "text.jpg": b"<html>404</html>",
}
REASONS = {
    "empty": ("zero_bytes", "empty"),
    "cut": ("truncated", "jpeg"),
    "bomb": ("decompression_bomb", "png"),
    "text": ("unreadable", "html"),
    "gone": ("missing_file", None),
}


def folder_of(path, files):
    for name, data in files.items():
        (path / name).write_bytes(data)
    return PlainFolder(path)


def rows_of(locators, shard="reference-000", offsets=None):
    """Rows of the catalogue for some locators; the id is the locator without its ending."""
    count = len(locators)
    columns = {
        "image_id": [locator.rpartition("!")[2].partition(".")[0] for locator in locators],
        "locator": locators,
        "source_offset": pa.array(offsets or [None] * count, pa.int64()),
        "author": ["Ann"] * count,
        "lat_deg": [10.0] * count,
        "lon_deg": [20.0] * count,
        "set_name": ["train" if shard.startswith("reference") else shard] * count,
        "shard": [shard] * count,
        "place_token": ["1347b3"] * count,
        "credit": ["by Ann"] * count,
        "stamp": ["1"] * count,
    }
    schema = load("catalogue").arrow_schema
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names})


def test_every_row_is_an_image_or_in_quarantine(tmp_path):
    source = folder_of(tmp_path, FILES)
    catalogue = rows_of(["gone.jpg", *FILES])
    images, quarantine = decode_shard(source, catalogue, 64)
    assert images["image_id"].to_pylist() == ["good", "kept"]
    image = images.to_pylist()[0]
    assert (image["width"], image["height"], image["author"], image["credit"]) == (64, 96, "Ann", "by Ann")
    assert (image["locator"], image["source_offset"], image["set_name"]) == ("good.jpg", None, "train")
    expected = canonical_image(FILES["good.jpg"], 64, 95)
    assert (image["jpeg"], image["sha256"], image["phash"]) == (expected.jpeg, expected.sha256, expected.phash)
    rows = quarantine.to_pylist()
    assert {row["image_id"]: (row["reason"], row["first_bytes_kind"]) for row in rows} == REASONS
    assert [row["image_id"] for row in rows] == sorted(REASONS)
    assert all(row["detail"] and row["locator"] and row["stage"] == "decode" for row in rows)


def test_batches_of_any_size_give_the_same_tables(tmp_path):
    source = folder_of(tmp_path, FILES)
    catalogue = rows_of([*FILES, "gone.jpg"])
    worker = DecodeWorker(source, 64, 95)
    parts = [worker(catalogue.slice(start, 2)) for start in (4, 0, 6, 2)]
    for left, right in zip(
        decoded(parts, catalogue["image_id"]),
        decode_shard(source, catalogue.take([3, 1, 6, 0, 5, 2, 4]), 64),
        strict=True,
    ):
        assert left.equals(right)


def test_a_shard_of_nothing_is_two_empty_tables():
    images, quarantine = decoded([], pa.chunked_array([], pa.string()))
    assert (images.num_rows, quarantine.num_rows) == (0, 0)
    assert images.schema.equals(load("images").arrow_schema)


@pytest.mark.parametrize("taken", [[0, 1], [0, 1, 2, 2], [0, 1, 1], []], ids=["lost", "twice", "exchanged", "nothing"])
def test_lost_and_doubled_rows_are_an_error(tmp_path, taken):
    catalogue = rows_of(["good.jpg", "empty.jpg", "gone.jpg"])
    results = DecodeWorker(folder_of(tmp_path, FILES), 64, 95)(catalogue)
    parts = [results.take(taken)] if taken else []
    with pytest.raises(LostRowsError, match=r"expected those of 3"):
        decoded(parts, catalogue["image_id"])


def test_a_source_that_gives_fewer_answers_is_an_error(tmp_path):
    folder_of(tmp_path, FILES)
    with pytest.raises(LostRowsError, match="found 1 answers of Forgetful to 2 locators"):
        DecodeWorker(Forgetful(tmp_path), 64, 95)(rows_of(["good.jpg", "gone.jpg"]))


def test_a_shard_beyond_an_arrow_column_says_so(tmp_path):
    catalogue = rows_of(["good.jpg", "kept.jpg"])
    results = DecodeWorker(folder_of(tmp_path, FILES), 64, 95)(catalogue)
    with pytest.raises(ShardTooLargeError, match="use more shards"):
        decoded([results], catalogue["image_id"], most_bytes=1000)


def test_rows_are_read_as_they_lie_in_their_files():
    locators = [
        "b.tar!z.jpg@512+9",
        "loose.jpg",
        "a.tar!m.jpg@10240+9",
        "b.tar!a.jpg@2048+9",
        "a.tar!x.jpg@512+9",
        "a.jpg",
    ]
    rows = in_reading_order(rows_of(locators, offsets=[512, None, 10240, 2048, 512, None]))
    assert rows["locator"].to_pylist() == [locators[number] for number in (5, 4, 2, 0, 3, 1)]


def test_a_container_is_read_in_its_order_and_a_benchmarks_lost_file_is_a_failure(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(12):
            header = tarfile.TarInfo(f"{number}.jpg")
            header.size = len(data := photograph(number))
            tar.addfile(header, io.BytesIO(data))
    source = open_source(str(tmp_path / "a.tar"), kind="tar")
    listed = pa.Table.from_batches(source.listing())["locator"].to_pylist()
    offsets = [int(locator.rpartition("@")[2].partition("+")[0]) for locator in listed]
    rows = in_reading_order(rows_of([*reversed(listed), "lost.jpg"], offsets=[*reversed(offsets), None]))
    assert [found for found in rows["locator"].to_pylist() if found != "lost.jpg"] == listed
    images, quarantine = decode_shard(source, rows, 64)
    assert dict(zip(images["locator"].to_pylist(), images["source_offset"].to_pylist(), strict=True)) == dict(
        zip(listed, offsets, strict=True)
    )
    assert {row["image_id"]: row["width"] for row in images.to_pylist()} == {
        str(number): canonical_image(photograph(number), 64, 95).width for number in range(12)
    }
    assert quarantine.select(["image_id", "reason"]).to_pylist() == [{"image_id": "lost", "reason": "missing_file"}]


SHARDS = ("reference-000", "reference-001", "reference-002", "router_queries")


def photograph(number):
    return encoded(quartered(70 + number, 66), quality=90, exif=b"Exif\x00\x00")


def locators_of(shard):
    return [f"{shard}-{number}.jpg" for number in range(3)]


class Ingest:
    """The real stage `images` over four shards of three photographs, one of them broken, in a home of its own."""

    def __init__(self, home, photographs, deadly=""):
        source = PlainFolder(photographs, deadly)
        profile = replace(sample(0), reference_shards=3, benchmarks=(), source=source)
        images, _ = image_stages(profile, shards_of(profile))
        self.home = Home(home)
        self.lineage = Lineage(profile, {"catalogue": self._catalogue(photographs), "images": images}, {})

    def _catalogue(self, photographs):
        def make(step, keys):
            for key in keys:
                there = [name for name in locators_of(key) if (photographs / name).exists()]
                yield Made(key, {"catalogue": rows_of(there, key)})

        return Stage(
            name="catalogue", title="t", description="d", group="g", kinds=("parquet",), keys=SHARDS, partitioned=True,
            inputs=lambda key: (), outputs=same_key("catalogue"), make=make, rooms=("imagery.source",),
        )  # fmt: skip

    def run(self, compute=None):
        """Make what is not fresh, as a run of Dagster does; the keys of `images` that were made."""
        compute = compute or InProcessCompute(ComputeConfig())
        made_keys = []
        for stage in self.lineage.stages.values():
            fresh = Freshness(self.lineage, self.home)
            wanted = {key: str(fresh.expected(stage, key)) for key in SHARDS if fresh.own_state(stage, key) != "fresh"}
            step = Step(stage, self.lineage.profile, self.home, compute, wanted, made_keys.append)
            for made in stage.make(step, list(wanted)) if wanted else ():
                commit(stage, self.home, made, wanted[made.key])
                made_keys += [made.key] if stage.name == "images" else []
        return made_keys

    def files(self):
        """Bytes and time of change of every file of images and their quarantine."""
        return {
            str(path.relative_to(self.home.root)): (path.read_bytes(), path.stat().st_mtime_ns)
            for name in ("images", "quarantine")
            for path in sorted((self.home.root / "tables" / name).rglob("*.parquet"))
        }


def bytes_of(files):
    return {name: data for name, (data, _) in files.items()}


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for shard in SHARDS:
        for number, name in enumerate(locators_of(shard)):
            (folder / name).write_bytes(photograph(number) if number < 2 else b"no picture")
    return folder


KILLED = "import sys; from pathlib import Path; from geo_pipeline_tests.imagery.test_ingest import Ingest; \
Ingest(Path(sys.argv[1]), Path(sys.argv[2]), deadly=sys.argv[3]).run()"


def test_a_killed_ingest_goes_on_at_the_unfinished_shard(tmp_path, photographs):
    undisturbed = Ingest(tmp_path / "undisturbed", photographs)
    assert undisturbed.run() == list(SHARDS)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(photographs), "reference-002-1.jpg"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    killed = Ingest(tmp_path / "killed", photographs)
    left = killed.files()
    assert sorted(left) == [
        f"tables/{name}/reference-00{n}.parquet" for name in ("images", "quarantine") for n in (0, 1)
    ]
    assert killed.run() == ["reference-002", "router_queries"]
    assert {name: killed.files()[name] for name in left} == left
    assert bytes_of(killed.files()) == bytes_of(undisturbed.files())
    assert not list((tmp_path / "killed" / "tables").rglob("*.part"))


def test_running_again_does_nothing_and_one_photograph_changes_one_shard(tmp_path, photographs):
    ingest = Ingest(tmp_path / "home", photographs)
    ingest.run()
    first = ingest.files()
    assert ingest.run() == []
    assert ingest.files() == first
    images = pq.read_table(tmp_path / "home" / "tables" / "images" / "reference-001.parquet", partitioning=None)
    assert images["image_id"].to_pylist() == ["reference-001-0", "reference-001-1"]
    assert ingest.home.examined_column("quarantine", "reference-001", "reason") == ["unreadable"]


@pytest.mark.slow
def test_ray_gives_the_same_bytes(tmp_path, photographs):
    here, there = Ingest(tmp_path / "here", photographs), Ingest(tmp_path / "there", photographs)
    here.run()
    with RayCompute(ComputeConfig(actors=2, cpus=2)) as ray:
        assert there.run(ray) == list(SHARDS)
    assert bytes_of(there.files()) == bytes_of(here.files())


def test_a_worker_needs_only_the_columns_that_images_carry(tmp_path):
    rows = rows_of(["good.jpg"]).select(list(CARRIED))
    assert DecodeWorker(folder_of(tmp_path, FILES), 64, 95)(rows)["reason"].to_pylist() == [None]


def test_the_tables_keep_their_contracts_and_a_position_in_the_bytes_breaks_them(tmp_path):
    images, quarantine = decode_shard(folder_of(tmp_path, FILES), rows_of(list(FILES)), 64)
    assert load("images").problems(images) == []
    assert load("quarantine").problems(quarantine) == []
    place = images.schema.get_field_index("jpeg")
    for told in (FILES["kept.jpg"], encoded(quartered(), xmp=b"<x:xmpmeta/>")):
        leaking = images.set_column(place, "jpeg", pa.array([told] * images.num_rows, pa.binary()))
        assert [problem.check for problem in load("images").problems(leaking)] == ["jpeg_has_no_exif"]
