import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.methods.densest_cell import DensestCell
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.methods.router import router_inputs, top_references
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.partitions import shards_of, variant_and_shard
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.sources import files_spec

BASELINES = ["lknn", "planet_net", "cplanet", "isns", "translocator", "geodecoder", "geoclip", "pigeon"]
EXPECTED = [
    "densest_cell",
    *(f"{name}{ending}" for name in BASELINES for ending in ("", "_without_idea")),
    "geosurge",
    "retrieval",
    "generation",
    "router",
    "router_coordinates_only",
    "router_image_only",
]


def lineage_of(methods=METHODS, registry=BENCHMARKS, **changes):
    return bind(ASSETS, replace(sample(0), **changes), methods, registry)


def graph_of(lineage):
    made = code_location(lineage, Home(Path("nowhere")), InProcessCompute(lineage.profile.compute))
    return made.resolve_asset_graph()


def test_the_registry_names_every_method_once():
    assert list(METHODS) == EXPECTED
    own = [method.asset for method in METHODS.values() if method.baseline is None]
    assert len(set(own)) == len(own), "baselines are partitions of one asset"
    assert {method.asset for method in METHODS.values()} - set(own) == {"baseline_predictions"}
    assert METHODS["router"].asset == "routed_predictions"


def test_entries_are_torch_free():
    probe = "import sys, geo_pipeline.methods.registry; print('torch' in sys.modules, 'dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_what_a_method_declares_is_an_asset(method):
    asset = lineage_of().assets[method.asset]
    (key, *_) = [key for key in asset.keys if "/" not in key or variant_and_shard(key)[0] == method.name]
    assert {read.asset for read in asset.inputs(key)} == set(method.upstream)


def test_a_new_method_and_a_new_benchmark_appear_by_registering_them():
    """One entry each: the asset, the check, the score and the weekly job follow."""
    fake = replace(METHODS["densest_cell"], name="fake", title="Fake", asset="fake_predictions")
    benchmark = Benchmark("fake_set", "Fake set", 7)
    made = lineage_of({**METHODS, "fake": fake}, {**BENCHMARKS, "fake_set": benchmark}, benchmarks=("fake_set",))
    assets = made.assets
    assert assets["fake_predictions"].keys == ("router_queries", "fake_set")
    assert assets["fake_predictions"].declared.weekly
    assert "fake_predictions" in made.parents(assets["benchmark_scores"])
    assert assets["benchmark_scores"].keys == ("fake_set",)
    assert "fake_predictions" in {key.to_user_string() for key in graph_of(made).get_all_asset_keys()}
    assert lineage_of().assets["benchmark_scores"].code_version != assets["benchmark_scores"].code_version


def test_a_plain_run_has_the_named_baselines_and_the_others_are_made_when_asked_for():
    few, all_of_them = (lineage_of(everyday_baselines=names) for names in (("isns",), tuple(BASELINES)))
    trained, answered = "baseline_checkpoints", "baseline_predictions"
    assert few.assets[trained].everyday == ("isns", "isns_without_idea")
    assert {variant_and_shard(key)[0] for key in few.assets[answered].everyday} == {"isns", "isns_without_idea"}
    assert few.assets[trained].keys == all_of_them.assets[trained].keys == all_of_them.assets[trained].everyday
    assert all_of_them.assets[answered].everyday == few.assets[answered].keys
    assert list(few.assets) == list(all_of_them.assets)
    for lineage in (few, all_of_them):  # what a plain run makes never waits for what it passes over
        for name in lineage.everyday:
            for key in lineage.assets[name].everyday:
                for read in lineage.assets[name].inputs(key):
                    assert read.key in lineage.assets[read.asset].everyday
    scored = {read.key for read in few.assets["benchmark_scores"].inputs("planet_mixed") if read.asset == answered}
    compared = {read.key for read in few.assets["comparison_scores"].inputs("planet_mixed") if read.asset == answered}
    assert scored == {"isns/planet_mixed", "isns_without_idea/planet_mixed"}
    assert compared == {key for key in few.assets[answered].keys if key.endswith("/planet_mixed")} - scored


