"""Small tables that are kept between runs so that work is not done twice: written as a whole, and worth no trust.

What they hold belongs to `containers.index` and `exif_index`.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_kept(path: Path, schema: pa.Schema) -> pa.Table | None:
    """A kept table, or None where there is none that can be used."""
    try:
        table = pq.read_table(path, memory_map=False, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return None
    return table if table.schema.equals(schema) else None


def write_kept(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".index-", delete=False) as file:
        try:
            with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
                for batch in batches:
                    writer.write_batch(batch)
            file.close()
            os.replace(file.name, path)  # noqa: PTH105  # the name is a text here
        finally:
            Path(file.name).unlink(missing_ok=True)  # there is none left once it has its place


def forget_others(path: Path, name: str) -> None:
    """Remove what was kept beside `path` under the same name, a dash and something else: it will not be asked for."""
    for other in path.parent.glob(f"{name}-*.parquet"):
        if other != path:
            other.unlink(missing_ok=True)


def short(text: str) -> str:
    """Sixteen hexadecimal digits that stand for a text in a file's name."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
