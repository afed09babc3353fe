"""docs/protocol.md names options that are there, and the defaults that it prints are those of the code."""

import re

from geo_pipeline.baselines.config import BaselineConfig, IsnsOptions
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.earth.distance import EARTH_RADIUS_KM
from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.geosurge.config import FusionConfig, GeoSurgeConfig, InferenceConfig, TrainingConfig, VisionConfig
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.profiles.profile import Profile
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
        f"`candidates` {inference.candidates}:",
        f"`phash_bits` {inference.phash_bits}, the same author within `author_km` {inference.author_km:g}",
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
