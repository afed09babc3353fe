"""Speed of the partition: `python -m geo_pipeline_tests.speed.partition --cells ISNS_CELLS.csv [--quick] [--save]`.

Coordinates drawn as MP-16's lie (see `mp16_coordinates`), cut into the paper's seven partitions, each coordinate with
its cell in each. Against s2sphere called point by point and against a search per partition, in the same run and with
equal results. Reading a file is not counted; loading or compiling the loops is measured apart.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from geo_pipeline.earth.cell_index import CellIndex, locate
from geo_pipeline.earth.cells import cell_ids
from geo_pipeline.earth.parallel import thread_count
from geo_pipeline.earth.partition import PartitionConfig, build_and_assign, build_hierarchy
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save, seconds

MODULE = "geo_pipeline_tests.speed.partition"
MP16 = 4_723_695
GROWTH = (10_000, 100_000, 1_000_000, 10_000_000)
POINT_BY_POINT = 5_000


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """The least processor time of a few runs, all threads together: steadier than the clock on a busy machine."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def measured(folder: Path, count: int, repeats: int) -> dict[str, Any]:
    """Seconds of the parts and of the whole, in this process, and its peak memory; the first call apart."""
    lat, lon = (np.load(folder / f"{name}.npy", mmap_mode="r")[:count].copy() for name in ("lat", "lon"))
    config = PartitionConfig()
    began = time.perf_counter()
    build_and_assign(lat[:1000], lon[:1000], PartitionConfig(1, (100, 10)))
    first_call = time.perf_counter() - began
    started_with = peak_mib()
    hierarchy, rows_NP = build_and_assign(lat, lon, config)
    best = seconds(lambda: build_and_assign(lat, lon, config), repeats)
    peak = peak_mib()
    leaves = cell_ids(lat, lon)
    return {
        "count": count,
        "total_s": best,
        "total_cpu_s": cpu_seconds(lambda: build_and_assign(lat, lon, config), repeats),
        "peak_mib": peak,
        "peak_before_mib": started_with,
        "first_call_s": first_call,
        "ids_s": seconds(lambda: cell_ids(lat, lon), repeats),
        "sort_s": seconds(lambda: np.sort(leaves), repeats),
        "partitions_s": seconds(lambda: build_hierarchy(lat, lon, config), repeats),
        "assign_s": seconds(lambda: hierarchy.assign(lat, lon), repeats),
        "cells": [len(partition) for partition in hierarchy.partitions],
        "covered": [float(share) for share in (rows_NP >= 0).mean(axis=0)],
        "unsplittable": [built.unsplittable_cells for built in hierarchy.built],
    }


