"""The precision of the training is that of everything a baseline's tower is asked: steps, `collect`, answers."""

import numpy as np
import pytest
import torch

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.config import OPTIONS
from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.vision import VisionTower
from geo_pipeline_tests.baselines import tiny_baselines


@pytest.fixture
def asked(monkeypatch) -> list[bool]:
    """Whether each forward of a tower ran under autocast."""
    found: list[bool] = []
    forward = VisionTower.forward

    def watched(self, pixels):
        found.append(torch.is_autocast_enabled("cpu"))
        return forward(self, pixels)

    monkeypatch.setattr(VisionTower, "forward", watched)
    return found


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_forward_of_a_tower_has_the_precision_of_the_training(world, rows, tmp_path, asked, name, precision):
    config = tiny_baselines.config(world.clip, name, max_epochs=1, precision=precision)
    world.train(config, tmp_path)
    trained = len(asked)
    found = BaselinePredictor(tmp_path, inference=InferenceConfig(crops="ten"), device="cpu")(rows)
    assert trained
    assert len(asked) > trained
    assert set(asked) == {precision == "bf16"}
    assert np.isfinite(found["score"].to_numpy()).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_half_precision_describes_nearly_the_same(world, checkpoint_of, name):
    model = checkpoint.load(checkpoint_of(name), device="cpu")
    half = checkpoint.load(checkpoint_of(name), device="cpu")
    half.config = tiny_baselines.config(world.clip, name, precision="bf16")
    pixels = torch.randint(0, 256, (6, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        single, rounded = (each.described(pixels, torch.zeros(6, 28, 28, dtype=torch.uint8)) for each in (model, half))
    assert rounded.dtype == torch.float32
    assert not torch.equal(single, rounded)
    torch.testing.assert_close(rounded, single, atol=0.1, rtol=0.1)
