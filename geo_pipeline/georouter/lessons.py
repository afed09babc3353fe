"""Reads the georouting table and the images it names into lessons: what the router sees of a query, and its target.

The split into train and holdout is by author, or by coordinate where no author is known, never by image
(docs/protocol.md). The network and the loop are `model` and `training`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.queries import Query, query_from_row
from geo_pipeline.imagery.authors import author_key

PLACE_DECIMALS = 1
"""Where no author is known, queries within about 11 km share a side of the split."""

_LESSON_COLUMNS = [
    *("image_id", "label", "preference", "trainable"),
    *("retrieval_lat_deg", "retrieval_lon_deg", "generation_lat_deg", "generation_lon_deg"),
    *("candidate_ids", "candidate_lats_deg", "candidate_lons_deg"),
]


class LessonsError(ValueError):
    """The georouting table and the images do not belong together."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One query with its `target` in [0, 1] (1 = generation) and its hard `label`."""

    query: Query
    target: float
    label: int
    held_out: bool


def read_lessons(georouting: Path, images: Sequence[Path], config: RouterConfig) -> list[Lesson]:
    """Trainable rows of the table, in its order, with the JPEGs of the query and of the top-1 candidate.

    `images` are Parquet files of the images contract that hold the queries and the references. Raises `LessonsError`
    where nothing is trainable or an image is missing.
    """
    table = pq.read_table(georouting, columns=_LESSON_COLUMNS)
    rows = table.filter(pc.field("trainable")).to_pylist()
    if not rows:
        raise LessonsError(
            f"found {table.num_rows} rows in {georouting}, none trainable; expected at least one query "
            "where a paradigm answered; rematerialize retrieval and generation predictions of the router queries"
        )
    needed = {row["image_id"] for row in rows} | {row["candidate_ids"][0] for row in rows if row["candidate_ids"]}
    found = _read_images(images, needed)
    missing = sorted(needed - found.keys())
    if missing:
        raise LessonsError(
            f"found no image for {len(missing)} of {len(needed)} ids ({', '.join(missing[:3])}) in {len(images)} "
            "files; expected every query and every top-1 reference; pass the files of the reference shards too"
        )
    lessons = []
    for row in rows:
        image = found[row["image_id"]]
        top1_jpeg = found[row["candidate_ids"][0]]["jpeg"] if row["candidate_ids"] else None
        lessons.append(
            Lesson(
                query=query_from_row(row, image["jpeg"], top1_jpeg),
                target=float(row["label"]) if config.hard_labels else float(row["preference"]),
                label=int(row["label"]),
                held_out=_held_out(image, config),
            )
        )
    if all(lesson.held_out for lesson in lessons):
        raise LessonsError(
            f"found {len(lessons)} trainable queries, all by held-out authors; expected some to learn from; "
            "give more router queries or lower RouterConfig.holdout"
        )
    return lessons


def _read_images(files: Iterable[Path], ids: set[str]) -> dict[str, dict[str, Any]]:
    wanted = pa.array(sorted(ids), pa.string())
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        part = pq.read_table(file, columns=["image_id", "author", "lat_deg", "lon_deg", "jpeg"])
        kept = part.filter(pc.is_in(part["image_id"], value_set=wanted))
        found |= {row["image_id"]: row for row in kept.to_pylist()}
    return found


def _held_out(image: dict[str, Any], config: RouterConfig) -> bool:
    place = f"{np.round(image['lat_deg'], PLACE_DECIMALS)},{np.round(image['lon_deg'], PLACE_DECIMALS)}"
    key = f"router-holdout:{author_key(image['author']) or place}"
    drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return drawn < config.holdout
