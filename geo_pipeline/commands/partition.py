"""`geo-pipeline partition`: a file of coordinates to the cells of a partition, their coverage and a map, as files.

The arithmetic belongs to `earth`, the reading of files to `imagery.metadata`, the map to
`scoring.report.partition_map`.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.table import Table

from geo_pipeline.earth.cell_numbers import ids_from_tokens
from geo_pipeline.earth.coordinates import PROBLEMS, problem_codes
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.earth.outlines import cell_feature
from geo_pipeline.earth.partition import PartitionConfig, build_and_assign
from geo_pipeline.imagery.metadata.read import COORDINATES_ONLY, metadata_notes, read_metadata
from geo_pipeline.scoring.report.partition_map import partition_map, share_text

COVERAGE_FILE, UNUSABLE_FILE, GEOJSON_FILE = "coverage.json", "unusable.csv", "cells.geojson"
SHOWN_ROWS = 20
MEANINGS = {
    "nan_coordinate": "no number, or none at all",
    "lat_out_of_range": "latitude beyond 90 degrees",
    "lon_out_of_range": "longitude beyond 180 degrees",
    "null_island": "exactly 0, 0, which stands for unknown",
}


@dataclass(frozen=True, eq=False)
class PartitionedFile:
    """What one run made: the hierarchy, `coverage` as written to coverage.json, and the rows that could not be used,
    with columns line, lat_deg, lon_deg, reason, detail."""

    hierarchy: Hierarchy
    coverage: dict[str, Any]
    unusable: pa.Table


def partition_file(coordinates: str, config: PartitionConfig) -> PartitionedFile:
    """Partition the coordinates of a CSV, Parquet or JSON file (a local path or a URL).

    Raises SourceError for a file without readable coordinates, PartitionError when a partition would be empty.
    """
    rows = read_metadata(coordinates, COORDINATES_ONLY)
    lat_deg, lon_deg = (_numbers(rows.column(name)) for name in ("lat_deg", "lon_deg"))
    codes = problem_codes(lat_deg, lon_deg)
    usable = codes == 0
    unusable = _unusable(rows, codes)
    reasons = {word: int(np.count_nonzero(codes == 1 + at)) for at, word in enumerate(PROBLEMS)}
    counted = {word: count for word, count in reasons.items() if count}
    if not usable.any():
        raise ValueError(
            f"{coordinates}: found {rows.num_rows:,} rows and no usable coordinate"
            + "".join(f"; {count:,}: {MEANINGS[word]}" for word, count in counted.items())
            + "; expected latitudes and longitudes in degrees; correct the file or its column headers"
        )
    hierarchy, rows_NP = build_and_assign(lat_deg[usable], lon_deg[usable], config)
    levels = [{"min": int(part.levels.min()), "max": int(part.levels.max())} for part in hierarchy.partitions]
    partitions = [
        {
            **row,
            "covered_share": row["covered"] / row["total"],
            "uncovered": row["total"] - row["covered"],
            "levels": level,
            "largest_count": int(part.counts.max()),
        }
        for row, level, part in zip(
            hierarchy.coverage_of(rows_NP).to_pylist(), levels, hierarchy.partitions, strict=True
        )
    ]
    notes = metadata_notes(rows)
    coverage = {
        "coordinates": _shown(coordinates.rsplit("/", 1)[-1].partition("?")[0]),  # what follows may be a secret
        "rows": rows.num_rows,
        "passed_over": {"blank": notes.blank, "repeated_headers": notes.repeated_headers, "summary": notes.summary},
        "used": int(usable.sum()),
        "unusable": {
            "count": unusable.num_rows,
            "reasons": counted,
            "first": unusable.slice(0, SHOWN_ROWS).to_pylist(),
            "all": UNUSABLE_FILE if unusable.num_rows else None,
        },
        "semantics": config.semantics,
        "coordinate": config.coordinate,
        "fingerprint": hierarchy.fingerprint(),
        "partitions": partitions,
    }
    return PartitionedFile(hierarchy, coverage, unusable)


def cells_table(hierarchy: Hierarchy) -> pa.Table:
    """Columns partition, token, level, count, lat_deg, lon_deg, parent_token, ordered by partition and S2 id."""
    geocells = hierarchy.to_table()
    number, token = geocells["partition"].combine_chunks(), geocells["token"].combine_chunks()
    # Row of the parent in the whole table: where its partition begins, plus its row there; null in the coarsest.
    starts = np.cumsum([0, *(len(part) for part in hierarchy.partitions)])
    before = pa.array(starts[np.maximum(number.to_numpy() - 1, 0)], pa.int64())
    parent = pc.add(before, geocells["parent_cell"].combine_chunks().cast(pa.int64()))
    columns = ["partition", "token", "level", "count", "lat_deg", "lon_deg"]
    return geocells.select(columns).append_column("parent_token", token.take(parent))


def write_geojson(cells: pa.Table, path: Path) -> None:
    """Write the cells of `cells_table` as a GeoJSON FeatureCollection (RFC 7946), one feature a line.

    Properties: partition, token, level, count, and lat_deg, lon_deg, the coordinate that the cell predicts.
    """
    rows = cells.drop_columns(["parent_token"]).to_pylist()
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, cell in enumerate(ids_from_tokens(cells["token"].to_pylist()).tolist()):
            feature = cell_feature(cell, rows[number])
            file.write(("," if number else "") + "\n" + json.dumps(feature, allow_nan=False))
        file.write("\n]}\n")


def write_partition(found: PartitionedFile, out: Path, geojson: bool = False) -> list[str]:
    """Write cells.parquet, cells.csv, cells.png, coverage.json and, where there are any, unusable.csv into a folder.

    `geojson` adds cells.geojson.

    Everything is written beside its place and renamed, coverage.json last: while it is there, all belongs together.
    Other files of the folder stay. Returns the names written.
    """
    out.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".writing-", dir=out))
    try:
        cells = cells_table(found.hierarchy)
        pq.write_table(cells, beside / "cells.parquet")
        pyarrow.csv.write_csv(cells, beside / "cells.csv")
        (beside / "cells.png").write_bytes(partition_map(found.hierarchy, found.coverage["used"]))
        if geojson:
            write_geojson(cells, beside / GEOJSON_FILE)
        if found.unusable.num_rows:
            pyarrow.csv.write_csv(found.unusable, beside / UNUSABLE_FILE)
        text = json.dumps(found.coverage, indent=1, ensure_ascii=False, allow_nan=False)
        (beside / COVERAGE_FILE).write_text(text + "\n", encoding="utf-8")
        names = sorted((path.name for path in beside.iterdir()), key=lambda name: (name == COVERAGE_FILE, name))
        for name in (COVERAGE_FILE, UNUSABLE_FILE, GEOJSON_FILE):
            (out / name).unlink(missing_ok=True)
        for name in names:
            (beside / name).replace(out / name)
    finally:
        shutil.rmtree(beside)
    return names


def coverage_table(coverage: dict[str, Any]) -> Table:
    """The partitions for a terminal."""
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("partition", "tau_max", "cells", "levels", "covered", "dropped", "unsplittable"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in coverage["partitions"]:
        levels = row["levels"]
        shown.add_row(
            str(row["partition"]),
            f"{row['tau_max']:,}",
            f"{row['cells']:,}",
            f"{levels['min']} to {levels['max']}" if levels["min"] != levels["max"] else str(levels["min"]),
            share_text(row["covered"], row["total"]),
            f"{row['dropped_cells']:,}",
            f"{row['unsplittable_cells']:,}",
        )
    return shown


def unusable_lines(coverage: dict[str, Any]) -> list[str]:
    """What became of the rows of the file, for a terminal."""
    lines = [f"{coverage['rows']:,} rows of {coverage['coordinates']}, {coverage['used']:,} coordinates used"]
    count, reasons = coverage["unusable"]["count"], coverage["unusable"]["reasons"]
    if count:
        words = ", ".join(f"{number:,}: {MEANINGS[word]}" for word, number in reasons.items())
        lines.append(f"{count:,} left out, listed in {UNUSABLE_FILE} ({words})")
    passed = [f"{number:,} {word.replace('_', ' ')}" for word, number in coverage["passed_over"].items() if number]
    if passed:
        lines.append(f"passed over, being no data: {', '.join(passed)}")
    return lines


def _shown(name: str) -> str:
    """A file's name as text, where it is not UTF-8 with a mark in the place of its odd bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column as float64 (N,), NaN for null."""
    return pc.fill_null(column, float("nan")).to_numpy()


def _unusable(rows: pa.Table, codes: np.ndarray) -> pa.Table:
    """The rows that cannot be used, with their line in the file and the reason."""
    wrong = np.flatnonzero(codes)
    kept = rows.take(pa.array(wrong))
    words = pa.array([PROBLEMS[code - 1] for code in codes[wrong].tolist()], pa.string())
    places = {name: _finite(kept.column(name)) for name in ("lat_deg", "lon_deg")}
    return pa.table({"line": kept.column("line"), **places, "reason": words, "detail": kept.column("detail")})


def _finite(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null in place of what JSON cannot say."""
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
