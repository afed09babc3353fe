"""Parts of a batch: their losses and gradients add up to those of the whole, however the covered images are spread."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.registry import BASELINES
from geo_pipeline_tests.baselines import tiny_baselines

TRAINED = list(BASELINES)


@pytest.fixture(scope="module")
def holed(world, tmp_path_factory):
    """Of the training images seven lie in no cell, of the held-out ones the last two."""
    return world.elsewhere(tmp_path_factory.mktemp("holed"), [0, 1, 2, 3, 4, 20, 30, 38, 39])


def test_the_images_elsewhere_are_covered_by_no_partition(holed, checkpoint_of):
    table = pq.read_table(holed.images)
    targets = checkpoint.load(checkpoint_of("isns"), device="cpu").targets(
        table["lat_deg"].to_numpy(), table["lon_deg"].to_numpy()
    )
    assert set(np.flatnonzero((targets < 0).all(dim=1).numpy())) == {0, 1, 2, 3, 4, 20, 30, 38, 39}


@pytest.mark.parametrize(
    ("name", "idea"), [(name, idea) for name in TRAINED for idea in (True, False) if (name, idea) != ("lknn", False)]
)
def test_micro_batches_give_the_gradient_of_the_batch(holed, tmp_path, name, idea):
    """The first step of AdamW keeps a tenth of its gradient; the whole set is one batch."""
    losses, gradients = [], []
    for micro_batch in (None, 5):
        out = tmp_path / str(micro_batch)
        options = {"batch": 34, "micro_batch": micro_batch, "max_epochs": 1}
        result = holed.train(tiny_baselines.config(holed.clip, name, idea, **options), out)
        losses.append(result.curves["loss"].to_numpy())
        state = load_file(out / "last" / "state.safetensors")
        gradients.append({key: tensor for key, tensor in state.items() if key.startswith("adam/exp_avg/")})
    np.testing.assert_allclose(losses[1][0], losses[0][0], rtol=1e-5)
    assert len(gradients[0]) > 10
    for key, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "geoclip"])
def test_the_held_out_loss_does_not_depend_on_the_batches(holed, tmp_path, name):
    """With a rate that does nothing every training judges the same weights: once four and two images, once all six."""
    found = []
    for batch in (4, 34):
        options = {"batch": batch, "max_epochs": 1, "lr": 1e-30, "weight_decay": 0.0}
        reports = []
        holed.train(tiny_baselines.config(holed.clip, name, **options), tmp_path / str(batch), reports.append)
        found.append(reports[0]["holdout_loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_a_batch_that_no_cell_covers_is_no_obstacle(checkpoint_of):
    model = checkpoint.load(checkpoint_of("isns"), device="cpu")
    pixels = torch.zeros(3, 3, 28, 28, dtype=torch.uint8)
    loss = model.loss(pixels, torch.zeros(3, 28, 28, dtype=torch.uint8), torch.full((3, 3), -1))
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.trainable().values())


def test_a_coordinate_is_moved_once_for_all_micro_batches(checkpoint_of):
    """GeoCLIP's noise and queue are drawn for the step, not for each part of it."""
    model = checkpoint.load(checkpoint_of("geoclip"), device="cpu").train()
    targets = torch.tensor([[48.9, 2.3], [40.4, -3.7], [35.7, 139.7]]).double()
    pixels = torch.randint(0, 256, (3, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    maps = torch.zeros(3, 28, 28, dtype=torch.uint8)
    compared = model.compared(targets)
    assert not torch.equal(compared[:3], targets)
    with torch.no_grad():
        whole = model.loss_sums(pixels, maps, compared[:3], compared)
        rows = [slice(row, row + 1) for row in range(3)]
        parts = [model.loss_sums(pixels[row], maps[row], compared[row], compared) for row in rows]
    torch.testing.assert_close(torch.stack(parts).sum(dim=0), whole)
