"""Reads the metadata of a collection, CSV, Parquet or JSON, as one Arrow table: one row per row of the file.

No row is lost: what cannot be read stays as a row that says so. Only faults that take the whole file to see are judged
here (missing columns, swapped latitude and longitude); coordinates one by one are judged by `catalogue`, and which
photograph a row means by `join`.
"""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.metadata.cells import table_of
from geo_pipeline.imagery.metadata.csv_tables import DELIMITERS, CsvFile, CsvLayout, cells_of, delimiter_of
from geo_pipeline.imagery.metadata.json_rows import SUFFIXES, json_table
from geo_pipeline.imagery.metadata.layout import (
    ALIASES,
    COORDINATES_ONLY,
    METADATA,
    MetadataFormat,
    is_header,
    known_columns,
    wanted_columns,
)
from geo_pipeline.imagery.metadata.parquet_rows import parquet_batches
from geo_pipeline.imagery.metadata.summary_tail import is_summary
from geo_pipeline.imagery.source import SourceError
from geo_pipeline.imagery.stores.files import open_url

__all__ = [
    "ALIASES",
    "COORDINATES_ONLY",
    "METADATA",
    "MetadataFormat",
    "MetadataNotes",
    "SwappedColumnsError",
    "metadata_notes",
    "read_metadata",
]

_PARQUET = b"PAR1"
_LINES_SEEN = 200
"""First lines of a file without a header from which its number of columns is told."""
_NOTES = b"notes"
_SLIPS = 10
"""Rows that an exchange of the columns would break, per row that it would mend, from which on the latter are slips;
also the rows of a file in which a single one is."""
_NAMED_LINES = 5


class SwappedColumnsError(SourceError):
    """Latitudes beyond 90 degrees, in more rows than slips explain: the two columns are swapped, or in some rows."""


@dataclass(frozen=True)
class MetadataNotes:
    """What was passed over or noticed while reading.

    Passed over: `blank` records, `repeated_headers` (files put behind one another), `summary` rows at the end. Noticed:
    `not_utf8` cells read as Windows-1252, `beyond` rows with a latitude or longitude that is none, and `expected_rows`
    of the published file where the rows are more or fewer.
    """

    blank: int = 0
    repeated_headers: int = 0
    summary: int = 0
    not_utf8: int = 0
    beyond: int = 0
    expected_rows: int | None = None


def read_metadata(url: str, format: MetadataFormat | None = None) -> pa.Table:
    """The rows of a metadata file, a local path or a URL, as a table of METADATA, in the order of the file.

    Without a `format`, columns are known by their names (ALIASES). Raises `SourceError` for a file that is missing, is
    neither CSV nor Parquet nor JSON or lacks the columns, and `SwappedColumnsError` when latitude and longitude are
    swapped. What was passed over or noticed: `metadata_notes`.
    """
    layout = format or MetadataFormat()
    with open_url(url) as file:
        start = file.read(len(_PARQUET))
        file.seek(0)
        if Path(url).suffix.lower() in SUFFIXES or start.lstrip()[:1] == b"{":
            table, notes = json_table(file, layout, url), MetadataNotes()
        elif start == _PARQUET or Path(url).suffix.lower() in (".parquet", ".pq"):
            table, notes = _table(list(parquet_batches(file, layout, url))), MetadataNotes()
        else:
            table, notes = _read_csv(CsvFile(file, url), layout, url)
    refuse_swapped(table, url)
    beyond = _beyond(table, "lat_deg", 90.0) | _beyond(table, "lon_deg", 180.0)
    count = None if layout.expected_rows in (None, len(table)) else layout.expected_rows
    notes = replace(notes, beyond=int(beyond.sum()), expected_rows=count)
    return table.replace_schema_metadata({_NOTES: json.dumps(vars(notes))})


def metadata_notes(table: pa.Table) -> MetadataNotes:
    """What `read_metadata` passed over or noticed when it read this table."""
    return MetadataNotes(**json.loads((table.schema.metadata or {}).get(_NOTES, b"{}")))


