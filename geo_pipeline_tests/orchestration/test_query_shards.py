"""Query sets of several shards: what reads a query set reads all of it, and it counts as a whole."""

from dataclasses import replace

import pyarrow as pa
import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.checks import CheckFailedError, refuse_failed
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.work import Work
from geo_pipeline.profiles.sample import sample

PARTS = {"planet_mixed-000": 3, "planet_mixed-001": 2, "router_queries-000": 4, "router_queries-001": 1}


@pytest.fixture(scope="module")
def lineage():
    profile = replace(
        sample(0), benchmarks=("planet_mixed",), query_shards=(("planet_mixed", 2), ("router_queries", 2))
    )
    benchmarks = {"planet_mixed": replace(BENCHMARKS["planet_mixed"], expected_count=5)}
    few = {name: METHODS[name] for name in ("geosurge", "retrieval", "generation")}
    return bind(ASSETS, profile, few, benchmarks)


def rows_of(name, rows):
    schema = load(name).arrow_schema
    return pa.Table.from_pylist([{key: row.get(key) for key in schema.names} for row in rows], schema=schema)


@pytest.fixture
def home(tmp_path):
    """Each photograph lies on the equator at its number in degrees; generation is right on the even ones alone."""
    home, number = Home(tmp_path), 0
    for key, count in PARTS.items():
        name = key.rpartition("-")[0]
        listed = []
        for _ in range(count):
            number += 1
            place = {"lat_deg": 0.0 + number / 100, "lon_deg": float(number)}
            listed.append({"image_id": f"{number:016x}", "set_name": name, "shard": key, **place})
        catalogue = [
            {**row, "locator": row["image_id"], "place_token": "478b5c", "stamp": "s", "author": None} for row in listed
        ]
        home.write_table("catalogue", key, rows_of("catalogue", catalogue), "f")
        jpeg = b"\xff\xd8\xff\xe0 no picture \xff\xd9"
        images = [
            {**row, "jpeg": jpeg, "width": 1, "height": 1, "sha256": "0" * 64, "phash": 0, "locator": "x"}
            for row in listed
        ]
        home.write_table("images", key, rows_of("images", images), "f")
        for method in ("geosurge", "retrieval", "generation"):
            right = method != "generation" or number % 2 == 0
            said = [
                {**row, "method": method, "lon_deg": row["lon_deg"] if right else -row["lon_deg"]} for row in listed
            ]
            home.write_table("predictions", f"{method}/{key}", rows_of("predictions", said), "f")
    return home


def make(lineage, home, name):
    asset = lineage.assets[name]
    asset.make(Work(asset, asset.keys, home, InProcessCompute(lineage.profile.compute), dict.fromkeys(asset.keys, "f")))


def test_scores_count_the_photographs_of_all_shards(lineage, home):
    make(lineage, home, "benchmark_scores")
    scores = home.read_table("scores", "planet_mixed").to_pylist()
    assert lineage.assets["benchmark_scores"].keys == ("planet_mixed",)
    assert {row["count"] for row in scores} == {5}
    assert {row["accuracy"] for row in scores if row["method"] == "geosurge"} == {1.0}


def test_the_routing_table_holds_the_queries_of_all_shards(lineage, home):
    make(lineage, home, "georouting_table")
    assert home.read_table("georouting", "all").num_rows == 5


def test_the_number_of_photographs_is_that_of_all_shards_once_all_are_there(lineage, home):
    catalogue = lineage.assets["catalogue"]
    refuse_failed(lineage, catalogue, home)
    home.write_table("catalogue", "planet_mixed-001", load("catalogue").empty(), "g")
    with pytest.raises(CheckFailedError, match=r"planet_mixed: found 3 photographs, expected 5 by the benchmark's"):
        refuse_failed(lineage, catalogue, home)
    home.location(catalogue.outputs("planet_mixed-001")[0]).unlink()
    refuse_failed(lineage, catalogue, home)
