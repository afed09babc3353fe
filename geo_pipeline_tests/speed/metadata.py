"""Speed of reading metadata and joining it: `python -m geo_pipeline_tests.speed.metadata [--quick] [--save]`.

A CSV of MP-16's size and columns is read and joined with as many files, in a process of its own; beside it, in the same
run, csv.DictReader reads a part of the same file row by row. Prints Markdown; nothing here is a test.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from geo_pipeline.imagery.metadata.join import ENTRIES, joined
from geo_pipeline.imagery.metadata.read import read_metadata
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save, seconds

MP16_ROWS = 4_723_695
QUICK_ROWS = 200_000
PART_ROWS = 100_000
HEADER = "IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label,S365_Label,Prob_indoor,Prob_natural,Prob_urban\n"


def image_ids(rows: int) -> list[str]:
    """Ids as MP-16 has them, each once, in an order of their own."""
    numbers = np.random.default_rng(0).permutation(rows) + 10**9
    return [f"{number % 256:02x}/{number // 256 % 256:02x}/{number}.jpg" for number in numbers.tolist()]


def write_csv(path: Path, rows: int) -> None:
    """A file with the columns and the digits of mp16_places365.csv."""
    rng = np.random.default_rng(1)
    ids = image_ids(rows)
    with path.open("w") as file:
        file.write(HEADER)
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            lat, lon = rng.uniform(-60, 75, count).round(6).tolist(), rng.uniform(-180, 180, count).round(6).tolist()
            shares = rng.random((count, 3)).tolist()
            file.writelines(
                f"{ids[start + row]},{10**7 + (start + row) // 40}@N0{row % 8},{lat[row]},{lon[row]},1,8,150,"
                f"{shares[row][0]},{shares[row][1]},{shares[row][2]}\n"
                for row in range(count)
            )


def entries_of(rows: int) -> pa.Table:
    """As many files as rows, in order of their names."""
    names = pa.array(sorted(image_ids(rows)))
    nulls = {field.name: pa.nulls(rows, field.type) for field in ENTRIES}
    return pa.table({**nulls, "name": names, "locator": names, "stamp": names}, schema=ENTRIES)


def measured(path: Path, rows: int) -> dict[str, float]:
    """Seconds and peak MiB of reading and joining, in this process; the peak before the join's files are made."""
    small = path.with_name("small.csv")
    small.write_text(HEADER + "a.jpg,x,1,2,1,8,150,0,0,1\n")
    compiling = seconds(lambda: read_metadata(str(small)), 1)
    before = peak_mib()
    started = time.perf_counter()
    metadata = read_metadata(str(path))
    reading, peak_reading = time.perf_counter() - started, peak_mib()
    if len(metadata) != rows:
        raise RuntimeError(f"found {len(metadata)} rows, expected {rows}.")
    entries = entries_of(rows)
    started = time.perf_counter()
    listing = joined(metadata, entries)
    joining = time.perf_counter() - started
    if listing["problem"].null_count != rows:
        raise RuntimeError("found rows that were not joined.")
    return {
        "load_seconds": compiling,
        "read_seconds": reading,
        "read_peak_mib": peak_reading,
        "start_mib": before,
        "join_seconds": joining,
        "join_peak_mib": peak_mib(),
    }


def row_by_row(path: Path, rows: int) -> None:
    """The obvious alternative: a dictionary and two floats a row."""
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if number == rows:
                break
            float(row["LAT"]), float(row["LON"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small file")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/metadata.{json,md}")
    parser.add_argument("--write", nargs=2, metavar=("FILE", "ROWS"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "ROWS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write is not None:
        write_csv(Path(chosen.write[0]), int(chosen.write[1]))
        sys.stdout.write("{}\n")
        return
    if chosen.measure is not None:
        sys.stdout.write(json.dumps(measured(Path(chosen.measure[0]), int(chosen.measure[1]))) + "\n")
        return
    rows = QUICK_ROWS if chosen.quick else MP16_ROWS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mp16_places365.csv"
        fresh_process(__spec__.name, "--write", str(path), str(rows))  # a child's peak begins at its parent's
        figures: dict[str, float] = {"rows": rows, "file_mib": path.stat().st_size / 2**20}
        figures |= fresh_process(__spec__.name, "--measure", str(path), str(rows))
        part = min(rows, PART_ROWS)
        figures["dict_reader_rows_per_second"] = part / seconds(lambda: row_by_row(path, part), 2)
    figures["rows_per_second"] = rows / figures["read_seconds"]
    markdown = table_of(figures)
    sys.stdout.write(markdown)
    if chosen.save:
        save("metadata", figures, markdown)


def table_of(figures: dict[str, float]) -> str:
    """The figures for a reader."""
    ratio = figures["rows_per_second"] / figures["dict_reader_rows_per_second"]
    return "\n".join(
        [
            "# Metadata",
            "",
            f"A CSV with MP-16's columns, {figures['rows']:,} rows, {figures['file_mib']:.0f} MiB, in one process.",
            "",
            "| what | here | the obvious alternative | ratio |",
            "|---|---:|---:|---:|",
            f"| reading | {figures['read_seconds']:.2f} s, {figures['rows_per_second']:,.0f} rows/s "
            f"| csv.DictReader {figures['dict_reader_rows_per_second']:,.0f} rows/s | {ratio:.0f}x |",
            f"| most memory while reading | {figures['read_peak_mib']:.0f} MiB "
            f"(before: {figures['start_mib']:.0f} MiB) | | |",
            f"| joining with as many files | {figures['join_seconds']:.2f} s | | |",
            f"| most memory while joining | {figures['join_peak_mib']:.0f} MiB | | |",
            f"| loading the compiled parts | {figures['load_seconds']:.2f} s | | |",
            "",
        ]
    )


if __name__ == "__main__":
    main()
