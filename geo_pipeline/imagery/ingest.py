"""The decode stage: the photographs of one shard of the catalogue, made canonical; failures go to quarantine."""

import numpy as np
import pyarrow as pa

from geo_pipeline.contracts.contract import load
from geo_pipeline.imagery.catalogue import quarantine_table
from geo_pipeline.imagery.decode import ImageRejected, canonical_image
from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.source import MissingImageError, Source, SourceRecord


def decode_shard(
    source: Source, catalogue: pa.Table, shorter_side: int, quality: int = 95
) -> tuple[pa.Table, pa.Table]:
    """The tables `images` and `quarantine` (stage decode) for the given rows of the catalogue, in their order.

    `shorter_side` is in pixels, `quality` that of the JPEG. No image that fails stops the others.
    """
    rows: list[dict[str, object]] = []
    refused: list[tuple[SourceRecord, str, str]] = []
    for row in catalogue.to_pylist():
        data = b""
        try:
            data = source.read(row["locator"])
            image = canonical_image(data, shorter_side, quality)
        except MissingImageError as error:
            refused.append((SourceRecord(row["image_id"], row["locator"]), "missing_file", str(error)))
        except ImageRejected as error:
            record = SourceRecord(row["image_id"], row["locator"], first_bytes_kind=first_bytes_kind(data))
            refused.append((record, error.reason, error.detail))
        else:
            kept = {name: row[name] for name in ("image_id", "set_name", "author", "lat_deg", "lon_deg", "credit")}
            facts = {"jpeg": image.jpeg, "width": image.width, "height": image.height, "sha256": image.sha256}
            rows.append({**kept, **facts, "phash": np.int64(image.phash).item()})
    images = load("images")
    return images.conform(pa.Table.from_pylist(rows, schema=images.arrow_schema)), quarantine_table("decode", refused)
