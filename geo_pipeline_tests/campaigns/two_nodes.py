"""Two nodes on one machine, one of them lost in the middle: the same tables, the same training, and little traffic.

`python -m geo_pipeline_tests.campaigns.two_nodes [--short]` runs the sample's OneFormer over drawn shards and a small
GeoSURGE training of two workers, each once undisturbed and once with a node removed, and counts (with `ss`) what the
driver's processes send and receive for small and for large photographs. It prints one line of JSON per part and ends
with an error when a part does not hold. The quick parts are tests in compute/test_two_nodes.py. Several minutes.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.home import Home
from geo_pipeline_tests.compute import nodes, workers

SHARDS = tuple(f"shard-{number}" for number in range(8))
ROWS = 48
TOLERANCE = 1e-4


class BrokenPromiseError(RuntimeError):
    """A part of the campaign does not hold."""


def require(holds: bool, words: str) -> None:
    """Raise BrokenPromiseError with what was found."""
    if not holds:
        raise BrokenPromiseError(words)


def segmentation_job(home: Home, notes: Path) -> Any:
    """The sample's OneFormer over the home's photographs."""
    arguments = workers.SegmentsFor(notes)
    return workers.job_of(
        home, SHARDS, workers.NotingSegmenter, arguments, workers.images_in, "segmentations", network=True
    )


def segmentation(folder: Path) -> dict[str, Any]:
    """Byte equality of the tables in process, on two nodes, and on two nodes of which one is lost."""
    tables, counts = {}, {}
    for name in ("in process", "two nodes", "one lost"):
        notes = folder / f"notes of {name}"
        notes.mkdir()
        home = nodes.home_of_photographs(folder / name, SHARDS, ROWS)
        job, began = segmentation_job(home, notes), time.perf_counter()
        if name == "in process":
            done = dict(InProcessCompute(nodes.CONFIG).map_shards(job, SHARDS))
        else:
            with nodes.two_nodes() as (cluster, working, compute):
                results = compute.map_shards(job, SHARDS)
                done = dict(next(results) for _ in range(3))
                used = nodes.noted_nodes(notes)
                if name == "one lost":
                    cluster.remove_node(working[0], allow_graceful=False)
                done |= dict(results)
            require(used == {node.node_id for node in working}, f"found work on {len(used)} nodes, expected on both")
        counts[name] = {"shards": len(done), "seconds": round(time.perf_counter() - began, 1)}
        tables[name] = nodes.file_bytes(home, "segmentations")
    require(len(tables["in process"]) == len(SHARDS), "found a shard without a table")
    for name in ("two nodes", "one lost"):
        require(tables[name] == tables["in process"], f"found other bytes on {name} than in process")
    return {"part": "segmentation", "photographs": ROWS * len(SHARDS), "equal_bytes": True, **counts}


def training(folder: Path) -> dict[str, Any]:
    """The largest relative difference of weights between an undisturbed training and one that lost a node."""
    from geo_pipeline_tests.geosurge import tiny_geosurge

    clip = tiny_geosurge.write_clip(folder / "clip")
    trained = {
        name: trained_on_two_nodes(folder, clip, name, name == "node lost") for name in ("undisturbed", "node lost")
    }
    weights = {name: each.weights for name, each in trained.items()}
    processes = {name: each.processes for name, each in trained.items()}
    require(processes == {"undisturbed": 2, "node lost": 4}, f"found {processes} training processes, expected 2 and 4")
    largest = max(
        float(abs(weights["node lost"][tensor] - expected).max() / max(float(abs(expected).max()), 1e-12))
        for tensor, expected in weights["undisturbed"].items()
    )
    require(largest <= TOLERANCE, f"found weights that differ by {largest:.2g}, expected at most {TOLERANCE:g}")
    return {"part": "training", "processes": processes, "largest_relative_difference": largest}


@dataclass(frozen=True)
class TwoNodeTraining:
    """A training of two workers: curves, weights by name, the epochs heard of, and how many processes trained."""

    curves: pa.Table
    weights: dict[str, np.ndarray]
    epochs: list[int]
    processes: int


def trained_on_two_nodes(folder: Path, clip: Any, name: str, lose_one: bool) -> TwoNodeTraining:
    """A small GeoSURGE training on two nodes, of which one is lost after the first epoch or none."""
    from safetensors.numpy import load_file

    notes = folder / f"notes of training, {name}"
    notes.mkdir()
    kwargs = workers.tiny_training(folder, clip, notes, out_dir=folder / name, pause_s=1.0)
    epochs: list[int] = []
    with nodes.two_nodes() as (cluster, working, compute):

        def report(row: dict[str, Any]) -> None:
            epochs.append(row["epoch"])
            if lose_one and len(epochs) == 1:
                cluster.remove_node(working[0], allow_graceful=False)

        curves = compute.train(workers.train_watched, kwargs, report).curves
    weights = load_file(folder / name / "model.safetensors")
    return TwoNodeTraining(curves, weights, epochs, len(list(notes.glob("rank-*"))))


def traffic(folder: Path) -> dict[str, Any]:
    """Bytes over TCP of the driver and of its node's raylet during a job, for small and for large photographs."""
    require(shutil.which("ss") is not None, "found no `ss` (iproute2), which tells the bytes of a connection")
    found: dict[str, Any] = {"part": "traffic"}
    for name, side, quality in (("small", 64, 60), ("large", 320, 95)):
        home = nodes.home_of_photographs(folder / f"{name} photographs", SHARDS, ROWS, side, quality)
        job = workers.job_of(home, SHARDS, workers.Brightness, read=workers.images_in)
        with nodes.two_nodes() as (cluster, _, compute):
            list(compute.map_shards(job, SHARDS[:1]))
            pids = {os.getpid(), cluster.head_node.all_processes["raylet"][0].process.pid}
            before = tcp_bytes(pids)
            began = time.perf_counter()
            list(compute.map_shards(job, SHARDS))
            passed = tcp_bytes(pids) - before
            seconds = time.perf_counter() - began
        photographs = sum(len(data) for data in nodes.file_bytes(home, "images").values())
        found[name] = {"photographs_bytes": photographs, "driver_bytes": passed, "seconds": round(seconds, 1)}
    small, large = found["small"], found["large"]
    require(
        large["photographs_bytes"] >= 10 * small["photographs_bytes"], "found photographs less than 10 times larger"
    )
    spread = abs(large["driver_bytes"] - small["driver_bytes"])
    more = large["photographs_bytes"] - small["photographs_bytes"]
    require(spread < more / 10, f"found {spread} bytes more or less through the driver for {more} bytes of photographs")
    return found


def tcp_bytes(pids: set[int]) -> int:
    """Bytes sent and received so far on the open TCP connections of these processes."""
    told = subprocess.run(["ss", "-tinpH"], capture_output=True, text=True, check=True).stdout
    total = 0
    for entry in re.split(r"\n(?=\S)", told):
        if any(f"pid={pid}," in entry for pid in pids):
            total += sum(int(count) for count in re.findall(r"bytes_(?:sent|received):(\d+)", entry))
    return total


def main() -> None:
    """Run every part in a folder of its own; with --short those that take about a minute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="without the training of two workers")
    parts = [segmentation, traffic] if parser.parse_args().short else [segmentation, training, traffic]
    if shutil.which("ss") is None:
        print("no ss on this machine: what crosses the network is not counted", flush=True)  # noqa: T201
        parts.remove(traffic)
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(part(Path(folder))), flush=True)  # noqa: T201 - what the campaign is run for


if __name__ == "__main__":
    main()
