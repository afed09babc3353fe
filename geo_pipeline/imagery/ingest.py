"""Decoding: rows of the catalogue to canonical images, or to quarantine; no row is ever lost.

A worker maps batches of rows wherever it runs (compute); `decoded` puts a shard's batches together.
What makes an image canonical belongs to `decode`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.contracts.contract import load
from geo_pipeline.imagery import photograph
from geo_pipeline.imagery.decode import ImageRejected, canonical_image
from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.source import MissingImageError, Source

CARRIED = ("image_id", "set_name", "author", "lat_deg", "lon_deg", "credit", "locator", "source_offset")
"""Columns that images take over from the catalogue: what a worker must be given."""
_MADE = ("jpeg", "width", "height", "sha256", "phash")
_REFUSED = photograph.schema(("reason", "detail", "first_bytes_kind"), reason=pa.string())
MOST_BYTES = 2**31 - 1
"""Most JPEG bytes of a shard: what one Arrow column of binaries holds. A tenth of it is a comfortable shard."""


class ShardTooLargeError(ValueError):
    """A shard that does not fit one Arrow column."""


class LostRowsError(RuntimeError):
    """The results of a shard are not one row for each photograph that was sent."""


@dataclass(frozen=True, eq=False)
class ReadPhotographs:
    """Rows of the catalogue, and of each the bytes of its photograph or why there are none."""

    rows: pa.Table
    answers: list[bytes | MissingImageError]


class DecodeWorker:
    """Reads and decodes photographs; arguments are plain values and a source that can be sent to other processes.

    `shorter_side` is in pixels, `quality` that of the JPEG.
    """

    def __init__(self, source: Source, shorter_side: int, quality: int) -> None:
        self.source = source
        self.shorter_side = shorter_side
        self.quality = quality

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One row per row of the catalogue, in their order: an image, or reason, detail and first_bytes_kind.

        Give rows `in_reading_order`. No image that fails stops the others.
        """
        return self.compute(self.prepare(batch))

    def prepare(self, batch: pa.Table) -> ReadPhotographs:
        """Read the bytes of a batch; may run in a thread beside `compute`."""
        given = batch["locator"].to_pylist()
        answers = list(self.source.read_many(given))
        if len(answers) != len(given):
            raise LostRowsError(
                f"found {len(answers)} answers of {type(self.source).__name__} to {len(given)} locators, "
                "expected one each; correct its read_many"
            )
        return ReadPhotographs(batch, answers)

    def compute(self, prepared: ReadPhotographs) -> pa.Table:
        """The result of `__call__` for a prepared batch."""
        rows, batch = [self._row(found) for found in prepared.answers], prepared.rows
        schema = load("images").arrow_schema
        columns = {name: batch[name].cast(schema.field(name).type) for name in CARRIED}
        for name, kind in [(name, schema.field(name).type) for name in _MADE] + [
            (field.name, field.type) for field in _REFUSED
        ]:
            columns[name] = pa.array([row.get(name) for row in rows], kind)
        return pa.table(columns)

    def _row(self, found: bytes | MissingImageError) -> Mapping[str, object]:
        if isinstance(found, MissingImageError):
            return {"reason": "missing_file", "detail": str(found)}
        try:
            image = canonical_image(found, self.shorter_side, self.quality)
        except ImageRejected as error:
            return {"reason": error.reason, "detail": error.detail, "first_bytes_kind": first_bytes_kind(found)}
        return {
            "jpeg": image.jpeg,
            "width": image.width,
            "height": image.height,
            "sha256": image.sha256,
            "phash": np.int64(image.phash).item(),
        }


def in_reading_order(rows: pa.Table) -> pa.Table:
    """Rows of the catalogue as they lie in their files, so that neighbours in a container are read together."""
    container = pc.list_element(pc.split_pattern(rows["locator"], "!", max_splits=1), 0)
    keys = [("container", "ascending"), ("source_offset", "ascending"), ("locator", "ascending")]
    order = pc.sort_indices(rows.select(["source_offset", "locator"]).append_column("container", container), keys)
    return rows.take(order)


def decoded(
    parts: Sequence[pa.Table], image_ids: pa.ChunkedArray, most_bytes: int = MOST_BYTES
) -> tuple[pa.Table, pa.Table]:
    """The tables `images` and `quarantine` (stage decode) of one shard from a worker's results, by image_id.

    Storing them holds them to their contracts. Raises `LostRowsError` unless the results are those of exactly
    `image_ids`, `ShardTooLargeError` for a shard whose JPEGs have more than `most_bytes`.
    """
    images, quarantine = load("images"), load("quarantine")
    found = pa.chunked_array([part["image_id"] for part in parts] if parts else [[]], pa.string())
    if not found.sort().equals(image_ids.sort()):
        lost = sorted(set(image_ids.to_pylist()) - set(found.to_pylist()))
        raise LostRowsError(
            f"found results of {len(found)} photographs, expected those of {len(image_ids)}"
            f"{', without ' + ', '.join(lost[:3]) if lost else ''}; run again, finished shards are kept"
        )
    if not parts:
        return images.empty(), quarantine.empty()
    results = pa.concat_tables(parts)
    size = pc.sum(pc.binary_length(results["jpeg"])).as_py() or 0
    if size > most_bytes:
        raise ShardTooLargeError(
            f"found a shard of {results.num_rows} photographs and {size / 2**30:.2f} GiB, expected at most "
            f"{most_bytes / 2**30:.2f} GiB; use more shards (--shards, and query_shards of the profile for a benchmark "
            "with photographs of its own)"
        )
    order = pc.sort_indices(results["image_id"])
    good = pc.is_null(results["reason"]).take(order)
    refused = results.take(order.filter(pc.invert(good).combine_chunks()))
    refused = refused.append_column("stage", pa.array(["decode"] * refused.num_rows, pa.string()))
    kept = results.select(images.arrow_schema.names).take(order.filter(good.combine_chunks()))
    return kept, refused.select(quarantine.arrow_schema.names)


def decode_shard(
    source: Source, catalogue: pa.Table, shorter_side: int, quality: int = 95
) -> tuple[pa.Table, pa.Table]:
    """`decoded` for some rows of the catalogue, all in this process and at once."""
    rows = in_reading_order(catalogue.select(list(CARRIED)))
    return decoded([DecodeWorker(source, shorter_side, quality)(rows)], rows["image_id"])


def decoded_tables(rows: pa.Table, parts: list[pa.Table]) -> dict[str, pa.Table]:
    """The tables of one shard by name, from the rows of its catalogue and a worker's results. See `decoded`."""
    images, quarantine = decoded(parts, rows["image_id"])
    return {"images": images, "quarantine": quarantine}


def rejections(tables: Mapping[str, pa.Table]) -> Mapping[str, object]:
    """How many photographs of a shard were rejected, in all and by reason."""
    refused = Counter(tables["quarantine"]["reason"].to_pylist())
    return {"rejected": refused.total()} | {f"rejected: {reason}": count for reason, count in sorted(refused.items())}
