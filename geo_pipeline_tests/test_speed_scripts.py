"""The scripts of speed/ run: every part at a tiny size, without any demand on how fast."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from geo_pipeline.contracts.contract import load
from geo_pipeline.geosurge.config import TrainingConfig
from geo_pipeline_tests.contracts.violations import ROWS
from geo_pipeline_tests.speed import class_maps, contracts, geosurge, networks, retrieval, tables
from geo_pipeline_tests.speed.drawn_tables import draw
from geo_pipeline_tests.speed.network_rates import Bench, photographs
from geo_pipeline_tests.speed.network_sizes import counted, multiply_adds, quick
from geo_pipeline_tests.speed.network_sizes import geosurge as small_geosurge
from geo_pipeline_tests.speed.taking_turns import shortest

CPU = torch.device("cpu")
BENCH = Bench(CPU, torch.float32, 0.0)
SIZE = quick(TrainingConfig(batch=2, micro_batch=1, max_epochs=2, decoded_budget_mib=0, prefetch=1))


@pytest.fixture(scope="module")
def record():
    return networks.measure(BENCH, SIZE, 2, backend="eager")


def test_every_part_of_the_networks_is_measured(record):
    for name in ("products", *networks.WORDS):
        if name != "oneformer_float32":
            assert "error" not in record[name], record[name]
            assert next(iter(record[name].values())) > 0
    assert 0 <= record["fed"]["wait_share"] <= 1
    text = "\n".join(networks.document({record["device"]: record}))
    for words in (networks.WORDS["training_compiled"], "hours for MP-16", "by count", "waited for images"):
        assert words in text


def test_a_part_that_fails_costs_no_other(record):
    broken = networks.measure(
        BENCH, SIZE, 2, ["oneformer", "ten", "training", "worker", "fed"], backend="no such thing"
    )
    assert "no such thing" in broken["centre_compiled"]["error"] or "Invalid" in broken["centre_compiled"]["error"]
    assert broken["centre"]["images_per_s"] > 0
    assert "failed: " in "\n".join(networks.document({"one": broken}))


def test_a_gpu_and_a_cpu_stand_side_by_side(record):
    gpu = {**record, "device": "a GPU", "kind": "cuda", "precision": "bfloat16"}
    both = networks.beside(networks.beside({}, record), gpu)
    again = networks.beside(both, {"device": "a GPU", "kind": "cuda", "centre": {"images_per_s": 7.0, "batch": 1}})
    assert again[record["device"]] == record
    assert again["a GPU"]["centre"]["images_per_s"] == 7.0
    assert again["a GPU"]["training"] == gpu["training"]
    text = "\n".join(networks.document(both))
    assert f"## {record['device']}, float32" in text
    assert "## a GPU, bfloat16" in text


def test_shares_follow_from_rates_and_multiply_adds():
    work = {"training": 4e9, "bare_training": 3e9, "inference": 2e9}
    rates = {
        "centre": {"images_per_s": 25.0},
        "training": {"images_per_s": 15.0},
        "bare_training": {"images_per_s": 20.0},
    }
    shares = networks.shares({"multiply_adds": work, "products": {"multiply_adds_per_s": 1e11}, **rates})
    assert shares == pytest.approx(
        {
            "training_of_products": 0.6,
            "bare_training_of_products": 0.6,
            "centre_of_products": 0.5,
            "training_of_bare": 0.75,
            "training_of_bare_by_count": 0.75,
        }
    )


def test_multiply_adds_are_those_that_torch_counts():
    model = small_geosurge(SIZE, CPU)
    model.train()  # in evaluation torch takes an attention of its own, which is not counted
    batch = photographs(model, 3, CPU)
    expected = multiply_adds(model)
    with torch.no_grad():
        assert counted(lambda: model.encode_image(*batch)) == 3 * expected["inference"]
    assert counted(lambda: model.encode_image(*batch).square().sum().backward()) == 3 * expected["training"]
    bare = counted(lambda: model.tower(batch[0]).square().sum().backward())
    assert bare == 3 * expected["bare_training"]


def test_networks_are_measured_without_dagster_and_ray():
    banned = "import sys; sys.modules.update(dict.fromkeys(('dagster', 'ray')))"
    done = subprocess.run(
        [sys.executable, "-c", f"{banned}; import geo_pipeline_tests.speed.networks"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", class_maps.ways())
def test_every_way_to_store_a_class_map_is_exact(name):
    rng = np.random.default_rng(3)
    way = class_maps.ways()[name]
    for classes in (1, 2, 3, 16, 17, 150):
        grid = np.sort(rng.choice(150, classes, replace=False)).astype(np.uint8)[rng.integers(0, classes, (21, 34))]
        assert np.array_equal(way.decode(way.encode(grid), grid.shape), grid)


def test_ways_to_store_a_class_map_are_compared():
    maps = [np.repeat(np.arange(30, dtype=np.uint8), 20).reshape(20, 30), np.zeros((24, 32), np.uint8)]
    measured = class_maps.compare(maps, 1)
    assert measured["raw"]["bytes"] == (20 * 30 + 24 * 32) / 2
    assert measured[class_maps.STORED]["bytes"] < measured["raw"]["bytes"]
    assert "| PNG as stored |" in "\n".join(class_maps.table("Maps", class_maps.facts(maps), measured))


def test_hierarchical_inference_is_measured_in_ways_that_agree():
    rates = geosurge.inference([3, 5, 9], 4, 1)
    assert {"as_written_per_s", "all_parts_per_s", "finest_per_s", "product_per_s"} <= set(rates)
    assert min(rates.values()) > 0
    assert "| nine |" in "\n".join(geosurge.inference_lines({"nine": rates}))


def test_retrieval_is_measured_in_ways_that_name_the_same_candidates():
    ours, plain = (retrieval.one(kind, 500, 3, rounds=1, photographs=2000) for kind in ("ours", "plain"))
    assert ours["named"] == plain["named"]
    assert np.shape(ours["named"]) == (3, 10)


def test_tables_of_a_home_and_larger_ones_are_held_to_their_contracts(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "measured"
    folder.mkdir()
    for name in contracts.OF_HOME:
        (home / "tables" / name).mkdir(parents=True)
        pq.write_table(
            load(name).table(**{key: [value] for key, value in ROWS[name].items()}),
            home / "tables" / name / "one.parquet",
        )
    contracts.write_tables(home, folder, divisor=1000)
    cases = {path.name: {"here": contracts.measured(folder, path.name)} for path in folder.iterdir()}
    assert {case for case, found in cases.items() if found["here"]["problems"]} == {
        "predictions, many rows, all broken"
    }
    assert cases["predictions, many rows"]["here"]["rows"] == 50
    assert "| catalogue | 1 | 1 |" in contracts.markdown(cases, None)


def test_tables_are_measured_in_ways_that_agree(tmp_path):
    draw(tmp_path, 200, 640)
    found = {part: tables.one(part, tmp_path, "polars") for part in tables.WORDS}
    for part in tables.BY_ROWS:
        assert tables.one(part, tmp_path, "rows")["result"] == found[part]["result"]
    figures = {"queries": 200, "images": 640, "earlier": {}, "parts": {part: {"polars": found[part]} for part in found}}
    assert "| census of 640 photographs in 64 shards |" in tables.report(figures)


def test_the_shortest_run_of_each_counts():
    order = []
    best = shortest({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert order == list("abababab")
    assert 0 <= best["a"] < 1
