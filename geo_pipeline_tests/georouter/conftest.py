"""A small backbone and a georouting table whose right answer can be seen: bright pictures belong to generation."""

import socket

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.gathered import gather_images
from geo_pipeline.routing.table import build_georouting
from geo_pipeline_tests import small_lvlm

QUERIES = 40


@pytest.fixture(scope="session")
def small_config(tmp_path_factory):
    return small_lvlm.build(tmp_path_factory.mktemp("qwen2vl"))


@pytest.fixture(scope="session")
def router_config(small_config):
    return RouterConfig(
        lvlm=small_config,
        lr=1e-2,
        batch=8,
        micro_batch=None,
        epochs=2,
        holdout=0.2,
        checkpoint_steps=3,
        seed=5,
    )


@pytest.fixture(scope="session")
def georouting(tmp_path_factory):
    """Folder with georouting.parquet, images.parquet (40 queries by 20 authors, 2 references), and these gathered."""
    folder = tmp_path_factory.mktemp("georouting")
    rng = np.random.default_rng(0)
    ids = [f"q{number:02d}" for number in range(QUERIES)]
    lat_deg, lon_deg = rng.uniform(-60, 60, QUERIES), rng.uniform(-170, 170, QUERIES)
    truth = pa.table({"image_id": ids, "lat_deg": lat_deg, "lon_deg": lon_deg})
    near, far = np.full(QUERIES, 0.1), rng.uniform(5, 20, QUERIES)
    bright = np.arange(QUERIES) % 2 == 0
    tables = {}
    for method, off in (("retrieval", np.where(bright, far, near)), ("generation", np.where(bright, near, far))):
        rows = []
        for number, image_id in enumerate(ids):
            place = {"lat_deg": float(lat_deg[number] + off[number]), "lon_deg": float(lon_deg[number])}
            row = {"image_id": image_id, "method": method, **place}
            if method == "retrieval":
                row |= {"candidate_ids": [f"r{number % 2}", "r9"], "candidate_scores": [1.0, 0.5]}
                row |= {"candidate_lats_deg": [place["lat_deg"], 1.0], "candidate_lons_deg": [place["lon_deg"], 2.0]}
            rows.append(row)
        rows[-1] |= {"lat_deg": None, "lon_deg": None, "failure": "no_coordinate"}
        if method == "retrieval":
            rows[-1] |= {name: None for name in rows[-1] if name.startswith("candidate")}
        tables[method] = pa.Table.from_pylist(rows, schema=load("predictions").arrow_schema)
    pq.write_table(build_georouting(tables["retrieval"], tables["generation"], truth), folder / "georouting.parquet")
    images = pa.table(
        {
            "image_id": [*ids, "r0", "r1"],
            "author": [*(f"author {number // 2}" for number in range(QUERIES)), None, None],
            "lat_deg": [*lat_deg, 1.0, 1.0],
            "lon_deg": [*lon_deg, 1.0, 1.0],
            "jpeg": [
                *(small_lvlm.plain_jpeg(230 if is_bright else 20) for is_bright in bright),
                *[small_lvlm.jpeg(1)] * 2,
            ],
        }
    )
    pq.write_table(images, folder / "images.parquet")
    gather_images(folder / "georouting.parquet", [folder / "images.parquet"], folder)
    return folder


@pytest.fixture
def unused_port():
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
