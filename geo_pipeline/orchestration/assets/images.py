"""The assets `images` (canonical JPEGs per shard) and `image_manifest` (which reference images there are)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from geo_pipeline.home.artifact import table
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.imagery.ingest import CARRIED, DecodeWorker, decoded, in_reading_order
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, manifest_stage, same_key, written_shards
from geo_pipeline.profiles.profile import Profile

DECODE_ROWS = 256
"""Photographs that a worker reads at once: enough that neighbours in a container come in few requests."""
PIXEL_MODULES = ("decode", "exif", "file_kind", "fingerprints", "ingest", "jpeg_segments")
"""What makes an image of the bytes of a photograph. Which bytes a reader finds stands in the catalogue's stamps."""


def image_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """Images and their manifest."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        job = step.job(
            keys, DecodeWorker, _read, _arguments, batch_rows=DECODE_ROWS, ahead=1, finish=_finish, notes=_notes
        )
        yield from written_shards(step, job, keys, on_cpu=True)

    images = Stage(
        name="images",
        title="Images",
        description=(
            "The photographs themselves, upright and at one size, as JPEGs without EXIF; one that is so already keeps "
            "its coded picture. A photograph that cannot be decoded is kept in the table quarantine with the reason, "
            "and counts as a failure of every method if it belongs to a benchmark."
        ),
        group="photographs",
        kinds=("parquet", "jpeg", "ray"),
        keys=shards.all,
        partitioned=True,
        inputs=same_key("catalogue"),
        outputs=lambda key: (table("images", key), table("quarantine", key)),
        make=make,
        rooms=(*(f"imagery.{module}" for module in PIXEL_MODULES), "sample_world"),
        settings=(profile.canonical_px, profile.canonical_quality),
    )
    manifest = manifest_stage(
        "image_manifest",
        "Reference images",
        (
            "The list of the reference shards' images, so that what needs all of them (geocells, training) "
            "depends on one asset."
        ),
        "photographs",
        ("images",),
        shards.reference,
    )
    return images, manifest


def _read(reads: HomeReads[Profile], key: str) -> pa.Table:
    return in_reading_order(reads.table("catalogue", key, CARRIED))


def _arguments(reads: HomeReads[Profile]) -> Mapping[str, object]:
    profile = reads.profile
    return {
        "source": profile.source.open(),
        "shorter_side": profile.canonical_px,
        "quality": profile.canonical_quality,
    }


def _finish(rows: pa.Table, parts: list[pa.Table]) -> Mapping[str, pa.Table]:
    images, quarantine = decoded(parts, rows["image_id"])
    return {"images": images, "quarantine": quarantine}


def _notes(tables: Mapping[str, pa.Table]) -> Mapping[str, object]:
    refused = Counter(tables["quarantine"]["reason"].to_pylist())
    return {"rejected": refused.total()} | {f"rejected: {reason}": count for reason, count in sorted(refused.items())}
