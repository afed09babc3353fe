"""Makes the catalogue: every usable record of a source with its place, set and shard; all others go to quarantine.

Reading the source belongs to its own module, the rule of the sets to `split`, the pixels to `ingest`.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.cells import cell_ids, tokens
from geo_pipeline.earth.coordinates import coordinate_problems
from geo_pipeline.imagery.source import Source, SourceError, SourceRecord
from geo_pipeline.imagery.split import POOL_SETS, SplitConfig, assign_sets
from geo_pipeline.imagery.stable_hash import jump_bucket, stable_hash

PLACE_LEVEL = 10
"""S2 level of a place: cells of about 10 km."""
_SET_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


class EmptyCatalogueError(SourceError):
    """Nothing of the source can be used."""


def build_catalogue(source: Source, split: SplitConfig, shard_rows: int) -> tuple[pa.Table, pa.Table]:
    """The tables `catalogue` (in order of image_id) and `quarantine` (in the order of the source) by their contracts.

    `shard_rows` is the wished size of a reference shard. Raises `EmptyCatalogueError` when no record is usable,
    `SourceError` for a source that is unusable as a whole, `SplitError` when the photographs cannot be split as asked.
    """
    if shard_rows < 1:
        raise ValueError(f"Found shard_rows={shard_rows}; expected at least 1 image per shard.")
    usable, refused = _judge(source)
    if not usable:
        raise EmptyCatalogueError(_nothing_left(refused))
    usable.sort(key=lambda record: record.image_id)
    lat = np.array([record.lat_deg for record in usable], dtype=np.float64)
    lon = np.array([record.lon_deg for record in usable], dtype=np.float64)
    places = tokens(cell_ids(lat, lon, level=PLACE_LEVEL))
    authors = [record.author for record in usable]
    sets = assign_sets(authors, places, [record.set_name for record in usable], split)
    ids = [record.image_id for record in usable]
    catalogue = pa.table(
        {
            "image_id": pa.array(ids, pa.string()),
            "locator": pa.array([record.locator for record in usable], pa.string()),
            "author": pa.array(authors, pa.string()),
            "lat_deg": lat,
            "lon_deg": lon,
            "set_name": pa.array(sets, pa.string()),
            "shard": pa.array(shards_of(ids, sets, shard_rows), pa.string()),
            "place_token": pa.array(places, pa.string()),
            "credit": pa.array([record.credit for record in usable], pa.string()),
        }
    )
    return load("catalogue").conform(catalogue), quarantine_table("catalogue", refused)


def shards_of(image_ids: Sequence[str], sets: Sequence[str], shard_rows: int) -> list[str]:
    """The shard of each image: `reference-NNN` for train and holdout, else the set's own name.

    A photograph's shard follows from its id and the number of shards, so that a photograph more changes one shard; the
    sizes are therefore `shard_rows` on average and at most.
    """
    pool = sum(name in POOL_SETS for name in sets)
    count = reference_shards(pool, shard_rows)
    return [
        f"reference-{jump_bucket(stable_hash('shard', image_id), count):03d}" if name in POOL_SETS else name
        for image_id, name in zip(image_ids, sets, strict=True)
    ]


def reference_shards(pool_rows: int, shard_rows: int) -> int:
    """Number of reference shards for a pool of that many images."""
    return max(1, math.ceil(pool_rows / shard_rows))


def quarantine_table(stage: str, refused: Sequence[tuple[SourceRecord, str, str]]) -> pa.Table:
    """The `quarantine` table of one stage from (record, reason, detail)."""
    columns = {
        "stage": [stage] * len(refused),
        "image_id": [record.image_id or None for record, _, _ in refused],
        "locator": [record.locator for record, _, _ in refused],
        "reason": [reason for _, reason, _ in refused],
        "detail": [detail for _, _, detail in refused],
        "first_bytes_kind": [record.first_bytes_kind for record, _, _ in refused],
    }
    return load("quarantine").conform(
        pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
    )


def _judge(source: Source) -> tuple[list[SourceRecord], list[tuple[SourceRecord, str, str]]]:
    """Divide the records into usable ones and refused ones, each of these with its first fault."""
    records = list(source.records())
    lat = np.array([math.nan if record.lat_deg is None else record.lat_deg for record in records], dtype=np.float64)
    lon = np.array([math.nan if record.lon_deg is None else record.lon_deg for record in records], dtype=np.float64)
    usable: list[SourceRecord] = []
    refused: list[tuple[SourceRecord, str, str]] = []
    seen: dict[str, str] = {}
    for record, coordinate_problem in zip(records, coordinate_problems(lat, lon), strict=True):
        if record.set_name is not None and _SET_NAME.fullmatch(record.set_name) is None:
            raise SourceError(
                f"Found the set name {record.set_name!r}; expected lower-case letters, digits and underscores."
            )
        # A benchmark's photograph whose file is gone stays in its denominator; decoding will count it as failed.
        counted = record.problem == "missing_file" and record.set_name not in (None, *POOL_SETS)
        if record.problem is not None and not counted:
            refused.append((record, record.problem, record.detail))
        elif record.lat_deg is None or record.lon_deg is None:
            refused.append((record, "no_coordinate", record.detail or "The source gives no coordinate."))
        elif coordinate_problem is not None:
            words = f"latitude {record.lat_deg}, longitude {record.lon_deg}"
            refused.append((record, coordinate_problem, "; ".join(part for part in (record.detail, words) if part)))
        elif record.image_id in seen:
            words = f"The id {record.image_id} was given before, for {seen[record.image_id]}; the first is kept."
            refused.append((record, "duplicate_id", words))
        else:
            seen[record.image_id] = record.locator
            usable.append(record)
    return usable, refused


def _nothing_left(refused: Sequence[tuple[SourceRecord, str, str]]) -> str:
    """The one clear message for a source without a usable photograph."""
    if not refused:
        return (
            "Found no photograph at all; expected image files or metadata rows. Check the folder and the metadata path."
        )
    reasons = Counter(reason for _, reason, _ in refused)
    listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    record, reason, detail = refused[0]
    return (
        f"Found {len(refused)} photographs and none that can be used ({listed}); the first is "
        f"{record.locator}: {reason}, {detail} Expected images with a latitude and a longitude, in EXIF or "
        "in a metadata file (--metadata)."
    )
