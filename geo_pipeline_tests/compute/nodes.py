"""Ray clusters of several nodes on this machine, for tests and campaigns; loopback only, without tokens."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from geo_pipeline.compute.ray import SETTINGS, RayCompute
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.profiles.resources import ComputeConfig

CONFIG = ComputeConfig(actors=2, cpus=4, train_workers=2, stall_s=180)
QUICK_LOSS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 3,
}


@contextlib.contextmanager
def environment(**values):
    """Environment variables, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def two_nodes():
    """A cluster whose head does no work, its two working nodes, and a RayCompute on it: (cluster, nodes, compute)."""
    with environment(RAY_AUTH_MODE="disabled", **{name: os.environ.get(name, SETTINGS[name]) for name in SETTINGS}):
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK_LOSS}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
            with environment(RAY_ADDRESS=cluster.address), RayCompute(CONFIG) as compute:
                yield cluster, nodes, compute
        finally:
            cluster.shutdown()


def note_node(folder):
    """Called by a worker: leaves a file named after the Ray node that it runs on; none outside Ray."""
    import ray

    if ray.is_initialized():
        (Path(folder) / f"node-{ray.get_runtime_context().get_node_id()}").touch()


def noted_nodes(folder):
    """The ids of the nodes that workers noted."""
    return {path.name.removeprefix("node-") for path in Path(folder).glob("node-*")}


def home_of_photographs(folder, shards, rows, side=64, quality=90):
    """A home with `rows` photographs of noise in each of `shards`; a larger side and quality make larger files."""
    home, rng = Home(Path(folder)), np.random.default_rng(0)
    for key in shards:
        encoded = []
        for _ in range(rows):
            sink = io.BytesIO()
            pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(sink, "JPEG", quality=quality)
            encoded.append(sink.getvalue())
        count = len(encoded)
        columns = {
            "image_id": [f"{key}-{number}" for number in range(count)],
            "set_name": ["train"] * count,
            "author": [f"author {number}" for number in range(count)],
            "lat_deg": [float(number) for number in range(count)],
            "lon_deg": [number + 0.5 for number in range(count)],
            "jpeg": encoded,
            "width": [side] * count,
            "height": [side] * count,
            "sha256": [f"{number:064x}" for number in range(count)],
            "phash": list(range(count)),
            "credit": [None] * count,
            "locator": [f"{key}-{number}.jpg" for number in range(count)],
            "source_offset": [None] * count,
        }
        schema = load("images").arrow_schema
        home.write_table("images", key, pa.table({name: columns[name] for name in schema.names}, schema=schema), "f")
    return home


def file_bytes(home, table):
    """The bytes of every file of a table, by name."""
    return {path.name: path.read_bytes() for path in sorted((home.root / "tables" / table).rglob("*.parquet"))}