def first_calls(folder: Path) -> dict[str, float]:
    """Seconds of the first call in a new process: when the machine code has to be made, and when it lies on disk."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        try:
            compiling = fresh_process(MODULE, "--inside", str(folder), "--count", "10000", "--repeats", "1")
            loading = fresh_process(MODULE, "--inside", str(folder), "--count", "10000", "--repeats", "1")
        finally:
            del os.environ["NUMBA_CACHE_DIR"]
    return {"compiling_s": compiling["first_call_s"], "loading_s": loading["first_call_s"]}


def point_by_point(lat: np.ndarray, lon: np.ndarray, sample: int) -> dict[str, float]:
    """Microseconds per coordinate of s2sphere (id, then parents up to the cells), and of ours on all coordinates."""
    import s2sphere

    hierarchy = build_hierarchy(lat, lon, PartitionConfig())
    rows_of = [{int(cell): row for row, cell in enumerate(p.cell_ids.tolist())} for p in hierarchy.partitions]
    chosen = np.random.default_rng(1).choice(len(lat), sample, replace=False)
    points = list(zip(lat[chosen].tolist(), lon[chosen].tolist(), strict=True))

    def literal() -> list[list[int]]:
        found = []
        for place in points:
            leaf = s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*place))
            chain = [leaf.parent(level).id() for level in range(leaf.level() + 1)]
            found.append([next((rows[cell] for cell in chain if cell in rows), -1) for rows in rows_of])
        return found

    def ids_alone() -> list[int]:
        return [s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*place)).id() for place in points]

    if not np.array_equal(np.array(literal()), hierarchy.assign(lat[chosen], lon[chosen])):
        raise RuntimeError("found cells that differ from s2sphere's; expected equal ones")
    if not np.array_equal(np.array(ids_alone(), np.uint64), cell_ids(lat[chosen], lon[chosen])):
        raise RuntimeError("found ids that differ from s2sphere's; expected equal ones")
    micro, count = 1e6, len(lat)
    return {
        "s2sphere_chain_us": micro * seconds(literal, 2) / sample,
        "s2sphere_ids_us": micro * seconds(ids_alone, 2) / sample,
        "assign_us": micro * seconds(lambda: hierarchy.assign(lat, lon)) / count,
        "ids_us": micro * seconds(lambda: cell_ids(lat, lon)) / count,
    }


def per_partition(lat: np.ndarray, lon: np.ndarray) -> dict[str, float]:
    """Seconds of finding all cells of all coordinates: a search per partition, and one for all."""
    partitions = [part.cell_ids for part in build_hierarchy(lat, lon, PartitionConfig()).partitions]
    leaves, index = cell_ids(lat, lon), CellIndex(partitions)

    def separate() -> np.ndarray:
        return np.stack([locate(cells, leaves) for cells in partitions], axis=1)

    if not np.array_equal(separate(), index.rows(index.intervals(leaves))):
        raise RuntimeError("found rows that differ between the two searches; expected equal ones")
    together = seconds(lambda: index.rows(index.intervals(leaves)))
    return {"separate_s": seconds(separate, 1), "together_s": together}


def markdown(figures: dict[str, Any]) -> str:
    """The figures for a reader."""
    main, points, search, calls = (figures[name] for name in ("mp16", "point_by_point", "search", "first_call"))
    lines = [
        "# Partition of the Earth",
        "",
        f"{main['count']:,} coordinates drawn as MP-16's lie, the paper's seven partitions, "
        f"{figures['threads']} threads, the shortest of a few runs; reading is not counted.",
        "",
        "| what | seconds |",
        "|---|---:|",
        f"| S2 ids of all coordinates | {main['ids_s']:.2f} |",
        f"| sorting them | {main['sort_s']:.2f} |",
        f"| seven partitions with 3-D means and parents, ids and sort included | {main['partitions_s']:.2f} |",
        f"| cells of every coordinate alone, ids included | {main['assign_s']:.2f} |",
        f"| **seven partitions and the cells of every coordinate** | **{main['total_s']:.2f}** |",
        "",
        f"Peak memory of the process: {main['peak_mib']:,.0f} MiB, of which {main['peak_before_mib']:,.0f} MiB are "
        "Python, its packages and the coordinates. "
        f"The very first call compiles for {calls['compiling_s']:.1f} s; later processes load the machine code in "
        f"{calls['loading_s']:.1f} s.",
        "",
        f"Cells: {', '.join(f'{cells:,}' for cells in main['cells'])}; covered: "
        f"{', '.join(f'{100 * share:.2f} %' for share in main['covered'])}; unsplittable cells: "
        f"{', '.join(map(str, main['unsplittable']))}.",
        "",
        "| per coordinate | here | the obvious alternative | ratio |",
        "|---|---:|---:|---:|",
        f"| id and its cell in seven partitions | {points['assign_us']:.3f} µs | s2sphere, point by point "
        f"{points['s2sphere_chain_us']:.0f} µs | {points['s2sphere_chain_us'] / points['assign_us']:,.0f}x |",
        f"| id alone | {points['ids_us']:.3f} µs | s2sphere, point by point {points['s2sphere_ids_us']:.0f} µs | "
        f"{points['s2sphere_ids_us'] / points['ids_us']:,.0f}x |",
        f"| cells of all ids | {search['together_s']:.2f} s | one search per partition {search['separate_s']:.2f} s | "
        f"{search['separate_s'] / search['together_s']:.1f}x |",
        "",
        "| coordinates | seconds | µs each | processor µs each | peak MiB |",
        "|---:|---:|---:|---:|---:|",
        *(
            f"| {row['count']:,} | {row['total_s']:.3f} | {1e6 * row['total_s'] / row['count']:.3f} | "
            f"{1e6 * row['total_cpu_s'] / row['count']:.3f} | "
            f"{row['peak_mib']:,.0f} |"
            for row in figures["growth"]
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print; keep with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=Path, help="ISNs' public cells, columns hex_id, imgs_per_cell, means")
    parser.add_argument("--quick", action="store_true", help="a tenth of the coordinates")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/partition.json and .md")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=5, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        sys.stdout.write(json.dumps(measured(chosen.inside, chosen.count, chosen.repeats)) + "\n")
        return
    if not chosen.cells:
        parser.error("found no --cells; expected the CSV of ISNs' cells that the coordinates are drawn from")
    from geo_pipeline_tests.speed.mp16_coordinates import mp16_like

    divisor = 10 if chosen.quick else 1
    count, growth = MP16 // divisor, [size // divisor for size in GROWTH]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lat, lon = mp16_like(chosen.cells, max(count, *growth))
        np.save(folder / "lat.npy", lat)
        np.save(folder / "lon.npy", lon)

        def inside(size: int) -> dict[str, Any]:
            return fresh_process(MODULE, "--inside", place, "--count", str(size), "--repeats", str(chosen.repeats))

        figures = {
            "threads": thread_count(),
            "mp16": inside(count),
            "first_call": first_calls(folder),
            "point_by_point": point_by_point(lat[:count], lon[:count], POINT_BY_POINT // divisor),
            "search": per_partition(lat[:count], lon[:count]),
            "growth": [inside(size) for size in growth],
        }
    text = markdown(figures)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("partition", figures, text)


if __name__ == "__main__":
    main()
