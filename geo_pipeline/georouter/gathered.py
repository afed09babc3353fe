"""The photographs of a router's training, gathered once into one local file that every worker maps into its memory.

A training wants some hundred thousand of millions of images; they lie scattered over all shards. Whoever starts the
training fetches them by id before its workers begin. What the workers see of them belongs to `lessons`.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from geo_pipeline.georouter.lessons import IMAGE_SCHEMA, needed_ids, refuse_missing
from geo_pipeline.home.by_id import row_groups_by_id
from geo_pipeline.home.writing import beside
from geo_pipeline.routing.prompt import PromptVariant

GATHERED = "router_images.arrow"
_MADE_FROM = b"made_from"
"""Key of the file's schema: a digest of what it was gathered from."""


def gather_images(georouting: Path, images: Sequence[Path], folder: Path, variant: PromptVariant = "full") -> Path:
    """Write the images of every trainable query into a file in `folder`, and those of the top-1 references where the
    variant shows them; returns its path.

    `images` are Parquet files of the images contract that hold the queries and the references; of each its ids are
    read, then the row groups that hold wanted ones, one at a time in memory. The file is an Arrow IPC file with
    image_id, author, lat_deg, lon_deg and jpeg. One that is there whole, from the same files (by name, size and
    time), is used again. Raises `LessonsError` where nothing is trainable or an image is missing.
    """
    location, made_from = folder / GATHERED, _digest(georouting, images, variant)
    if _made_from(location) == made_from:
        return location
    needed = needed_ids(georouting, variant)
    wanted = pa.array(sorted(needed), pa.string())
    found: set[str] = set()
    folder.mkdir(parents=True, exist_ok=True)
    with beside(location) as part:
        with part.open("wb") as sink:
            with pa.ipc.new_file(sink, IMAGE_SCHEMA.with_metadata({_MADE_FROM: made_from})) as writer:
                for file in images:
                    for rows in row_groups_by_id(file, IMAGE_SCHEMA.names, wanted):
                        writer.write_table(rows.cast(IMAGE_SCHEMA))
                        found.update(rows["image_id"].to_pylist())
            sink.flush()
            os.fsync(sink.fileno())
        refuse_missing(needed, found, f"{len(images)} files")
        part.replace(location)
    return location


def _digest(georouting: Path, images: Sequence[Path], variant: PromptVariant) -> bytes:
    """Of the table's bytes, the variant, and of the images' names, sizes and times."""
    hasher = hashlib.sha256(georouting.read_bytes())
    hasher.update(variant.encode())
    for file in images:
        status = file.stat()
        hasher.update(f"{file.name}:{status.st_size}:{status.st_mtime_ns}\n".encode())
    return hasher.hexdigest().encode()


def _made_from(location: Path) -> bytes | None:
    """The digest of a gathered file; None where there is none, or not a whole one."""
    if not location.is_file():
        return None
    try:
        with location.open("rb") as file, pa.ipc.open_file(file) as reader:
            digest: bytes | None = (reader.schema.metadata or {}).get(_MADE_FROM)
    except pa.ArrowInvalid:
        return None
    return digest
