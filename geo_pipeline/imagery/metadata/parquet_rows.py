"""Reads the metadata columns of a Parquet file: texts, whatever their type, and coordinates as numbers or as texts.

Photographs inside Parquet files belong to `containers.parquet_files`, metadata in CSV to `csv_tables`.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geo_pipeline.imagery.metadata.cells import degrees, refined, shown
from geo_pipeline.imagery.metadata.csv_scan import EMPTY, OTHER
from geo_pipeline.imagery.metadata.layout import MetadataFormat, wanted_columns
from geo_pipeline.imagery.photograph import DESCRIBED_TEXTS
from geo_pipeline.imagery.source import SourceError

BATCH_ROWS = 262_144
_LARGEST_WHOLE = 2.0**53


def parquet_batches(file: BinaryIO, layout: MetadataFormat, where: str) -> Iterator[pa.Table]:
    """The rows of a Parquet file as tables of METADATA; `SourceError` when it is none, or without the columns.

    Ids written as numbers become their digits (`7.0` becomes `7`); a column that is neither text nor number is refused.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            wanted = wanted_columns(schema.names, layout, where)
            headers = {known: schema.names[number] for known, number in wanted.items()}
            for known, header in headers.items():
                _check_type(schema.field(wanted[known]).type, header, known, where)
            line = 1
            for batch in parquet.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(headers.values()))):
                yield _table(batch, headers, layout, line)
                line += batch.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column's name is no UTF-8
        words = str(error).splitlines()[0][:200]
        raise SourceError(f"{where}: cannot be read as Parquet ({words}). Write it again, or give a CSV.") from error


def _table(batch: pa.RecordBatch, headers: dict[str, str], layout: MetadataFormat, line: int) -> pa.Table:
    rows = batch.num_rows
    columns: dict[str, pa.Array] = {
        name: text_of(batch.column(headers[name])) if name in headers else pa.nulls(rows, pa.string())
        for name in ("path", *DESCRIBED_TEXTS)
    }
    words = [""] * rows
    for name in ("lat_deg", "lon_deg"):
        columns[name], wrong = _coordinate(batch.column(headers[name]), headers[name])
        for row, word in wrong.items():
            words[row] = f"{words[row]}; {word}" if words[row] else word
    columns["detail"] = pa.array(words, pa.string())
    columns["line"] = pa.array(np.arange(line, line + rows), pa.int64())
    return refined(columns, layout)


def _coordinate(column: pa.Array, header: str) -> tuple[pa.Array, dict[int, str]]:
    """(float64, null where the cell is empty, and NaN where it is no number; what is wrong by row)."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        values = column.cast(pa.float64())
        numbers = values.to_numpy(zero_copy_only=False)
        empty = values.is_null().to_numpy(zero_copy_only=False)
        wrong = dict.fromkeys(np.flatnonzero(empty).tolist(), f"{header} is empty")
        odd = np.flatnonzero(~np.isfinite(numbers) & ~empty)
        wrong |= {row: f"{header} is {numbers[row]}" for row in odd.tolist()}
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        return pa.array(numbers, mask=empty), wrong
    texts = text_of(column)
    values, kinds = degrees(texts)
    at = np.flatnonzero((kinds == EMPTY) | (kinds == OTHER))
    read = texts.take(pa.array(at)).to_pylist()
    wrong = {row: f"{header} is {shown(text)}" for row, text in zip(at.tolist(), read, strict=True)}
    return pa.array(values, mask=kinds == EMPTY), wrong


def text_of(column: pa.Array) -> pa.StringArray:
    """A column as stripped text, empty ones null; whole numbers lose a `.0`, which tables with gaps give them."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
        whole = pc.and_(pc.equal(finite, pc.trunc(finite)), pc.less_equal(pc.abs(finite), _LARGEST_WHOLE))
        digits = pc.if_else(whole, finite, None).cast(pa.int64()).cast(pa.string())
        column = pc.coalesce(digits, finite.cast(pa.string()))
    elif _is_text(column.type) and not _is_utf8(column):  # Arrow takes a file's word that its texts are UTF-8
        column = pa.array(
            [None if cell is None else cell.decode("utf-8", "replace") for cell in _bytes_of(column)], pa.string()
        )
    texts = pc.utf8_trim(column.cast(pa.string()), " \t\r\n\v\f\0\u00a0\ufeff")
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar(None, pa.string()), texts)


def _is_text(kind: pa.DataType) -> bool:
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return texts or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_utf8(column: pa.Array) -> bool:
    try:
        column.cast(pa.large_string()).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _bytes_of(column: pa.Array) -> list[bytes | None]:
    cells: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return cells


def _check_type(kind: pa.DataType, header: str, known: str, where: str) -> None:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = _is_text(inner) or pa.types.is_null(inner)
    numbers = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_decimal(inner)
    if not texts and not numbers:
        raise SourceError(
            f"{where}: found {kind} in the column {header}; expected text{_or_numbers(known)}. Write the column again."
        )


def _or_numbers(known: str) -> str:
    return " or numbers" if known in ("lat_deg", "lon_deg") else ""
