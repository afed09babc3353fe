"""Columns of vectors in half precision: written so that they can be mapped from the file, and mapped.

A row group keeps such a column in one page, uncompressed and without a dictionary, so its numbers lie one behind the
other at the page's end: an array (N, D) for numpy, a list column for every other reader of Parquet. No list of Arrow
is made of them here: its offsets end at 2**31 numbers, its copies are the size of the gallery.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Halves = npt.NDArray[np.float16]
VECTORS = pa.list_(pa.float16())
COMPRESSION = "zstd"
PAGE_BYTES = 2**30
VECTOR_ROW_GROUP_ROWS = 2**14
"""A page of Arrow ends at 20,000 rows, or at `data_page_size`: that of a row group at neither."""
ROW_GROUP_ROWS = 2**20
BINARY_ROW_GROUP_ROWS = 512
"""Rows of a row group where rows hold pictures: a reader then needs memory for these, not for the whole shard."""
_HALF_BYTES = np.dtype(np.float16).itemsize
_HEADER_BYTES = 256
"""More than a page's header takes."""


class NotMappableError(ValueError):
    """A column that does not lie in the file as one array per row group."""


def vectors_of(schema: pa.Schema) -> list[str]:
    """The columns of vectors."""
    return [field.name for field in schema if field.type == VECTORS]


def row_group_rows(schema: pa.Schema) -> int:
    """Rows of a row group of a table."""
    if any(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) for kind in schema.types):
        return BINARY_ROW_GROUP_ROWS
    return VECTOR_ROW_GROUP_ROWS if vectors_of(schema) else ROW_GROUP_ROWS


def writing_options(schema: pa.Schema) -> Mapping[str, Any]:
    """Options of `pq.ParquetWriter`; row groups of tables with vectors have at most VECTOR_ROW_GROUP_ROWS."""
    vectors = vectors_of(schema)
    if not vectors:
        return {"compression": COMPRESSION}
    others = [name for name in schema.names if name not in vectors]
    paths = [f"{name}.list.element" for name in vectors]
    return {
        "compression": dict.fromkeys(others, COMPRESSION) | dict.fromkeys(paths, "none"),
        "use_dictionary": others,
        "write_statistics": others,
        "data_page_size": PAGE_BYTES,
    }


def mapped(file: Path, column: str) -> list[Halves]:
    """The vectors of a column (N, D) float16, an array for each row group; pages of the file are read when used.

    Raises NotMappableError for a column that was not written with `writing_options`.
    """
    metadata = pq.read_metadata(file)
    arrays: list[Halves] = []
    with file.open("rb") as raw:
        for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
            path = f"{column}.list.element"
            (chunk,) = [each for each in map(group.column, range(group.num_columns)) if each.path_in_schema == path]
            numbers, rows = chunk.num_values, group.num_rows
            if not rows:
                continue
            page_bytes = _page_bytes(raw, chunk.data_page_offset)
            alone = 0 <= chunk.total_compressed_size - page_bytes <= _HEADER_BYTES
            if chunk.compression != "UNCOMPRESSED" or not alone or numbers % rows:
                raise NotMappableError(
                    f"found {column} of {file} in several pages, compressed, or in vectors of several lengths; "
                    "expected one array per row group, as tables are written now; make it anew: "
                    f"`geo-pipeline run --again {file.parent.name}`"
                )
            start = chunk.data_page_offset + chunk.total_compressed_size - numbers * _HALF_BYTES
            arrays.append(np.memmap(file, np.float16, "r", start, (rows, numbers // rows)))
    return arrays


def _page_bytes(file: BinaryIO, offset: int) -> int:
    """Bytes of the page at this offset behind its header: the third field of a PageHeader in Thrift's compact form."""
    file.seek(offset)
    header = file.read(_HEADER_BYTES)
    position, value = 0, 0
    for _ in range(3):  # type, uncompressed size, compressed size: each a byte that names the field, and a varint
        position, value, shift = position + 1, 0, 0
        while True:
            value |= (header[position] & 0x7F) << shift
            shift, position = shift + 7, position + 1
            if header[position - 1] < 0x80:
                break
    return value >> 1
