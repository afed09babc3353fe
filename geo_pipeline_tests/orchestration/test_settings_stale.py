"""Which assets another setting makes stale by itself; what follows from them is stale by their data versions."""

from dataclasses import replace

import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.assets.georouting import how_labelled
from geo_pipeline.orchestration.assets.report import report_context
from geo_pipeline.orchestration.assets.router import router_config
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.settings import changed, decides_bytes, read_assigned, read_config, settings_of

PROFILE = sample(0)
REPORTS = {"benchmark_report", "comparison_report"}
"""They print every setting that decides bytes."""
ROUTERS = {"router_checkpoint", "router_image_only_checkpoint", "router_coordinates_only_checkpoint"}
INFERENCE = {
    "features",
    *("geosurge_predictions", "retrieval_predictions", "baseline_predictions", "geosurge_ablation_predictions"),
}


def lineage_of(text):
    path, _, value = text.partition("=")
    return bind(ASSETS, changed(PROFILE, read_assigned({path: value})), METHODS, BENCHMARKS)


@pytest.fixture(scope="module")
def before():
    return bind(ASSETS, PROFILE, METHODS, BENCHMARKS)


def other_versions(before, after):
    """The assets of which a key has another version."""
    assert list(before.assets) == list(after.assets)
    return {
        name
        for name, asset in before.assets.items()
        if any(asset.version_of(key) != after.assets[name].version_of(key) for key in asset.keys)
    }


@pytest.mark.parametrize(
    ("text", "stale"),
    [
        ("dispo.alpha=2", {"georouting_table", *ROUTERS}),
        ("dispo.epsilon_km=0.001", {"georouting_table", *ROUTERS}),
        ("router.hard_labels=true", ROUTERS),
        ("router.variant=no_candidates", {"router_checkpoint"}),
        ("distance=wgs84", {"georouting_table", "benchmark_scores", "comparison_scores", *ROUTERS}),
        ("partition.semantics=isn", {"geocells"}),
        ("partition.coordinate=centre", {"geocells"}),
        ("inference.candidates=5", INFERENCE),
        ("inference.score=shifted", INFERENCE),
        ("inference.crops=ten", INFERENCE),
        ("geosurge.training.loss=naive", {"geosurge_checkpoint", "geosurge_ablations"}),
        ("segmentation.input_px=96", {"segmentations"}),
        ("canonical_px=80", {"images"}),
        ("split.holdout=0.1", {"catalogue"}),
        ("baselines.pigeon.options.top_cells=4", {"baseline_checkpoints"}),
        (
            "compute.train_workers=2",
            {"geosurge_checkpoint", "geosurge_ablations", "baseline_checkpoints", *ROUTERS},
        ),
    ],
)
def test_a_setting_makes_stale_what_declares_it_and_the_reports_that_print_it(before, text, stale):
    assert other_versions(before, lineage_of(text)) == stale | REPORTS


def test_what_a_machine_does_makes_nothing_stale(before):
    paths = [path for path in settings_of(PROFILE) if not decides_bytes(path)]
    assert set(paths) == {
        f"compute.{name}"
        for name in ("actors", "cpus", "cpu_actors", "gpus_per_worker", "gpus", "backend", "address", "stall_s")
    }
    for text in ("compute.actors=7", "compute.cpus=9", "compute.cpu_actors=3", "compute.gpus_per_worker=1.0"):
        assert other_versions(before, lineage_of(text)) == set()


def test_what_follows_from_another_alpha_is_routing_and_not_geosurge(before):
    after = lineage_of("dispo.alpha=2")
    followed = set(after.downstream(list(other_versions(before, after))))
    assert {"georouting_table", "routed_predictions", "benchmark_scores", "benchmark_report"} <= followed
    kept = {"catalogue", "images", "segmentations", "geocells", "geosurge_checkpoint", "features"}
    assert not followed & (kept | {"retrieval_predictions", "generation_predictions", "geosurge_predictions"})


def test_one_baseline_that_is_set_is_stale_alone(before):
    after = lineage_of("baselines.pigeon.options.top_cells=4").assets["baseline_checkpoints"]
    asset = before.assets["baseline_checkpoints"]
    changed_keys = [key for key in asset.keys if asset.version_of(key) != after.version_of(key)]
    assert changed_keys == ["pigeon", "pigeon_without_idea"]


def test_the_labels_are_made_as_the_settings_say(before):
    assert how_labelled(before.scope) == {"distance": "great_circle", "alpha": 1.6, "epsilon_km": 1e-6}
    assert how_labelled(lineage_of("dispo.alpha=2").scope)["alpha"] == 2.0


def test_the_main_router_has_the_prompt_that_is_set_and_its_twins_keep_theirs():
    after = lineage_of("router.variant=no_generation")
    found = {name: router_config(after.scope, METHODS[name]).variant for name in METHODS if name.startswith("router")}
    assert found == {
        "router": "no_generation",
        "router_coordinates_only": "coordinates_only",
        "router_image_only": "image_only",
    }
    assert "prompt: no_generation" in after.assets["router_checkpoint"].declared.description


def test_a_report_knows_every_setting_that_decides_bytes_and_those_that_were_changed(before):
    own = report_context(before.scope, METHODS)
    assert own.chosen == ()
    assert set(read_config(own.settings)) < set(settings_of(PROFILE))
    assert all(map(decides_bytes, read_config(own.settings)))
    changed_profile = changed(PROFILE, {"dispo.alpha": 2, "compute.actors": 7, "router.lvlm.model": "other"})
    context = report_context(replace(before.scope, profile=changed_profile), METHODS)
    assert context.chosen == (("router.lvlm.model", "other", "sample:qwen2vl"), ("dispo.alpha", "2.0", "1.6"))
    assert ("Router", "other") in context.models
