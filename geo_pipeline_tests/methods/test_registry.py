import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.compute import InProcessCompute
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.methods.densest_cell import DensestCell
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.methods.router import router_inputs, top_references
from geo_pipeline.orchestration.assembly import assemble
from geo_pipeline.orchestration.shards import shards_of
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


def assembled(methods=None, registry=None, **changes):
    profile = replace(sample(0), **changes)
    return assemble(profile, Home(Path("nowhere")), InProcessCompute(profile.compute), methods, registry)


def test_the_registry_names_every_method_once():
    assert list(METHODS) == EXPECTED
    assert len({method.asset for method in METHODS.values()}) == len(METHODS)
    assert METHODS["router"].asset == "routed_predictions"


def test_entries_are_torch_free():
    probe = "import sys, geo_pipeline.methods.registry; print('torch' in sys.modules, 'dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_what_a_method_declares_is_an_asset(method):
    stages = assembled().lineage.stages
    parents = assembled().lineage.parents(stages[method.asset])
    assert set(parents) == set(method.upstream)


def test_a_new_method_and_a_new_benchmark_appear_by_registering_them():
    """One entry each: the asset, the check, the score and the schedule's job follow."""
    fake = replace(METHODS["densest_cell"], name="fake", title="Fake", asset="fake_predictions")
    benchmark = Benchmark("fake_set", "Fake set", 7)
    made = assembled({**METHODS, "fake": fake}, {**BENCHMARKS, "fake_set": benchmark}, benchmarks=("fake_set",))
    stages = made.lineage.stages
    assert stages["fake_predictions"].keys == ("router_queries", "fake_set")
    assert "fake_predictions" in made.lineage.parents(stages["benchmark_scores"])
    assert "fake_predictions" in made.lineage.parents(stages["benchmark_report"])
    assert stages["benchmark_scores"].keys == ("fake_set",)
    assert "fake_predictions" in {
        key.to_user_string() for key in made.definitions.resolve_asset_graph().get_all_asset_keys()
    }
    assert assembled().lineage.stages["benchmark_scores"].code_version != stages["benchmark_scores"].code_version


def test_a_plain_run_has_the_named_baselines_and_the_others_are_made_on_demand():
    few, all_of_them = (assembled(everyday_baselines=names).lineage for names in (("isns",), tuple(BASELINES)))
    assert {name for name in few.everyday if few.stages[name].group == "baselines"} == {
        f"isns{ending}_{what}" for ending in ("", "_without_idea") for what in ("checkpoint", "predictions")
    }
    assert list(few.stages) == list(all_of_them.stages)
    assert set(all_of_them.everyday) - set(few.everyday) == {
        f"{name}{ending}_{what}"
        for name in BASELINES if name != "isns"
        for ending in ("", "_without_idea")
        for what in ("checkpoint", "predictions")
    }  # fmt: skip
    for lineage in (few, all_of_them):  # what a plain run makes never waits for what it passes over
        for name in lineage.everyday:
            assert set(lineage.parents(lineage.stages[name])) <= set(lineage.everyday)
    assert "isns_predictions" in few.parents(few.stages["benchmark_scores"])
    assert "planet_net_predictions" in few.parents(few.stages["comparison_scores"])


def test_query_sets_of_several_shards_are_predicted_by_shard_and_scored_whole():
    lineage = assembled(query_shards=(("router_queries", 2), ("planet_mixed", 3))).lineage
    parts = tuple(f"planet_mixed-00{number}" for number in range(3))
    queries = ("router_queries-000", "router_queries-001")
    stages = lineage.stages
    assert stages["geosurge_predictions"].keys == (*queries, *parts, "planet_remote", "planet_cities")
    assert stages["routed_predictions"].keys == (*parts, "planet_remote", "planet_cities")
    assert stages["benchmark_scores"].keys == ("planet_mixed", "planet_remote", "planet_cities")
    assert lineage.parents(stages["benchmark_scores"])["router_image_only_predictions"]["planet_mixed"] == set(parts)
    assert lineage.parents(stages["georouting_table"])["retrieval_predictions"]["all"] == set(queries)
    assert set(queries) <= lineage.parents(stages["router_checkpoint"])["images"]["all"]
    assert {key for key in stages["geosurge_ablation_predictions"].keys if key.startswith("depth_1")} == {
        f"depth_1/{part}" for part in (*parts, "planet_remote", "planet_cities")
    }
    assert [lineage.benchmark_of(key) for key in (*parts, *queries, "reference-000")] == [
        *["planet_mixed"] * 3, None, None, None
    ]  # fmt: skip
    assembled(query_shards=(("planet_mixed", 3),)).definitions.resolve_asset_graph()


def test_the_papers_query_sets_are_no_larger_shards_than_a_few_thousand_photographs():
    shards = shards_of(paper(files_spec("mp16.tar", "mp16.csv")))
    assert len(shards.of("router_queries")) == 32
    assert len(shards.of("yfcc26k")) == 8
    assert [len(shards.of(name)) for name in ("im2gps", "im2gps3k", "yfcc4k")] == [1, 1, 1]


def test_a_baseline_without_a_configuration_is_one_clear_message():
    with pytest.raises(ProfileError, match="found no configuration of the baseline lknn in profile sample"):
        assembled(baselines=())


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