def refuse_swapped(table: pa.Table, where: str) -> None:
    """Raise `SwappedColumnsError` when latitude and longitude are exchanged in more rows than slips explain.

    Two kinds of rows tell: those that an exchange would mend (a latitude between 90 and 180 degrees beside a longitude
    that may be a latitude), and those that it would break (the reverse). The former are slips of their rows while they
    are no more than a tenth of the latter. A single one is a slip wherever there is one of the latter, or as one row of
    at least ten.
    """
    lat, lon = np.abs(_numbers(table, "lat_deg")), np.abs(_numbers(table, "lon_deg"))
    mended = (lat > 90.0) & (lat <= 180.0) & (lon <= 90.0)
    broken = int(((lon > 90.0) & (lon <= 180.0) & (lat <= 90.0)).sum())
    count = int(mended.sum())
    single = count == 1 and (broken > 0 or int(np.isfinite(lat + lon).sum()) >= _SLIPS)
    if single or _SLIPS * count <= broken:
        return
    lines = table["line"].filter(pa.array(mended)).to_pylist()
    named = ", ".join(map(str, lines[:_NAMED_LINES])) + (f" and {count - _NAMED_LINES} more" * (count > _NAMED_LINES))
    raise SwappedColumnsError(
        f"{where}: found {count} latitudes beyond 90 degrees (up to {lat[mended].max():g}) beside longitudes that may "
        f"be latitudes (in the lines {named}), and {broken} rows of the reverse: swapped? Expected latitudes from -90 "
        "to 90. Exchange the two column headers, or correct these rows, and run again."
    )


def _read_csv(file: CsvFile, layout: MetadataFormat, where: str) -> tuple[pa.Table, MetadataNotes]:
    shape, names = _shape(file, layout, where)
    headers = {known: names[number] for known, number in shape.columns.items()}
    tables = [table_of(batch, layout, shape.width, headers) for batch in file.batches(shape)]
    repeated = 0
    if layout.header or is_header(names):
        kept = [_without_headers(table, headers) for table in tables]
        repeated = sum(map(len, tables)) - sum(map(len, kept))
        tables = kept
    table = _table(tables)
    summary = 0
    if file.tail is not None and file.tail_start is not None and is_summary(file.tail, shape.delimiter):
        summary = len(table) + repeated - file.tail_start
        table = table.slice(0, len(table) - summary)
    return table, MetadataNotes(file.blank, repeated, summary, file.not_utf8)


def _shape(file: CsvFile, layout: MetadataFormat, where: str) -> tuple[CsvLayout, list[str]]:
    """How the file is cut, and what its columns are called; reads the header."""
    given = layout.delimiter
    first = next(iter(file.first_lines(1)), "")
    if layout.header and first.lower().startswith("sep=") and len(first.strip()) == 5:
        given = file.skip_line().strip()[4]
        first = next(iter(file.first_lines(1)), "")
    known = Counter({each: len(known_columns(cells_of(first, each), layout)) for each in DELIMITERS})
    delimiter = given if layout.header and given else delimiter_of(first, known)
    names = [name.strip(" \t\0\ufeff") for name in cells_of(first, delimiter)]
    if layout.header or is_header(names):
        file.skip_line()
        return CsvLayout(delimiter, layout.quote, len(names), wanted_columns(names, layout, where)), names
    delimiter = given or delimiter_of(first, Counter())
    columns = {known: int(column) for known, column in layout.columns}
    counts = Counter(len(cells_of(line, delimiter, layout.quote)) for line in file.first_lines(_LINES_SEEN))
    width = counts.most_common(1)[0][0] if counts else 0
    if width <= max(columns.values(), default=0):
        raise SourceError(
            f"{where}: found {width} columns, expected more than {max(columns.values(), default=0)} and no header "
            "line. Check that it is the right file, or give a CSV with a header line."
        )
    return CsvLayout(delimiter, layout.quote, width, columns), [f"column {number}" for number in range(width)]


def _without_headers(table: pa.Table, headers: dict[str, str]) -> pa.Table:
    """The rows that do not repeat the header line."""
    words = f"{headers['lat_deg']} is {headers['lat_deg']!r}; {headers['lon_deg']} is {headers['lon_deg']!r}"
    repeats = pc.equal(table["detail"], words)
    if not pc.any(repeats).as_py():
        return table
    for known in ("image_id", "path"):
        if known in headers:
            repeats = pc.and_(repeats, pc.fill_null(pc.equal(table[known], headers[known]), False))
    return table.filter(pc.invert(repeats))


def _table(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables) if tables else METADATA.empty_table()


def _numbers(table: pa.Table, column: str) -> np.ndarray:
    values: np.ndarray = table[column].to_numpy()
    return values


def _beyond(table: pa.Table, column: str, limit: float) -> np.ndarray:
    beyond: np.ndarray = np.abs(_numbers(table, column)) > limit
    return beyond
