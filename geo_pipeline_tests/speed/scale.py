"""What MP-16, and ten and a hundred times MP-16, cost: `python -m geo_pipeline_tests.speed.scale [--save]`.

Computes docs/scale.md from the rates that the other scripts measured (docs/measurements/*.json). Nothing is measured
here, and no figure is typed in but the sizes of the collections and what a setting of the profile `paper` says.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo_pipeline.baselines.config import OPTIONS, BaselineConfig
from geo_pipeline.geosurge.config import GeoSurgeConfig, InferenceConfig
from geo_pipeline.imagery.ingest import MOST_BYTES
from geo_pipeline.profiles.paper import REFERENCE_SHARDS
from geo_pipeline_tests.speed.measuring import MEASUREMENTS
from geo_pipeline_tests.speed.true_counts import markdown

MP16 = 4_723_695
FACTORS = (1, 10, 100)
REQUEST_BYTES = 16 * 2**20
"""Neighbouring photographs of a container are read together up to so many bytes; an upload's part is as large."""
SHARDS_PLANNED = 2_000
TRAIN_WORKERS = 8
"""Of the profile `paper`."""
GIB = 2**30
MACHINE_GIB = 24
NEEDED = (
    "true_counts",
    "metadata",
    "catalogue",
    "readers",
    "duplicates",
    "partition",
    "networks",
    "class_maps",
    "code_location",
)
FROM_BYTES = {"oneformer_float32": "oneformer_worker", "ten": "worker_ten"}
"""Parts for which the real worker, from stored bytes, is reckoned with where it was measured."""
MAPS = "photographs_640"
"""The maps whose bytes are reckoned with: of photographs, by a network that sees them as large as Swin-L does."""


@dataclass(frozen=True)
class Rates:
    """The measured figures, by script."""

    figures: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "Rates":
        """Raises FileNotFoundError, naming the scripts that have to run first."""
        missing = [name for name in NEEDED if not (folder / f"{name}.json").is_file()]
        if missing:
            raise FileNotFoundError(
                f"found no figures of {', '.join(missing)} in {folder}; expected them all; run "
                + "; ".join(f"python -m geo_pipeline_tests.speed.{name} --save" for name in missing)
            )
        return cls({name: json.loads((folder / f"{name}.json").read_text()) for name in NEEDED})

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self.figures[name]


@dataclass(frozen=True)
class Cost:
    """What one part of a run costs at one size. Bytes are on disk; memory is of the process that needs most."""

    stage: str
    core_hours: float | None
    written_bytes: float
    requests: float
    memory_gib: float | None
    note: str = ""


