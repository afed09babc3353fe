"""Speed of each reader against the bare decoder: `python -m geo_pipeline_tests.speed.readers [--quick] [--save]`.

The same photographs lie loose, in tar, WebDataset, msgpack and Parquet files in a temporary folder; all that is timed
runs on one core, from a warm file cache, the readers in turn with the bare decoder. Also: seconds of the listing, and
bytes on disk of canonical shards.
"""

import argparse
import csv
import io
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.imagery.decode import canonical_image, decode_rgb
from geo_pipeline.imagery.ingest import DecodeWorker, decoded
from geo_pipeline.imagery.opening import Kind, open_source
from geo_pipeline.imagery.source import Source
from geo_pipeline.orchestration.assets.images import DECODE_ROWS
from geo_pipeline_tests.speed.measuring import save, seconds

SHORTER_SIDE, QUALITY = 384, 92
TARGET_PERCENT = 15
PHOTOS = Path(__file__).parents[3] / "shared" / "photos" / "images"
GROUP_ROWS, SHARD_IMAGES = 100, 500
"""Rows of a Parquet row group, as the hub writes for images; photographs of a WebDataset or msgpack shard."""


@dataclass(frozen=True)
class Photograph:
    """One file of the measurement; `path` has the two levels of folders that MP16-Pro has."""

    image_id: str
    path: str
    lat_deg: float
    lon_deg: float
    data: bytes


def photographs(folder: Path, count: int) -> tuple[list[Photograph], str]:
    """`count` photographs, from the folder (again and again when it has fewer) or drawn, and which of the two."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    bodies = [path.read_bytes() for path in files] or [_drawn(seed) for seed in range(100)]
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-60, 70, count).round(6), rng.uniform(-180, 180, count).round(6)
    made = [
        Photograph(
            f"{number:06d}", f"{number % 16:02x}/{number % 7:02x}/{number:06d}.jpg", lat[number], lon[number],
            bodies[number % len(bodies)],
        )
        for number in range(count)
    ]  # fmt: skip
    return made, f"photographs of {folder.parent.name}/{folder.name}" if files else "drawn images"


def _drawn(seed: int) -> bytes:
    """A JPEG of 448 x 336 pixels with detail of all sizes, about as large as a photograph's."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (448, 336))
    for side in (4, 16, 64, 200):
        layer = Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).resize(
            image.size, Image.Resampling.BICUBIC
        )
        image = Image.blend(image, layer, 0.4)
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=85)
    return stored.getvalue()


def build(root: Path, images: list[Photograph]) -> dict[str, tuple[Kind, str, str | None]]:
    """Every container under `root`; by name of the reader: kind, place of the images, place of the metadata."""
    metadata = root / "metadata.csv"
    with metadata.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "latitude", "longitude", "author"])
        writer.writerows([image.image_id, image.path, image.lat_deg, image.lon_deg, ""] for image in images)
    for image in images:
        place = root / "folder" / image.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(image.data)
    _write_tar(root / "mp16.tar", [(image.path, image.data) for image in images])
    for name in ("webdataset", "msgpack", "parquet"):
        (root / name).mkdir()
    for number, piece in enumerate(_pieces(images, SHARD_IMAGES)):
        _write_tar(
            root / "webdataset" / f"shard-{number:05d}.tar", [pair for image in piece for pair in _sample(image)]
        )
        with (root / "msgpack" / f"shard_{number}.msg").open("wb") as file:
            file.writelines(msgpack.packb({"id": image.path, "image": image.data}) for image in piece)
    _write_parquet(root / "parquet" / "train-00000.parquet", images)
    return {
        "folder with CSV": ("folder", str(root / "folder"), str(metadata)),
        "one tar with CSV (MP16-Pro)": ("tar", str(root / "mp16.tar"), str(metadata)),
        "WebDataset tar shards": ("webdataset", str(root / "webdataset"), None),
        "msgpack shards with CSV (ISNs)": ("msgpack", str(root / "msgpack"), str(metadata)),
        "Parquet, image column (OSV-5M)": ("parquet", str(root / "parquet"), None),
    }


def _pieces(images: list[Photograph], rows: int) -> Iterator[list[Photograph]]:
    waiting = iter(images)
    while piece := list(islice(waiting, rows)):
        yield piece


def _sample(image: Photograph) -> list[tuple[str, bytes]]:
    """The members of one photograph in a WebDataset shard."""
    words = {"id": image.image_id, "latitude": image.lat_deg, "longitude": image.lon_deg}
    return [(f"{image.image_id}.jpg", image.data), (f"{image.image_id}.json", json.dumps(words).encode())]


