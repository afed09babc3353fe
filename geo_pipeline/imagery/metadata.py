"""Reads the metadata of a folder of photographs: CSV or Parquet, one row per photograph, columns known by name.

Values are passed on as they are; judging coordinates belongs to `catalogue`. Only one fault is judged here, since it
takes the whole file to see it: swapped latitude and longitude columns.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geo_pipeline.imagery.source import SourceError

ALIASES: dict[str, tuple[str, ...]] = {
    "image_id": ("image_id", "img_id", "id", "photo_id"),
    "path": ("path", "file", "filename", "file_name", "image_path"),
    "lat_deg": ("latitude", "lat", "lat_deg"),
    "lon_deg": ("longitude", "lon", "lng", "lon_deg", "long"),
    "author": ("author", "photographer"),
    "credit": ("attribution", "credit"),
    "set_name": ("set_name", "set", "benchmark"),
}
"""Column names that are understood, in order of preference; letter case does not matter."""


class SwappedColumnsError(SourceError):
    """Latitudes beyond 90 degrees beside longitudes that never are: the two columns are swapped."""


@dataclass(frozen=True)
class MetadataRow:
    """One row: texts are stripped, empty ones None; a coordinate that is no number is NaN, see `detail`.

    `set_name` fixes the photograph's set (`train`, `router_queries`, a benchmark); without it the split decides.
    """

    image_id: str | None
    path: str | None
    lat_deg: float | None
    lon_deg: float | None
    author: str | None
    credit: str | None
    set_name: str | None
    detail: str = ""


def metadata_rows(path: Path) -> Iterator[MetadataRow]:
    """Rows of a CSV (comma, semicolon or tab) or Parquet file; blank lines are passed over.

    Raises `SourceError` for a missing or unreadable file and for missing columns, `SwappedColumnsError` before the
    first row when latitude and longitude are swapped.
    """
    if not path.is_file():
        raise SourceError(f"Found no metadata file {path}; expected a CSV or Parquet file with one row per photograph.")
    refuse_swapped(((row.lat_deg, row.lon_deg) for row in _rows(path)), str(path))
    yield from _rows(path)


def refuse_swapped(coordinates: Iterator[tuple[float | None, float | None]], where: str) -> None:
    """Raise `SwappedColumnsError` when any |lat| is beyond 90 degrees while no |lon| is."""
    beyond, worst = 0, 0.0
    for lat, lon in coordinates:
        if lon is not None and math.isfinite(lon) and abs(lon) > 90:
            return
        if lat is not None and math.isfinite(lat) and abs(lat) > 90:
            beyond, worst = beyond + 1, max(worst, abs(lat))
    if beyond:
        raise SwappedColumnsError(
            f"{where}: found {beyond} latitudes beyond 90 degrees (up to {worst:g}) while no longitude is: swapped? "
            "Expected latitudes from -90 to 90. Exchange the two column headers, or correct the rows, and run again."
        )


def _rows(path: Path) -> Iterator[MetadataRow]:
    parquet = path.suffix.lower() in (".parquet", ".pq")
    yield from _parquet_rows(path) if parquet else _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[MetadataRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",\t;", key=header.count)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=delimiter)
            columns = _columns(reader.fieldnames or (), path)
            for row in reader:
                if any(isinstance(value, str) and value.strip() for value in row.values()):
                    yield _row({known: row.get(name) for known, name in columns.items()})
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as CSV ({error}). Save it as UTF-8 with one header line.") from error


def _parquet_rows(path: Path) -> Iterator[MetadataRow]:
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns(file.schema_arrow.names, path)
            for batch in file.iter_batches(columns=list(columns.values())):
                for row in batch.to_pylist():
                    yield _row({known: row[name] for known, name in columns.items()})
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path}: cannot be read as Parquet ({error}). Write it again, or give a CSV.") from error


def _columns(names: Sequence[str], path: Path) -> dict[str, str]:
    """Which column of the file holds what; `SourceError` when coordinates or images cannot be told."""
    by_lower = {name.strip().lower(): name for name in reversed(names)}
    found = {
        known: by_lower[next(alias for alias in aliases if alias in by_lower)]
        for known, aliases in ALIASES.items()
        if any(alias in by_lower for alias in aliases)
    }
    missing = [known for known in ("lat_deg", "lon_deg") if known not in found]
    if "image_id" not in found and "path" not in found:
        missing.append("image_id or path")
    if missing:
        understood = "; ".join(f"{known}: {', '.join(aliases)}" for known, aliases in ALIASES.items())
        raise SourceError(
            f"{path}: found the columns {', '.join(names) or '(none)'}; no column for {', '.join(missing)}. Understood "
            f"are (in any letter case) {understood}. Rename the columns."
        )
    return found


def _row(values: Mapping[str, Any]) -> MetadataRow:
    lat, lat_detail = _number(values.get("lat_deg"), "latitude")
    lon, lon_detail = _number(values.get("lon_deg"), "longitude")
    return MetadataRow(
        image_id=_text(values.get("image_id")),
        path=_text(values.get("path")),
        lat_deg=lat,
        lon_deg=lon,
        author=_text(values.get("author")),
        credit=_text(values.get("credit")),
        set_name=_text(values.get("set_name")),
        detail="; ".join(part for part in (lat_detail, lon_detail) if part),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value).strip() or None


def _number(value: Any, name: str) -> tuple[float | None, str]:
    text = _text(value)
    if text is None:
        return None, f"no {name}"
    try:
        return float(text), ""
    except ValueError:
        return math.nan, f"{name} {text[:40]!r} is not a number"