def test_query_sets_of_several_shards_are_predicted_by_shard_and_scored_whole():
    lineage = lineage_of(query_shards=(("router_queries", 2), ("planet_mixed", 3)))
    parts = tuple(f"planet_mixed-00{number}" for number in range(3))
    queries = ("router_queries-000", "router_queries-001")
    assets = lineage.assets
    assert assets["geosurge_predictions"].keys == (*queries, *parts, "planet_remote", "planet_cities")
    assert assets["routed_predictions"].keys == (*parts, "planet_remote", "planet_cities")
    assert assets["benchmark_scores"].keys == ("planet_mixed", "planet_remote", "planet_cities")
    assert lineage.parents(assets["benchmark_scores"])["router_image_only_predictions"]["planet_mixed"] == set(parts)
    assert lineage.parents(assets["georouting_table"])["retrieval_predictions"]["all"] == set(queries)
    assert set(queries) <= lineage.parents(assets["router_checkpoint"])["images"]["all"]
    for name, variant in (("geosurge_ablation_predictions", "depth_1"), ("baseline_predictions", "lknn")):
        assert [key for key in assets[name].keys if key.startswith(f"{variant}/")] == [
            f"{variant}/{part}" for part in (*parts, "planet_remote", "planet_cities")
        ]
    assert [lineage.benchmark_of(key) for key in (*parts, *queries, "reference-000")] == [
        *["planet_mixed"] * 3, None, None, None
    ]  # fmt: skip
    graph_of(lineage_of(query_shards=(("planet_mixed", 3),)))


def test_the_papers_query_sets_are_no_larger_shards_than_a_few_thousand_photographs():
    shards = shards_of(paper(files_spec("mp16.tar", "mp16.csv")))
    assert len(shards.of("router_queries")) == 32
    assert len(shards.of("yfcc26k")) == 8
    assert [len(shards.of(name)) for name in ("im2gps", "im2gps3k", "yfcc4k")] == [1, 1, 1]


def test_a_baseline_without_a_configuration_is_one_clear_message():
    with pytest.raises(ProfileError, match="found no configuration of the baseline lknn in profile sample"):
        graph_of(lineage_of(baselines=()))


def test_the_densest_cell_is_of_the_finest_partition():
    rows = [
        {"partition": 0, "cell": 0, "token": "1", "level": 1, "count": 9, "lat_deg": 0.0, "lon_deg": 0.0},
        {"partition": 1, "cell": 0, "token": "11", "level": 2, "count": 2, "lat_deg": 10.0, "lon_deg": 20.0},
        {"partition": 1, "cell": 1, "token": "13", "level": 2, "count": 6, "lat_deg": 30.0, "lon_deg": 40.0},
    ]
    geocells = pa.Table.from_pylist(rows, schema=load("geocells").arrow_schema)
    answers = DensestCell(geocells)(pa.table({"image_id": ["p", "q"]}))
    assert load("predictions").problems(answers) == []
    assert answers.select(["image_id", "lat_deg", "lon_deg", "score"]).to_pylist() == [
        {"image_id": name, "lat_deg": 30.0, "lon_deg": 40.0, "score": 0.75} for name in ("p", "q")
    ]


def test_the_router_is_given_what_belongs_to_each_query_whatever_the_order():
    schema = load("predictions").arrow_schema
    found = [
        {"image_id": "b", "method": "retrieval", "lat_deg": 2.0, "lon_deg": 3.0, "candidate_ids": ["r2", "r1"],
         "candidate_lats_deg": [2.0, 1.0], "candidate_lons_deg": [3.0, 1.0]},
        {"image_id": "a", "method": "retrieval", "failure": "no_candidate"},
    ]  # fmt: skip
    said = [
        {"image_id": "a", "method": "generation", "lat_deg": 5.0, "lon_deg": 6.0},
        {"image_id": "b", "method": "generation", "failure": "no_coordinate"},
    ]
    retrieval, generation = (pa.Table.from_pylist(rows, schema=schema) for rows in (found, said))
    images = pa.table({"image_id": ["b", "a"], "jpeg": [b"B", b"A"]})
    assert top_references(retrieval) == ["r2"]
    asked = router_inputs(images, retrieval, generation, pa.table({"image_id": ["r2"], "jpeg": [b"R2"]})).to_pylist()
    assert [(row["image_id"], row["jpeg"], row["top1_jpeg"]) for row in asked] == [
        ("a", b"A", None),
        ("b", b"B", b"R2"),
    ]
    assert (asked[0]["generation_lat_deg"], asked[0]["retrieval_failure"]) == (5.0, "no_candidate")
    assert (asked[1]["generation_lat_deg"], asked[1]["candidate_lats_deg"]) == (None, [2.0, 1.0])
    with pytest.raises(ValueError, match="to 1 of 2 queries"):
        router_inputs(images, retrieval, generation.slice(0, 1), pa.table({"image_id": ["r2"], "jpeg": [b"R2"]}))
