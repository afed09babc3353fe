import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.baselines.planet_net import PlaNet
from geo_pipeline.baselines.training import train
from geo_pipeline.contracts.contract import load
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline.training.outcome import NothingToTrainError, TrainingDivergedError
from geo_pipeline_tests.baselines import tiny_baselines
from geo_pipeline_tests.geosurge import tiny_geosurge

SHORT = {"max_epochs": 4, "batch": 16, "gamma": 0.9}


class KilledError(Exception):
    """Stands for the end of the process."""


def kill_after(epochs):
    def report(facts):
        if facts["epoch"] + 1 == epochs:
            raise KilledError

    return report


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    reports = []
    result = world.train(tiny_baselines.config(world.clip, "isns", **SHORT), folder, reports.append)
    return folder, result, reports


def test_training_learns_and_reports(undisturbed):
    folder, result, reports = undisturbed
    losses = [facts["loss"] for facts in reports]
    assert [facts["epoch"] for facts in reports] == [0, 1, 2, 3]
    assert losses[-1] < 0.8 * losses[0]
    curves = load("training_curves").conform(result.curves).to_pydict()
    assert curves["split"].count("holdout") == 4
    assert curves["step"][-1] == 4 * 3
    assert curves["learning_rate"][-1] == pytest.approx(1e-2 * 0.9**3)
    assert result.metrics["holdout_images"] == 6
    assert result.metrics["best_epoch"] == int(np.argmin([facts["holdout_loss"] for facts in reports]))
    assert (folder / "last" / "state.safetensors").is_file()
    assert len(list((folder / "tensorboard").iterdir())) == 1
    assert "Training of the baseline isns" in (folder / "curves.html").read_text(encoding="utf-8")


def test_only_the_last_block_of_the_tower_has_changed(undisturbed, world):
    before, after = (
        load_file(world.clip / "open_clip_model.safetensors"),
        load_file(undisturbed[0] / "model.safetensors"),
    )
    for block, same in ((1, True), (2, False)):
        old = before[f"visual.transformer.resblocks.{block}.mlp.c_fc.weight"].float()
        assert torch.equal(old, after[f"tower.blocks.{block}.mlp.c_fc.weight"]) is same


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_killed_run_ends_with_the_same_bytes(undisturbed, world, tmp_path, epochs):
    config = tiny_baselines.config(world.clip, "isns", **SHORT)
    with pytest.raises(KilledError):
        world.train(config, tmp_path, kill_after(epochs))
    assert (tmp_path / "last" / "state.safetensors").is_file() is (epochs > 1)
    seen = []
    result = world.train(config, tmp_path, lambda facts: seen.append(facts["epoch"]))
    assert seen == list(range(epochs - 1, 4))
    for name in ("model.safetensors", "card.json", "geocells.parquet"):
        assert (tmp_path / name).read_bytes() == (undisturbed[0] / name).read_bytes()
    assert result.curves.equals(undisturbed[1].curves)


def test_a_run_killed_while_collecting_collects_again(world, tmp_path, monkeypatch):
    def dying(model, remembered, targets):
        raise KilledError

    config = tiny_baselines.config(world.clip, "planet_net", **SHORT)
    with monkeypatch.context() as patched:
        patched.setattr(PlaNet, "collect", dying)
        with pytest.raises(KilledError):
            world.train(config, tmp_path / "killed")
    seen = []
    world.train(config, tmp_path / "killed", seen.append)
    assert seen == []
    world.train(config, tmp_path / "whole")
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("killed", "whole"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_state_of_another_training_is_refused(world, tmp_path):
    with pytest.raises(KilledError):
        world.train(tiny_baselines.config(world.clip, "isns", **SHORT), tmp_path, kill_after(2))
    with pytest.raises(CheckpointError, match="another training"):
        world.train(tiny_baselines.config(world.clip, "isns", idea=False, **SHORT), tmp_path)


def test_the_best_epoch_is_kept(world, tmp_path):
    """Held-out images that show one town and lie in the next: the better the training, the worse they fare."""
    table = pq.read_table(world.images)
    for name in ("lat_deg", "lon_deg"):
        values = table[name].to_numpy().copy()
        values[34:] = np.roll(values[:4], 1)[np.arange(34, 40) % 4]
        table = table.set_column(table.column_names.index(name), name, [values])
    pq.write_table(table, tmp_path / "images.parquet")
    reports = []
    config = tiny_baselines.config(world.clip, "planet_net", max_epochs=30, patience=2)
    files = [tmp_path / "images.parquet"], [world.segmentations], world.geocells
    result = train(*files, config, tmp_path / "out", reports.append, "cpu")
    losses = [facts["holdout_loss"] for facts in reports]
    assert len(losses) < 30
    assert result.metrics["best_epoch"] == int(np.argmin(losses)) == len(losses) - 3


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(world, tmp_path):
    with pytest.raises(TrainingDivergedError, match="of the baseline planet_net is nan at epoch 0"):
        world.train(tiny_baselines.config(world.clip, "planet_net", lr=1e30), tmp_path)
    written = json.loads((tmp_path / "diverged_batch.json").read_text())
    assert len(written["image_ids"]) == 8
    assert not (tmp_path / "card.json").exists()


def test_a_held_out_loss_that_is_not_finite_stops_and_says_what_to_do(world, tmp_path):
    """One step an epoch: the loss of the batch was finite, the weights after it are not."""
    with pytest.raises(
        TrainingDivergedError, match=r"held-out images is nan at epoch 0, step 1.* Lower the learning rate"
    ):
        world.train(tiny_baselines.config(world.clip, "planet_net", lr=1e30, batch=34), tmp_path)
    assert not (tmp_path / "card.json").exists()
    assert not (tmp_path / "diverged_batch.json").exists()  # no batch of training is to blame


def test_too_few_images_are_one_clear_error(tmp_path):
    world = tiny_baselines.world(tmp_path)
    pq.write_table(pq.read_table(world.segmentations).slice(0, 1), world.segmentations)
    with pytest.raises(NothingToTrainError, match=r"1 training images with a class map \(39 without\)"):
        world.train(tiny_baselines.config(world.clip, "planet_net"), tmp_path / "out")


def test_without_held_out_images_it_still_ends_and_says_so(tmp_path):
    images, segmentations, geocells = tiny_geosurge.write_tables(tmp_path, holdout=0)
    clip = tiny_geosurge.write_clip(tmp_path / "clip")
    config = tiny_baselines.config(clip, "planet_net", max_epochs=1)
    result = train([images], [segmentations], geocells, config, tmp_path / "out", lambda facts: None, "cpu")
    assert result.metrics["holdout_mean_accuracy"] is None
    assert "no held-out images" in result.metrics["stopped_on"]


def test_half_precision_and_crops_train(world, tmp_path):
    config = tiny_baselines.config(
        world.clip, "isns", max_epochs=1, precision="bf16", random_crop=True, horizontal_flip=True
    )
    assert np.isfinite(world.train(config, tmp_path).metrics["best_loss"])
