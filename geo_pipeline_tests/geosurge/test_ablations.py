from dataclasses import replace

import pytest

from geo_pipeline.geosurge.ablations import ABLATIONS, OTHER_CROPS, ablated, inference_of, takes_away
from geo_pipeline.geosurge.config import ConfigError, GeoSurgeConfig, InferenceConfig

TRAINED = ("classifier", "depth_5", "depth_3", "depth_1", "fusion_2", "fusion_1", "fusion_0")


def test_the_variants_are_those_of_tables_vi_to_viii():
    assert list(ABLATIONS) == [*TRAINED, OTHER_CROPS]
    full = GeoSurgeConfig()
    assert ablated(full, "classifier").geography == "classifier"
    assert [ablated(full, f"depth_{depth}").depth for depth in (5, 3, 1)] == [5, 3, 1]
    assert [ablated(full, f"fusion_{blocks}").fusion.blocks for blocks in (2, 1, 0)] == [2, 1, 0]


@pytest.mark.parametrize("config", [GeoSurgeConfig(), GeoSurgeConfig.sample()], ids=["paper", "sample"])
@pytest.mark.parametrize("variant", TRAINED)
def test_a_variant_changes_one_value(config, variant):
    changed = ablated(config, variant)
    different = [name for name in vars(config) if getattr(changed, name) != getattr(config, name)]
    assert len(different) == 1
    if different == ["fusion"]:
        assert [k for k in vars(config.fusion) if vars(changed.fusion)[k] != vars(config.fusion)[k]] == ["blocks"]


def test_options_that_a_classifier_has_not_do_not_stop_its_variant():
    training = replace(GeoSurgeConfig().training, loss="naive", symmetric=True)
    changed = ablated(replace(GeoSurgeConfig(), training=training), "classifier")
    assert (changed.geography, changed.training.loss, changed.training.symmetric) == (
        "classifier", "unique_cells", False
    )  # fmt: skip
    asked = InferenceConfig(score="shifted")
    assert inference_of("classifier", GeoSurgeConfig(), asked).score == "log_softmax"
    assert inference_of("depth_1", GeoSurgeConfig(), asked) == asked


@pytest.mark.parametrize(("crops", "other"), [("centre", "ten"), ("ten", "centre")])
def test_the_full_model_is_asked_with_the_other_crops_and_not_trained_again(crops, other):
    full, asked = GeoSurgeConfig(), InferenceConfig(crops=crops)
    assert ablated(full, OTHER_CROPS) == full
    assert not takes_away(full, OTHER_CROPS, 7)
    assert inference_of(OTHER_CROPS, full, asked) == replace(asked, crops=other)


def test_a_variant_that_takes_nothing_away_is_none():
    full = GeoSurgeConfig()
    assert all(takes_away(full, variant, 7) for variant in TRAINED)
    assert [variant for variant in ABLATIONS if takes_away(full, variant, 3)] == [
        "classifier", "depth_1", "fusion_2", "fusion_1", "fusion_0"
    ]  # fmt: skip
    shallow = replace(full, depth=3, fusion=replace(full.fusion, blocks=1))
    assert [variant for variant in ABLATIONS if takes_away(shallow, variant, 7)] == [
        "classifier",
        "depth_1",
        "fusion_0",
    ]
    assert not takes_away(replace(full, geography="classifier"), "classifier", 7)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ConfigError, match="found the ablation 'wide'; expected one of classifier"):
        ablated(GeoSurgeConfig(), "wide")
