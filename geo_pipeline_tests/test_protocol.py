"""docs/protocol.md names options that are there, and the defaults that it prints are those of the code."""

import re
from typing import Literal, get_args, get_origin

import pytest

from geo_pipeline.baselines.config import BaselineConfig, IsnsOptions
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.earth.distance import EARTH_RADIUS_KM
from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.geosurge.config import FusionConfig, GeoSurgeConfig, InferenceConfig, TrainingConfig, VisionConfig
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.profiles.settings import changed, settings_of
from geo_pipeline.profiles.sources import files_spec
from geo_pipeline.routing.preference import DISPO_ALPHA, DISPO_EPSILON_KM, HALF_CIRCUMFERENCE_KM
from geo_pipeline_tests.test_cited_names import all_names
from geo_pipeline_tests.test_conventions import ROOT

PROTOCOL = " ".join((ROOT / "docs/protocol.md").read_text().split())


def listed(numbers):
    return ", ".join(f"{number:g}" for number in numbers)


def printed_defaults():
    cells, training, inference, fusion = PartitionConfig(), TrainingConfig(), InferenceConfig(), FusionConfig()
    isns, baseline, small = IsnsOptions(), BaselineConfig.sample("isns").training, TrainingConfig.sample()
    router, split, vision, geosurge = RouterConfig(), SplitConfig(), VisionConfig(), GeoSurgeConfig()
    return [
        f"{listed(THRESHOLDS_KM[:-1])} and {THRESHOLDS_KM[-1]:g} km",
        f"`{Profile.distance}` on a sphere of {EARTH_RADIUS_KM:g} km (default",
        f"tau_min {cells.tau_min}; tau_max {listed(cells.tau_max)} from the coarsest",
        f"`{cells.semantics}` (default)",
        f"the `{cells.coordinate}` of its photographs on the sphere (default)",
        f"(`{training.uncovered}`, default)",
        f"{split.holdout:.0%} of the training photographs".replace("%", " %"),
        f"{100 * split.router_queries:g} % become the router's queries",
        f"(`{vision.model}`)",
        f"shorter side {vision.resize_px} px, crops of {vision.input_px} px",
        f"{fusion.blocks} blocks; queries are the {fusion.semantic_dim}-wide",
        f"{fusion.latent_dim}-wide latent",
        f"{fusion.heads} heads and an MLP ratio of {fusion.mlp_ratio:g}",
        f"{geosurge.embedding_dim} wide, one per (partition, cell)",
        f"{geosurge.initial_temperature:g} at the start",
        f"a scale of at most {geosurge.max_logit_scale:g}",
        f"`{training.loss}` (default)",
        f"an effective batch of {training.batch:,}",
        f"at most {training.max_epochs}.",
        f"tau_max {isns.tau_max[0]}, {isns.tau_max[1]} and {isns.tau_max[2]}.",
        f"{baseline.max_epochs} epochs at {baseline.lr:g} where GeoSURGE has {small.max_epochs} at {small.lr:g}",
        f"`{inference.score}` (default)",
        f"`{inference.crops}` (default;",
        f"{inference.cell_weight} and {inference.similarity_temperature}.",
        f"`inference.candidates` {inference.candidates} (K):",
        f"`inference.phash_bits` {inference.phash_bits}, the same author within "
        f"`inference.author_km` {inference.author_km:g}",
        f"counts as {HALF_CIRCUMFERENCE_KM:,.0f} km",
        f"epsilon {DISPO_EPSILON_KM:.0e} km".replace("e-06", "e-6"),
        f"alpha {DISPO_ALPHA}",
        f"rank {router.lora_r}, alpha {router.lora_alpha} and dropout {router.lora_dropout}",
        f"weight decay {router.weight_decay}, batch {router.batch}",
        *(
            f"| {each.title} | {each.expected_count} |"
            for each in BENCHMARKS.values()
            if each.published and each.expected_count and each.expected_count < 10_000
        ),
    ]


def test_the_printed_defaults_are_those_of_the_code():
    assert [words for words in printed_defaults() if words not in PROTOCOL] == []


def test_every_option_that_is_named_is_in_the_code():
    named = set(re.findall(r"`([A-Za-z_][\w.]*)`", PROTOCOL))
    wrong = [name for name in named if not all(part in all_names() for part in name.split("."))]
    assert wrong == []


PAPER = paper(files_spec("images", "metadata.csv"))
SETTINGS = settings_of(PAPER)
NAMED = sorted({name for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", PROTOCOL) if name in SETTINGS} | {"distance"})
OTHER = {
    "split.by": ["author", "place"],
    "partition.tau_max": [900, 800],
    "geosurge.depth": 3,
    "geosurge.training.batch": 2048,
    "geosurge.training.lanes": 16,
    "baselines.isns.options.tau_max": [900, 800],
    "geosurge.training.symmetric": True,
    "geosurge.vision.resize_px": 400,
    "geosurge.vision.pretrained": None,
    "partition.max_level": 29,
}
"""Values of settings for which a number more or less does not do."""


def other_value(path):
    """A value that the profile does not have."""
    value, kind = SETTINGS[path].value, SETTINGS[path].kind
    if path in OTHER:
        return OTHER[path]
    if get_origin(kind) is Literal:
        return next(each for each in get_args(kind) if each != value)
    if isinstance(value, bool):
        return not value
    return f"{value}-other" if isinstance(value, str) else value / 2 if isinstance(value, float) else value + 1


def test_every_dotted_name_is_a_setting_and_no_class_stands_in_its_place():
    files = (".py", ".csv", ".md")
    dotted = {name for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", PROTOCOL) if not name.endswith(files)}
    assert dotted - set(SETTINGS) == set()
    assert len(NAMED) > 40
    assert re.findall(r"`\w+Config[`.]", PROTOCOL) == []


@pytest.mark.parametrize("path", NAMED)
def test_every_option_that_is_named_can_be_set(path):
    made = changed(PAPER, {path: other_value(path)})
    assert made != PAPER
    assert settings_of(made)[path].value != SETTINGS[path].value
    assert path in [each[0] for each in made.chosen]


def test_the_choices_of_the_papers_methods_are_named():
    """Where a setting of these parts has named values, the page names the setting and every value."""
    parts = ("partition.", "geosurge.", "inference.", "router.", "distance")
    technical = {"geosurge.training.precision", "geosurge.geography", "router.lvlm.dtype", "router.lvlm.attention"}
    chosen = {
        path: get_args(setting.kind)
        for path, setting in SETTINGS.items()
        if get_origin(setting.kind) is Literal and path.startswith(parts) and path not in technical | {"router.keep"}
    }
    assert len(chosen) > 6
    assert [path for path in chosen if path not in NAMED] == []
    assert [value for values in chosen.values() for value in values if f"`{value}`" not in PROTOCOL] == []
