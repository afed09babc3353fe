import numpy as np
import pytest
import torch

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.contracts.contract import load
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline_tests.baselines import tiny_baselines

NAMES = ("translocator", "geodecoder", "geoclip", "pigeon")


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_answers_the_same(checkpoint_of, predictions_of, rows, tmp_path, name):
    first = checkpoint.load(checkpoint_of(name), device="cpu")
    checkpoint.save(tmp_path, first, {})
    again = BaselinePredictor(tmp_path, inference=InferenceConfig(crops="centre"), device="cpu")
    assert set(first.state_dict()) == set(again.model.state_dict())
    predictions = again(rows)
    assert predictions.equals(predictions_of(name))
    load("predictions").conform(predictions)


@pytest.mark.parametrize("name", NAMES)
def test_ten_crops_are_averaged_before_the_answer(checkpoint_of, rows, name):
    predictor = BaselinePredictor(checkpoint_of(name), inference=InferenceConfig(crops="ten", batch=20), device="cpu")
    assert np.mean(tiny_baselines.errors_km(predictor(rows), rows) < 100) > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_another_width_is_refused(checkpoint_of, tmp_path, name):
    model = checkpoint.load(checkpoint_of(name), device="cpu")
    parameter, value = next((n, p) for n, p in model.trainable().items() if "tower" not in n and p.ndim > 1)
    owner, _, leaf = parameter.rpartition(".")
    setattr(model.get_submodule(owner), leaf, torch.nn.Parameter(torch.zeros(value.shape[0], value.shape[1] + 1)))
    checkpoint.save(tmp_path, model, {})
    with pytest.raises(CheckpointError, match=leaf):
        checkpoint.load(tmp_path, device="cpu")
