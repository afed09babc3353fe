import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from geo_pipeline.baselines.config import (
    OPTIONS,
    BaselineConfig,
    CPlanetOptions,
    IsnsOptions,
    LknnOptions,
    PlaNetOptions,
    TranslocatorOptions,
    UnknownBaselineError,
    config_from_json,
)
from geo_pipeline.baselines.registry import BASELINES, needs_class_maps
from geo_pipeline.geosurge.config import ConfigError, TrainingConfig


def test_every_baseline_has_options_and_a_sample():
    assert list(BASELINES) == list(OPTIONS)
    for name in BASELINES:
        sample = BaselineConfig.sample(name, idea=False, seed=7)
        assert (sample.name, sample.idea, sample.training.seed) == (name, False, 7)
        assert sample.vision.model == "sample:clip"
        assert config_from_json(json.loads(json.dumps(asdict(sample)))) == sample


def test_the_papers_constants():
    assert LknnOptions().sigma_km == 4  # the row "[L]kNN, sigma = 4"
    assert CPlanetOptions().sets == 5
    assert IsnsOptions().tau_max == TranslocatorOptions().tau_max == (5000, 2000, 1000)  # coarse, middle, fine
    assert PlaNetOptions().partition is None


def test_class_maps_are_read_for_an_idea_that_needs_them_only():
    assert needs_class_maps(BaselineConfig("isns"))
    assert not needs_class_maps(BaselineConfig("isns", idea=False))
    assert not needs_class_maps(BaselineConfig("planet_net"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symmetric": True}, "training.symmetric is True, which belongs to GeoSURGE's objective"),
        ({"uncovered": "drop"}, "leave it at 'mask'"),
        ({"loss": "naive"}, "leave it at 'unique_cells'"),
    ],
)
def test_options_of_another_objective_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        BaselineConfig("planet_net", training=TrainingConfig(**change))


def test_micro_batches_are_for_every_baseline():
    for name in BASELINES:
        assert BaselineConfig(name, training=TrainingConfig(micro_batch=4)).training.micro_batch == 4


def test_options_of_another_baseline_and_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="planet_net has options LknnOptions; expected PlaNetOptions"):
        BaselineConfig("planet_net", options=LknnOptions())
    with pytest.raises(UnknownBaselineError, match="'vgg'; expected one of lknn, planet_net"):
        BaselineConfig("vgg")
    with pytest.raises(ConfigError, match="has options PlaNetOptions; expected LknnOptions"):
        BaselineConfig("planet_net").chosen(LknnOptions)
    with pytest.raises(ConfigError, match=r"IsnsOptions\.tau_max is \(\); expected one positive number"):
        IsnsOptions(tau_max=())
    with pytest.raises(ConfigError, match="partition is -1"):
        replace(PlaNetOptions(), partition=-1)


def test_configuration_and_registry_load_without_torch():
    code = (
        "import sys, geo_pipeline.baselines.config, geo_pipeline.baselines.registry as r; r.entry('planet_net'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
