"""Reads the georouting table and the images it names into lessons: what the router sees of a query, and its target.

The split into train and holdout is by author, or by coordinate where no author is known, never by image
(docs/protocol.md). The images come from the one file that `gathered` writes; of their JPEGs only those are read that a
batch shows. The network and the loop are `model` and `training`.
"""

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.queries import Query, query_from_row, shows_top1
from geo_pipeline.imagery.authors import author_key
from geo_pipeline.routing.prompt import PromptVariant

PLACE_DECIMALS = 1
"""Where no author is known, queries within about 11 km share a side of the split."""

_LESSON_COLUMNS = [
    *("image_id", "label", "preference", "trainable"),
    *("retrieval_lat_deg", "retrieval_lon_deg", "generation_lat_deg", "generation_lon_deg"),
    *("candidate_ids", "candidate_lats_deg", "candidate_lons_deg"),
]


IMAGE_SCHEMA = pa.schema(
    [
        *(("image_id", pa.string()), ("author", pa.string())),
        *(("lat_deg", pa.float64()), ("lon_deg", pa.float64())),
        ("jpeg", pa.binary()),
    ]
)
"""What is gathered of an image."""


class LessonsError(ValueError):
    """The georouting table and the images do not belong together."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One query with its `target` in [0, 1] (1 = generation) and its hard `label`."""

    query: Query
    target: float
    label: int
    held_out: bool


def needed_ids(georouting: Path, variant: PromptVariant) -> set[str]:
    """Ids of the trainable queries, and of their top-1 references where the variant shows them.

    Raises `LessonsError` where nothing is trainable.
    """
    return _needed(_trainable(georouting), variant)


def refuse_missing(needed: Set[str], found: Set[str], where: str) -> None:
    """Raise `LessonsError` where an image that is needed was not found."""
    missing = sorted(needed - found)
    if missing:
        raise LessonsError(
            f"found no image for {len(missing)} of {len(needed)} ids ({', '.join(missing[:3])}) in {where}; "
            "expected every query and every top-1 reference; pass the files of the reference shards too"
        )


def read_lessons(georouting: Path, images: Path, config: RouterConfig) -> list[Lesson]:
    """Trainable rows of the table, in its order, with the JPEGs of the query and, where it is shown, of the top-1
    candidate.

    `images` is the file that `gather_images` wrote for this table. It is mapped into memory, and the JPEGs of the
    lessons are views of it: the file must stay in its place. Raises `LessonsError` where nothing is trainable or an
    image is missing.
    """
    rows = _trainable(georouting)
    with pa.memory_map(str(images)) as file:
        found = pa.ipc.open_file(file).read_all()
    row_of = {image_id: row for row, image_id in enumerate(found["image_id"].to_pylist())}
    refuse_missing(_needed(rows, config.variant), row_of.keys(), str(images))
    known = found.drop_columns("jpeg").to_pylist()

    def jpeg(image_id: str) -> pa.Buffer:
        return found["jpeg"][row_of[image_id]].as_buffer()

    lessons = []
    for row in rows:
        top1 = _top1(row, config.variant)
        lessons.append(
            Lesson(
                query=query_from_row(row, jpeg(row["image_id"]), None if top1 is None else jpeg(top1)),
                target=float(row["label"]) if config.hard_labels else float(row["preference"]),
                label=int(row["label"]),
                held_out=_held_out(known[row_of[row["image_id"]]], config),
            )
        )
    if all(lesson.held_out for lesson in lessons):
        raise LessonsError(
            f"found {len(lessons)} trainable queries, all by held-out authors; expected some to learn from; "
            "give more router queries or lower RouterConfig.holdout"
        )
    return lessons


def _trainable(georouting: Path) -> list[dict[str, Any]]:
    table = pq.read_table(georouting, columns=_LESSON_COLUMNS)
    rows: list[dict[str, Any]] = table.filter(pc.field("trainable")).to_pylist()
    if not rows:
        raise LessonsError(
            f"found {table.num_rows} rows in {georouting}, none trainable; expected at least one query "
            "where a paradigm answered; rematerialize retrieval and generation predictions of the router queries"
        )
    return rows


def _needed(rows: list[dict[str, Any]], variant: PromptVariant) -> set[str]:
    return {row["image_id"] for row in rows} | {id_ for row in rows if (id_ := _top1(row, variant))}


def _top1(row: dict[str, Any], variant: PromptVariant) -> str | None:
    """Id of the top-1 reference that the prompt shows."""
    return row["candidate_ids"][0] if row["candidate_ids"] and shows_top1(variant) else None


def _held_out(image: dict[str, Any], config: RouterConfig) -> bool:
    place = f"{np.round(image['lat_deg'], PLACE_DECIMALS)},{np.round(image['lon_deg'], PLACE_DECIMALS)}"
    key = f"router-holdout:{author_key(image['author']) or place}"
    drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return drawn < config.holdout
