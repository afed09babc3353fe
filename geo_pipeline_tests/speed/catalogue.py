"""Seconds and memory of the catalogue of as many photographs as MP-16 has, from an invented listing.

`python -m geo_pipeline_tests.speed.catalogue [--quick] [--save]` prints Markdown. Each line has a process of its own.
The listing is invented batch by batch and resembles MP-16 in tar shards: ids that are paths, authors by a power law,
city-level coordinates that repeat, one photograph in eight missing, one in a thousand twice.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from geo_pipeline.home.home import Home
from geo_pipeline.imagery.catalogue import build_catalogue
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.imagery.source import LISTING, LISTING_ROWS
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.orchestration.partitions import REFERENCE_PER_QUERY_SHARD
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save

MP16_ROWS = 4_723_695
QUICK_ROWS = 200_000
SHARDS = 1024
BYTES_PER_IMAGE = 80_000


class InventedSource:
    """A listing of `rows` photographs; `loose` ones are files of their own, else they lie in tar shards."""

    def __init__(self, rows: int, loose: bool) -> None:
        self.rows = rows
        self.loose = loose
        self._cities = np.random.default_rng(1).uniform((-60, -180), (70, 180), (40_000, 2))

    def fingerprint(self):
        return "invented"

    def listing(self):
        """Batches of LISTING."""
        for start in range(0, self.rows, LISTING_ROWS):
            yield self._batch(np.arange(start, min(start + LISTING_ROWS, self.rows)))

    def _batch(self, rows):
        rng = np.random.default_rng(rows[0] + 7)
        count = len(rows)
        numbers = np.where(rng.random(count) < 0.001, rows - rows % 64, rows) + 4_000_000_000
        names = [f"{number % 256:02x}/{number // 256 % 256:02x}/{number}.jpg" for number in numbers.tolist()]
        where = self._cities[(len(self._cities) * rng.random(count) ** 3).astype(int)]
        exact = rng.random(count) < 0.6
        where = where + np.where(exact[:, None], rng.normal(0, 0.2, (count, 2)), 0)
        authors = (200_000 * rng.random(count) ** 3).astype(int)
        columns = {
            "image_id": names,
            "locator": names,
            "author": [f"{author:08x}@N{author % 100:02d}" for author in authors.tolist()],
            "lat_deg": np.clip(where[:, 0], -89, 89),
            "lon_deg": (where[:, 1] + 180) % 360 - 180,
            "detail": [""] * count,
            "problem": pa.array(np.full(count, "missing_file"), pa.string(), mask=rng.random(count) >= 0.125),
            "stamp": [f"{number:016x}" for number in numbers.tolist()],
        }
        if not self.loose:
            offsets = (rows * BYTES_PER_IMAGE).tolist()
            columns["locator"] = [
                f"mp-16-images-{offset // 20_000_000_000:02d}.tar!{name}@{offset % 20_000_000_000}+{BYTES_PER_IMAGE}"
                for name, offset in zip(names, offsets, strict=True)
            ]
            columns["block"] = [f"mp-16-images-{o // 20_000_000_000:02d}.tar#{o >> 23}" for o in offsets]
        arrays = [
            columns[field.name] if isinstance(columns.get(field.name), pa.Array)
            else pa.array(columns[field.name], field.type) if field.name in columns
            else pa.nulls(count, field.type)
            for field in LISTING
        ]  # fmt: skip
        return pa.RecordBatch.from_arrays(arrays, schema=LISTING)


def measured(rows, loose):
    """Seconds of each part, and the peak memory of this process in MiB."""
    source = InventedSource(rows, loose)
    plan = ShardPlan(SHARDS, ("router_queries",), (SHARDS // REFERENCE_PER_QUERY_SHARD,))
    started = time.perf_counter()
    invented = sum(batch.num_rows for batch in source.listing())
    inventing = time.perf_counter() - started
    resident = peak_mib()
    started = time.perf_counter()
    catalogue = build_catalogue(source, SplitConfig(), plan)
    building = time.perf_counter() - started - inventing
    started = time.perf_counter()
    tables = [(catalogue.kept(key).num_rows, catalogue.refused(key).num_rows) for key in plan.keys]
    cutting = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        home, few = Home(Path(folder)), plan.keys[:: len(plan.keys) // 32]
        started = time.perf_counter()
        for key in few:
            home.write_table("catalogue", key, catalogue.kept(key), "f")
            home.write_table("quarantine", f"catalogue/{key}", catalogue.refused(key), "f")
        writing = (time.perf_counter() - started) * len(plan.keys) / len(few)
        stored = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet")) * len(plan.keys) / len(few)
    return {
        "rows": invented,
        "kept": catalogue.rows,
        "rejected": catalogue.rejected,
        "largest_shard": max(kept for kept, _ in tables[:-1]),
        "smallest_shard": min(kept for kept, _ in tables[:-1]),
        "sets": {row["values"]: row["counts"] for row in catalogue.sets.value_counts().to_pylist()},
        "seconds_listing_invented": inventing,
        "seconds_building": building,
        "seconds_tables_of_all_shards": cutting,
        "seconds_written_all_shards": writing,
        "bytes_written": stored,
        "peak_mib": peak_mib(),
        "peak_mib_before": resident,
    }


def markdown(figures):
    """The figures for a reader."""
    lines = [
        "# The catalogue of MP-16's size",
        "",
        f"An invented listing in {SHARDS} reference shards; each line in a process of its own. Tables written: "
        "those of all shards through their contracts, from 32 of them.",
        "",
        "| photographs | kept | rejected | shard sizes | split and shards | tables cut | tables written | all | peak |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, found in figures.items():
        whole = found["seconds_building"] + found["seconds_written_all_shards"]
        lines.append(
            f"| {found['rows']:,} {name.replace('_', ' ')} | {found['kept']:,} | {found['rejected']:,} | "
            f"{found['smallest_shard']:,} to {found['largest_shard']:,} | {found['seconds_building']:.1f} s | "
            f"{found['seconds_tables_of_all_shards']:.1f} s | {found['seconds_written_all_shards']:.1f} s | "
            f"{whole:.0f} s | {found['peak_mib'] / 1024:.2f} GiB |"
        )
    return "\n".join(lines)


def main():
    """Measure, print, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} photographs")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/catalogue.{json,md}")
    parser.add_argument("--one", nargs=2, metavar=("ROWS", "KIND"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        sys.stdout.write(json.dumps(measured(int(chosen.one[0]), chosen.one[1] == "loose_files")) + "\n")
        return
    rows = str(QUICK_ROWS if chosen.quick else MP16_ROWS)
    kinds = ("in_tar_shards", "loose_files")
    figures = {kind: fresh_process("geo_pipeline_tests.speed.catalogue", "--one", rows, kind) for kind in kinds}
    text = markdown(figures)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("catalogue", figures, text)


if __name__ == "__main__":
    main()