def shards_for(images: int, jpeg_bytes: float) -> int:
    """Reference shards: the profile's, and more where a shard's JPEGs would not fit one Arrow column."""
    return max(REFERENCE_SHARDS, int(-(-images * jpeg_bytes * 1.3 // MOST_BYTES)))


def events(shards: int) -> int:
    """Materializations of the sharded assets: catalogue, images, segmentations, features."""
    return 4 * shards


def costs(images: int, rates: Rates) -> list[Cost]:
    """Every part of a run at so many photographs; linear from the measured size unless its note says otherwise."""
    readers, catalogue = rates["readers"], rates["catalogue"]["in_tar_shards"]
    stored, device = readers["stored"], network_device(rates)
    cores = int(rates["duplicates"]["machine"]["cores"])
    source, canonical = images * stored["source_bytes"], images * stored["canonical_shard_bytes"]
    at_mp16 = rates["partition"]["mp16"]
    near = next(size for size in rates["duplicates"]["sizes"] if size["images"] == 4_700_000)
    more, exponent = images / near["images"], near_exponent(rates)
    dimension = GeoSurgeConfig().embedding_dim
    features = images * 2.0 * dimension
    crops = InferenceConfig().crops
    segmenting = "oneformer_float32" if "oneformer_float32" in device else "oneformer"
    per_key = max(rates["code_location"]["sizes"], key=lambda size: size["shards"])["s_per_key"]
    shards = shards_for(images, stored["canonical_jpeg_bytes"])
    rows = images / MP16
    return [
        Cost(
            "listing: metadata, tar index, join",
            (images * readers["index_s_per_1000"]["one tar with CSV (MP16-Pro)"] / 1000 + rows * _listed_s(rates))
            / 3600,
            0.0,
            source / REQUEST_BYTES,
            rows * (rates["metadata"]["join_peak_mib"] - rates["metadata"]["start_mib"]) / 1024,
            "reads every photograph once for its digest; the index is kept per container",
        ),
        Cost(
            "catalogue",
            rows * (catalogue["seconds_building"] + catalogue["seconds_written_all_shards"]) / 3600,
            rows * catalogue["bytes_written"],
            2.0 * shards,
            rows * (catalogue["peak_mib"] - catalogue["peak_mib_before"]) / 1024,
        ),
        Cost(
            "images",
            images / stored["ingest_images_per_s"] / 3600,
            canonical,
            source / REQUEST_BYTES + canonical / REQUEST_BYTES,
            2.0 * images / shards * stored["canonical_jpeg_bytes"] / GIB,
            "a shard is held twice while it is written",
        ),
        Cost(
            "census: duplicates",
            more**exponent * cores * near["seconds"] / 3600,
            0.0,
            shards,
            rows * near["peak_mib"] / 1024,
            f"time as N^{exponent:.2f}, as from 1 to 10 million",
        ),
        Cost(
            "geocells",
            rows * at_mp16["total_cpu_s"] / 3600,
            0.0,
            shards,
            rows * (at_mp16["peak_mib"] - at_mp16["peak_before_mib"]) / 1024,
        ),
        Cost(
            "segmentations",
            _core_hours(images, device, segmenting),
            images * map_bytes(rates),
            canonical / REQUEST_BYTES,
            None,
            _belongs(images, device, segmenting),
        ),
        Cost(
            "GeoSURGE training, one epoch",
            _core_hours(images, device, "training"),
            0.0,
            canonical / REQUEST_BYTES,
            None,
            f"{_belongs(images, device, 'training')}; published for all epochs at x1: 21 hours on 8 A6000 "
            "(GeoSURGE, IV)",
        ),
        *_baselines(images, device, canonical / REQUEST_BYTES),
        Cost(
            "features",
            _core_hours(images, device, crops),
            features,
            canonical / REQUEST_BYTES,
            None,
            f"{_belongs(images, device, crops)}; {crops} crop{'s' if crops == 'ten' else ''} a photograph",
        ),
        Cost(
            "retrieval's gallery",
            None,
            0.0,
            0.0,
            None,
            f"{_shown(features / GIB)} GiB of features, mapped from their files: workers of a machine share its pages",
        ),
        Cost(
            "Dagster's record",
            events(shards) * per_key / 3600,
            0.0,
            0.0,
            None,
            f"{events(shards):,} materializations",
        ),
    ]


def near_exponent(rates: Rates) -> float:
    """The power of the number of images with which the search for near-duplicates grew, over its largest sizes."""
    million, ten = (
        next(each for each in rates["duplicates"]["sizes"] if each["images"] == images)
        for images in (1_000_000, 10_000_000)
    )
    return math.log(ten["seconds"] / million["seconds"]) / math.log(ten["images"] / million["images"])


def _listed_s(rates: Rates) -> float:
    return float(rates["metadata"]["read_seconds"] + rates["metadata"]["join_seconds"])


def network_device(rates: Rates) -> dict[str, Any]:
    """The record of the full-size networks that is reckoned with: a GPU's, where one was measured."""
    devices: list[dict[str, Any]] = list(rates["networks"]["devices"].values())
    return next((record for record in devices if record["kind"] == "cuda"), devices[0])


def map_bytes(rates: Rates) -> float:
    """Bytes of a stored class map, on average."""
    ways: dict[str, dict[str, float]] = rates["class_maps"][MAPS]["ways"]
    return next(iter(ways.values()))["bytes"]


def _device_hours(images: float, device: dict[str, Any], part: str) -> float:
    part = FROM_BYTES[part] if FROM_BYTES.get(part) in device else part
    if part == "ten" and part not in device:  # ten crops are ten times the work of one
        return 10 * _device_hours(images, device, "centre")
    return float(images / device[part]["images_per_s"] / 3600)


def _core_hours(images: float, device: dict[str, Any], part: str) -> float | None:
    """None on a GPU, whose hours stand in the note."""
    return None if device["kind"] == "cuda" else _device_hours(images, device, part) * int(device["machine"]["cores"])


def _baselines(images: float, device: dict[str, Any], requests: float) -> list[Cost]:
    """The baselines of the comparison, reckoned as the bare tower with one trainable block; where that was measured."""
    if "bare_training" not in device or device["kind"] != "cuda":
        return []
    variants = 2 * len(OPTIONS)
    epochs = BaselineConfig("isns").training.max_epochs
    days = variants * epochs * _device_hours(images, device, "bare_training") / 24
    note = (
        f"at most {_shown(days)} days on one {device['device']}, {_shown(days / TRAIN_WORKERS)} on {TRAIN_WORKERS}: "
        f"{variants} trainings of {epochs} epochs, without early stopping"
    )
    return [Cost("baselines, on demand", None, 0.0, variants * epochs * requests, None, note)]


def _belongs(images: float, device: dict[str, Any], part: str) -> str:
    """Where the hours are spent."""
    if device["kind"] != "cuda":
        return "the full-size network on CPU cores; belongs on GPUs"
    return f"{_shown(_device_hours(images, device, part))} hours on one {device['device']}"


def table(images: int, rates: Rates) -> list[str]:
    """One size as Markdown."""
    lines = [
        "| part of a run | core hours | written | object-store requests | memory | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for cost in costs(images, rates):
        memory = "" if cost.memory_gib is None else f"{_shown(cost.memory_gib)} GiB"
        if cost.memory_gib is not None and cost.memory_gib > MACHINE_GIB:
            memory = f"**{memory}**"
        hours = "" if cost.core_hours is None else _shown(cost.core_hours)
        written = f"{_shown(cost.written_bytes / GIB)} GiB" if cost.written_bytes else ""
        requests = f"{cost.requests:,.0f}" if cost.requests else ""
        lines.append(f"| {cost.stage} | {hours} | {written} | {requests} | {memory} | {cost.note} |")
    return lines


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def breaks(rates: Rates) -> list[str]:
    """The first thing that breaks at each factor, and what would replace it."""
    stored = rates["readers"]["stored"]
    gallery = [_named(MP16 * factor, rates, "features").written_bytes / GIB for factor in FACTORS]
    catalogue = [_named(MP16 * factor, rates, "catalogue").memory_gib or 0.0 for factor in FACTORS]
    listing = [_named(MP16 * factor, rates, "listing").memory_gib or 0.0 for factor in FACTORS]
    shards = [shards_for(MP16 * factor, stored["canonical_jpeg_bytes"]) for factor in FACTORS]
    smallest, *_, largest = sorted(rates["code_location"]["sizes"], key=lambda size: int(size["shards"]))
    return [
        f"- **MP-16 (x1).** Nothing that was reckoned exceeds {MACHINE_GIB} GiB. Retrieval maps its "
        f"{_shown(gallery[0])} GiB of features and reads them once for each batch of queries; an index of "
        f"approximate neighbours within the best cells would read less. {REFERENCE_SHARDS:,} "
        f"shards of about {MP16 // REFERENCE_SHARDS:,} "
        f"photographs ({_shown(MP16 / REFERENCE_SHARDS * stored['canonical_shard_bytes'] / 2**20)} MiB) "
        "stay well below what the "
        f"user interface bears: at {largest['shards']:,} shards the code location loads in {largest['load_s']:.1f} s, "
        f"`status` takes {largest['status_s']:.1f} s and a run with nothing to do {largest['no_op_s']:.1f} s. "
        "What bends there first is the page that asks Dagster which shards of an asset are stale: "
        f"{largest['ui']['stale shards']:.0f} s, against {smallest['ui']['stale shards']:.1f} s at "
        f"{smallest['shards']} shards.",
        f"- **x10.** What one process makes of all records: the listing's join ({_shown(listing[1])} GiB) and the "
        f"catalogue ({_shown(catalogue[1])} GiB). The gallery of {_shown(gallery[1])} GiB does not stay in the "
        f"machine's pages, so that every batch of queries reads it from the disk. {shards[1]:,} "
        "shards are needed for an Arrow column to hold a shard's JPEGs, "
        f"{'more than' if shards[1] > SHARDS_PLANNED else 'within'} the {SHARDS_PLANNED:,} that are planned for. "
        "Replaced by a listing that DuckDB sorts on disk, shard by shard, and by shards of several files.",
        f"- **x100.** Dagster's partitions: {shards[2]:,} shards. Replaced by one partition per collection or month "
        "with many files below it, whose fingerprints the home keeps. The search for near-duplicates takes wider "
        "blocks and a machine's memory per part of the hashes; the partition of the Earth counts leaves in "
        "passes instead of "
        "holding every coordinate.",
    ]


def _named(images: int, rates: Rates, beginning: str) -> Cost:
    return next(cost for cost in costs(images, rates) if cost.stage.startswith(beginning))


def document(rates: Rates) -> str:
    """docs/scale.md."""
    stored = rates["readers"]["stored"]
    machine = rates["readers"]["machine"]
    lines = [
        "# What MP-16 costs, and a hundred times MP-16",
        "",
        "Computed by `python -m geo_pipeline_tests.speed.scale --save` from the rates in [measurements/](measurements/"
        f"), which were measured on {machine['cores']} cores ({machine['cpu']}), but for the networks. A core hour "
        "is an hour of "
        "one such core; what runs by shard (images, segmentations, features) divides by the cores or GPUs "
        "there are, and "
        f"listing, catalogue, census and geocells run in one process. {_network_words(network_device(rates))} "
        f"Photographs are taken to be as large as those that the readers were measured on "
        f"({stored['source_bytes'] / 1000:.0f} kB, {stored['canonical_jpeg_bytes'] / 1000:.0f} kB canonical), class "
        f"maps ({map_bytes(rates) / 1000:.1f} kB) as those that the sample's OneFormer makes of photographs at the "
        "input size of Swin-L; Swin-L's own were not at hand. Memory beyond the "
        f"{MACHINE_GIB} GiB of the machine stands bold.",
        "",
    ]
    for factor in FACTORS:
        images = MP16 * factor
        shards = shards_for(images, stored["canonical_jpeg_bytes"])
        title = "MP-16" if factor == 1 else f"{factor} times MP-16"
        lines += [f"## {title}: {images:,} photographs, {shards:,} reference shards", "", *table(images, rates), ""]
    known = rates["true_counts"]
    measured = markdown(known["stages"], known["rows"]).splitlines()[2:]
    counts = ["## Measured at true counts", "", *measured, ""]
    return "\n".join([*lines, *counts, "## What breaks first", "", *breaks(rates)])


def _network_words(device: dict[str, Any]) -> str:
    """What the hours of the networks mean."""
    if device["kind"] == "cuda":
        return (
            f"Hours of networks are those of the full-size networks on **one {device['device']}** beside "
            f"{device['machine']['cores']} cores, measured with random weights (segmentations and features from stored "
            "bytes, the training by its step)."
        )
    return (
        "Hours of networks are those of the full-size networks **on CPU cores**, measured with random weights; no GPU "
        "rate was measured, so none stands here."
    )


def main() -> None:
    """Print the document, and write it with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/scale.md")
    chosen = parser.parse_args()
    text = document(Rates.read(MEASUREMENTS))
    print(text)  # noqa: T201
    if chosen.save:
        (MEASUREMENTS.parent / "scale.md").write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