def _write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))


def _write_parquet(path: Path, images: list[Photograph]) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.table(
        {
            "image": pa.array([{"bytes": image.data, "path": image.path} for image in images], kind),
            "id": [image.image_id for image in images],
            "latitude": [image.lat_deg for image in images],
            "longitude": [image.lon_deg for image in images],
        }
    )
    pq.write_table(rows, path, row_group_size=GROUP_ROWS)


def listed(source: Source) -> list[str]:
    """Locators of all photographs, in the order of the listing."""
    records = pa.Table.from_batches(source.listing())
    usable = records.filter(records["problem"].is_null())
    return usable["locator"].to_pylist()


def drained(source: Source, locators: list[str], work: Callable[[bytes], object]) -> int:
    """Read all photographs in batches as the ingest does, and do the work on each; how many came."""
    done = 0
    for start in range(0, len(locators), DECODE_ROWS):
        for data in source.read_many(locators[start : start + DECODE_ROWS]):
            if isinstance(data, OSError):
                raise data
            work(data)
            done += 1
    return done


def _worked(images: list[Photograph], work: Callable[[bytes], object]) -> None:
    for image in images:
        work(image.data)


def timed_in_turn(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The shortest seconds of each task; they take turns, so that a slow minute of the machine hits them all."""
    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(repeats):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def reader_figures(root: Path, images: list[Photograph], repeats: int) -> dict[str, Any]:
    """Images per second of each reader and of the bare decoder, for decoding alone and for the whole canonical work."""

    def canonical(data: bytes) -> object:
        return canonical_image(data, SHORTER_SIDE, QUALITY)

    sources = {
        name: open_source(place, metadata, kind) for name, (kind, place, metadata) in build(root, images).items()
    }
    locators = {name: listed(source) for name, source in sources.items()}
    for name, found in locators.items():
        if len(found) != len(images):
            raise RuntimeError(f"found {len(found)} usable photographs with {name}, expected {len(images)}")
    index_s = {name: seconds(lambda source=source: listed(source), repeats) for name, source in sources.items()}
    figures: dict[str, Any] = {"index_s_per_1000": {name: 1000 * took / len(images) for name, took in index_s.items()}}
    works: tuple[tuple[str, Callable[[bytes], object], int], ...] = (
        ("decode", decode_rgb, repeats), ("canonical", canonical, max(1, repeats // 2)),
    )  # fmt: skip
    for label, work, times in works:
        tasks: dict[str, Callable[[], object]] = {"bare": lambda work=work: _worked(images, work)}
        for name, source in sources.items():
            tasks[name] = lambda name=name, source=source, work=work: drained(source, locators[name], work)
        took = timed_in_turn(tasks, times)
        figures[label] = {
            name: {"images_per_s": len(images) / spent, "overhead_percent": 100 * (spent / took["bare"] - 1)}
            for name, spent in took.items()
        }
    return figures


def stored_figures(root: Path, images: list[Photograph]) -> dict[str, float]:
    """Bytes per image: of the source, of the canonical JPEG, of a shard on disk; and of JPEGs that were kept."""
    rows = _catalogue(images)
    source = open_source(str(root / "folder"), str(root / "metadata.csv"), "folder")
    began = time.perf_counter()
    table, quarantine = decoded([DecodeWorker(source, SHORTER_SIDE, QUALITY)(rows)], rows["image_id"])
    home = Home(root / "home")
    home.write_table("images", "reference-000", table, "measured")
    took = time.perf_counter() - began
    shard = next((root / "home" / "tables").rglob("reference-000.parquet")).stat().st_size
    own = {image.data: min(Image.open(io.BytesIO(image.data)).size) for image in images}
    kept = [canonical_image(data, side, QUALITY) for data, side in own.items()]
    anew = [_encoded_anew(data) for data in own]
    began = time.perf_counter()
    again = [canonical_image(jpeg, SHORTER_SIDE, QUALITY) for jpeg in table["jpeg"].to_pylist()]
    again_s = time.perf_counter() - began
    return {
        "images": table.num_rows,
        "rejected": quarantine.num_rows,
        "source_bytes": _mean(image.data for image in images),
        "canonical_jpeg_bytes": _mean(table["jpeg"].to_pylist()),
        "canonical_shard_bytes": shard / table.num_rows,
        "kept_share_of_fitting": sum(image.kept for image in kept) / len(kept),
        "kept_jpeg_bytes": _mean(image.jpeg for image in kept),
        "encoded_anew_bytes": _mean(anew),
        "ingest_images_per_s": table.num_rows / took,
        "ingest_kept_images_per_s": len(again) / again_s,
    }


def _catalogue(images: list[Photograph]) -> pa.Table:
    """Rows of the catalogue as the worker wants them."""
    schema = load("images").arrow_schema
    columns = {
        "image_id": [image.image_id for image in images],
        "set_name": ["train"] * len(images),
        "lat_deg": [image.lat_deg for image in images],
        "lon_deg": [image.lon_deg for image in images],
        "locator": [image.path for image in images],
    }
    columns |= {name: [None] * len(images) for name in ("author", "credit", "source_offset")}
    return pa.table({name: pa.array(values, schema.field(name).type) for name, values in columns.items()})


def _encoded_anew(data: bytes) -> bytes:
    """The photograph at its own size, encoded as `decode` encodes one that it cannot keep."""
    stored = io.BytesIO()
    Image.fromarray(decode_rgb(data)).save(stored, "JPEG", quality=QUALITY, subsampling=0)
    return stored.getvalue()


def _mean(stored: Any) -> float:
    return float(np.mean([len(data) for data in stored]))


def markdown(figures: dict[str, Any]) -> str:
    """The figures for a reader."""
    decode, canonical, index = figures["decode"], figures["canonical"], figures["index_s_per_1000"]
    lines = [
        "# Readers of photographs",
        "",
        f"{figures['images']:,} {figures['of']}, {figures['bytes_per_image'] / 1024:.1f} KiB each, one core, warm "
        f"file cache, {figures['repeats']} rounds, shortest taken. Decoding is Pillow's JPEG decoder to RGB pixels; "
        f"canonical is all that the ingest does with an image (decode, resize to {SHORTER_SIDE} px, hash, encode at "
        f"quality {QUALITY}). Overhead: time beyond the same work on bytes in memory; the aim is at most "
        f"{TARGET_PERCENT} %.",
        "",
        "| reader | decoded per s | overhead | canonical per s | overhead | listing of 1,000 |",
        "|---|---:|---:|---:|---:|---:|",
        f"| bytes in memory | {decode['bare']['images_per_s']:.0f} | | {canonical['bare']['images_per_s']:.0f} | | |",
    ]
    for name in index:
        left, right = decode[name], canonical[name]
        lines.append(
            f"| {name} | {left['images_per_s']:.0f} | {left['overhead_percent']:.1f} % | {right['images_per_s']:.0f} "
            f"| {right['overhead_percent']:.1f} % | {1000 * index[name]:.0f} ms |"
        )
    stored = figures["stored"]
    return "\n".join(
        [
            *lines,
            "",
            "A listing reads a container once (a kept index spares later runs that); of a folder, names and metadata.",
            "",
            "| bytes per image | |",
            "|---|---:|",
            f"| source | {stored['source_bytes']:,.0f} |",
            f"| canonical JPEG, {SHORTER_SIDE} px, quality {QUALITY} | {stored['canonical_jpeg_bytes']:,.0f} |",
            f"| shard on disk (Parquet with all columns) | {stored['canonical_shard_bytes']:,.0f} |",
            f"| source of the right size, picture kept ({100 * stored['kept_share_of_fitting']:.0f} % are) "
            f"| {stored['kept_jpeg_bytes']:,.0f} |",
            f"| the same, had it been encoded anew | {stored['encoded_anew_bytes']:,.0f} |",
            "",
            f"The whole ingest, from a folder to a written shard: {stored['ingest_images_per_s']:.0f} images/s; "
            f"decoding of images whose picture is kept ({SHORTER_SIDE} px): "
            f"{stored['ingest_kept_images_per_s']:.0f} images/s.",
        ]
    )


def main() -> None:
    """Measure, print, and keep with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="a folder of JPEGs; drawn images where absent")
    parser.add_argument("--images", type=int, default=2000, help="how many images")
    parser.add_argument("--quick", action="store_true", help="few images, to see that it runs")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/readers.{json,md}")
    chosen = parser.parse_args()
    count, repeats = (200, 3) if chosen.quick else (chosen.images, 6)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    images, of = photographs(chosen.photos, count)
    figures: dict[str, Any] = {
        "images": count,
        "of": of,
        "repeats": repeats,
        "bytes_per_image": _mean(image.data for image in images),
        "canonical": {},
    }
    with tempfile.TemporaryDirectory(prefix="geo-pipeline-readers-") as root:
        figures |= reader_figures(Path(root), images, repeats)
        figures["stored"] = stored_figures(Path(root), images)
    text = markdown(figures)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("readers", figures, text)


if __name__ == "__main__":
    main()
