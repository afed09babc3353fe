"""Examples of a report are read from the shards' files: only what is shown, each beside its reference image."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.earth.partition import PartitionConfig, build_and_assign
from geo_pipeline.scoring.example_photographs import ShardFiles, report_examples
from geo_pipeline.scoring.judged import judge

REFERENCES = {"r0": (10.0, 20.0), "r1": (10.1, 20.1), "r2": (-40.0, 100.0)}
QUERIES = {"q0": (10.2, 20.0), "q1": (-41.0, 101.0), "q2": (50.0, -100.0)}
ANSWERS = {"q0": (10.2, 20.01), "q1": (0.0, 1.0)}


def shard(folder, key, ids):
    files = ShardFiles(folder / f"images-{key}.parquet", folder / f"segmentations-{key}.parquet")
    places = REFERENCES | QUERIES
    images = {
        "image_id": ids,
        "jpeg": [f"jpeg of {each}".encode() for each in ids],
        "credit": [None] * len(ids),
        "lat_deg": [places[each][0] for each in ids],
        "lon_deg": [places[each][1] for each in ids],
    }
    pq.write_table(pa.table(images), files.images)
    maps = {"image_id": ids[::-1], "class_map_png": [f"map of {each}".encode() for each in ids[::-1]]}
    pq.write_table(pa.table(maps), files.segmentations)
    return files


@pytest.fixture
def hierarchy() -> Hierarchy:
    lat, lon = (np.array(column) for column in zip(*REFERENCES.values(), strict=True))
    return build_and_assign(lat, lon, PartitionConfig(tau_min=1, tau_max=(2,)))[0]


@pytest.fixture
def judged() -> pl.DataFrame:
    rows = [
        {"image_id": name, "method": "geosurge", "lat_deg": lat, "lon_deg": lon, "score": -1.5}
        for name, (lat, lon) in ANSWERS.items()
    ]
    truth = {
        "image_id": list(QUERIES),
        "author": ["a", "b", "c"],
        "lat_deg": [lat for lat, _ in QUERIES.values()],
        "lon_deg": [lon for _, lon in QUERIES.values()],
    }
    predictions = pa.Table.from_pylist(rows, load("predictions").arrow_schema)
    return pl.DataFrame(judge("small", predictions, pa.table(truth), ["geosurge"]))


def test_every_example_has_its_own_photographs_wherever_they_lie(tmp_path, hierarchy, judged):
    references = [shard(tmp_path, "one", ["r0"]), shard(tmp_path, "two", ["r1", "r2"])]
    queries = {"small": [shard(tmp_path, "three", ["q1"]), shard(tmp_path, "four", ["q0", "q2"])]}
    near, far = report_examples(judged, hierarchy, references, queries)
    assert (near.success, near.query.image_id, near.query.jpeg) == (True, "q0", b"jpeg of q0")
    assert (far.success, far.query.image_id, far.query.class_map_png) == (False, "q1", b"map of q1")
    assert (near.reference.image_id, near.reference.jpeg) == ("r1", b"jpeg of r1")
    assert (far.reference.image_id, far.reference.class_map_png) == ("r2", b"map of r2")
    assert (far.score, far.lat_deg, far.truth_lat_deg) == (-1.5, 0.0, -41.0)


def test_without_reference_images_there_are_no_examples(tmp_path, hierarchy, judged):
    none = [shard(tmp_path, "none", [])]
    assert report_examples(judged, hierarchy, none, {"small": [shard(tmp_path, "all", list(QUERIES))]}) == ()
