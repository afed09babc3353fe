import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.pairs import TrainingPairs
from geo_pipeline.geosurge.training import GeoSurgeTask, train
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline.training.outcome import NothingToTrainError, TrainingDivergedError
from geo_pipeline.training.workers import Workers
from geo_pipeline_tests.geosurge import tiny_geosurge


class KilledError(Exception):
    """Stands for the end of the process between two epochs."""


def kill_after(epochs):
    def report(facts):
        if facts["epoch"] + 1 == epochs:
            raise KilledError

    return report


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def run(trained, out, report=lambda facts: None, **training):
    config = tiny_geosurge.config(trained.clip, **training)
    return train([trained.images], [trained.segmentations], trained.geocells, config, out, report, "cpu")


def test_training_learns_and_reports(trained):
    losses = [facts["loss"] for facts in trained.reports]
    assert len(losses) == 4
    assert losses[-1] < 0.8 * losses[0]
    assert trained.result.metrics["holdout_mean_accuracy"] > 0.3
    curves = trained.result.curves.to_pydict()
    assert curves["split"].count("holdout") == 4
    assert curves["step"][-1] == 4 * 3
    np.testing.assert_allclose(curves["learning_rate"][-1], 3e-3 * 0.9**3)
    assert len(list((trained.checkpoint / "tensorboard").iterdir())) == 1
    assert "Training of GeoSURGE" in (trained.checkpoint / "curves.html").read_text(encoding="utf-8")


def test_bfloat16_trains_and_differs_only_slightly(trained, tmp_path):
    result = run(trained, tmp_path, precision="bf16")
    found, expected = (table["loss"].to_numpy() for table in (result.curves, trained.result.curves))
    assert found[-2] < 0.8 * found[0]
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {torch.float32}, "only the arithmetic is half"


def test_only_what_should_learn_has_changed(trained, clip_dir):
    before = load_file(clip_dir / "open_clip_model.safetensors")
    after = weights(trained.checkpoint)
    frozen, last = "transformer.resblocks.1.mlp.c_fc.weight", "transformer.resblocks.2.mlp.c_fc.weight"
    assert torch.equal(before[f"visual.{frozen}"].float(), after[f"tower.{frozen.removeprefix('transformer.res')}"])
    assert not torch.equal(before[f"visual.{last}"].float(), after[f"tower.{last.removeprefix('transformer.res')}"])


def test_what_does_not_fit_in_memory_is_read_again_and_trains_the_same(trained, tmp_path):
    run(trained, tmp_path, decoded_budget_mib=0, loader_budget_mib=0, prefetch=0, loader_threads=1)
    expected, found = weights(trained.checkpoint), weights(tmp_path)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_training_keeps_the_temperatures_in_their_bounds(trained, tmp_path):
    """They start beyond them."""
    config = replace(tiny_geosurge.config(trained.clip, max_epochs=1), max_logit_scale=14.0)
    files = [trained.images], [trained.segmentations], trained.geocells
    train(*files, config, tmp_path, lambda facts: None, "cpu")
    log_scale_P = load_file(tmp_path / "last" / "state.safetensors")["model/geography.log_scale_P"]
    assert log_scale_P.max() <= math.log(14) + 1e-6


def test_uncovered_images_are_masked_or_dropped(trained, tmp_path):
    """Two training images far from any other lie in no cell."""
    table = pq.read_table(trained.images)
    for name, value in (("lat_deg", -80.0), ("lon_deg", 10.0)):
        values = table[name].to_numpy().copy()
        values[:2] = value
        table = table.set_column(table.column_names.index(name), name, [values])
    pq.write_table(table, tmp_path / "images.parquet")
    found = {}
    for uncovered in ("mask", "drop"):
        config = tiny_geosurge.config(trained.clip, max_epochs=1, uncovered=uncovered)
        files = [tmp_path / "images.parquet"], [trained.segmentations], trained.geocells
        found[uncovered] = train(*files, config, tmp_path / uncovered, lambda facts: None, "cpu").metrics
    cells = Hierarchy.from_table(pq.read_table(trained.geocells))
    rows_NP = cells.assign(table["lat_deg"].to_numpy()[:34], table["lon_deg"].to_numpy()[:34])
    left_out = int((rows_NP < 0).any(axis=1).sum())
    assert left_out >= 2
    assert (found["mask"]["train_images"], found["drop"]["train_images"]) == (34, 34 - left_out)
    assert found["drop"]["train_images_left_out"] == left_out
    assert found["mask"]["uncovered_share_finest"] == pytest.approx((rows_NP[:, -1] < 0).mean())
    assert found["drop"]["uncovered_share_finest"] == 0


@pytest.fixture(scope="module")
def gradients_of_one_step(trained, tmp_path_factory):
    """A tenth of the gradient of the first step, as AdamW keeps it: the whole set is one batch."""
    folder = tmp_path_factory.mktemp("one_step")
    with pytest.raises(KilledError):
        run(trained, folder, kill_after(2), batch=34)
    return gradients(folder)


def gradients(folder: Path) -> dict[str, torch.Tensor]:
    state = load_file(folder / "last" / "state.safetensors")
    found = {name: tensor for name, tensor in state.items() if name.startswith("adam/exp_avg/")}
    assert len(found) > 20
    return found


def test_micro_batches_give_the_gradient_of_the_batch(trained, gradients_of_one_step, tmp_path):
    with pytest.raises(KilledError):
        run(trained, tmp_path, kill_after(2), batch=34, micro_batch=5)
    for name, found in gradients(tmp_path).items():
        torch.testing.assert_close(found, gradients_of_one_step[name], rtol=1e-3, atol=1e-6)


def test_the_state_of_another_training_is_refused(trained, tmp_path):
    with pytest.raises(KilledError):
        run(trained, tmp_path, kill_after(2))
    with pytest.raises(CheckpointError, match="another training"):
        run(trained, tmp_path, lr=1e-3)


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(trained, tmp_path):
    with pytest.raises(TrainingDivergedError, match="expected a finite number"):
        run(trained, tmp_path, lr=1e30)
    written = json.loads((tmp_path / "diverged_batch.json").read_text())
    assert len(written["image_ids"]) > 1
    assert all(image_id.startswith("image-") for image_id in written["image_ids"])
    assert not (tmp_path / "card.json").exists()


def test_a_held_out_loss_that_is_not_finite_stops_and_says_what_to_do(trained, tmp_path):
    """One step an epoch: the loss of the batch was finite, the weights after it are not."""
    with pytest.raises(
        TrainingDivergedError, match=r"held-out images is nan at epoch 0, step 1.* Lower the learning rate"
    ):
        run(trained, tmp_path, lr=1e30, batch=34, max_epochs=1)
    assert not (tmp_path / "card.json").exists()
    assert not (tmp_path / "diverged_batch.json").exists()  # no batch of training is to blame


def test_a_smaller_last_batch_of_held_out_images_weighs_less(trained):
    """The mean of a classifier's loss over six images is the same, however they fall into batches."""
    found = []
    for batch in (6, 4):
        config = replace(tiny_geosurge.config(trained.clip, batch=batch), geography="classifier")
        pairs = TrainingPairs([trained.images], [trained.segmentations], config.vision, config.training)
        torch.manual_seed(0)
        model = GeoSurge(config, tiny_geosurge.hierarchy(tau_max=(40,)))
        with torch.no_grad():
            found.append(GeoSurgeTask(model, pairs, Workers()).judge()[0])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_state_belongs_to_any_number_of_workers(trained, monkeypatch):
    """They see the same batches; a training that was stopped with two goes on with one."""
    monkeypatch.setattr(Workers, "wrapped", lambda workers, network: network)
    config = tiny_geosurge.config(trained.clip, batch=4, lanes=2)
    pairs = TrainingPairs([trained.images], [trained.segmentations], config.vision, config.training)
    model = GeoSurge(config, tiny_geosurge.hierarchy())
    assert len({GeoSurgeTask(model, pairs, Workers(0, world)).fingerprint for world in (1, 2)}) == 1


def test_early_stopping_keeps_the_best_epoch(trained, tmp_path):
    """Held-out images that show one town and lie in the next: the better the training, the worse they fare."""
    table = pq.read_table(trained.images)
    for name in ("lat_deg", "lon_deg"):
        values = table[name].to_numpy().copy()
        values[34:] = np.roll(values[:4], 1)[(np.arange(34, 40)) % 4]
        table = table.set_column(table.column_names.index(name), name, [values])
    pq.write_table(table, tmp_path / "images.parquet")
    reports: list = []
    config = tiny_geosurge.config(trained.clip, max_epochs=30, patience=2)
    files = [tmp_path / "images.parquet"], [trained.segmentations], trained.geocells
    result = train(*files, config, tmp_path / "out", reports.append, "cpu")
    losses = [facts["holdout_loss"] for facts in reports]
    assert len(losses) < 30
    assert result.metrics["best_epoch"] == int(np.argmin(losses)) == len(losses) - 3


def test_without_held_out_images_training_still_ends_and_says_so(clip_dir, tmp_path):
    images, segmentations, geocells = tiny_geosurge.write_tables(tmp_path, holdout=0)
    config = tiny_geosurge.config(clip_dir, max_epochs=1)
    result = train([images], [segmentations], geocells, config, tmp_path / "out", lambda facts: None, "cpu")
    assert result.metrics["holdout_mean_accuracy"] is None
    assert "no held-out images" in result.metrics["stopped_on"]


def test_nothing_to_train_on_is_one_clear_error(clip_dir, tmp_path):
    images, segmentations, geocells = tiny_geosurge.write_tables(tmp_path)
    pq.write_table(pq.read_table(segmentations).slice(0, 0), segmentations)
    with pytest.raises(NothingToTrainError, match=r"0 training images with a class map \(40 without"):
        train([images], [segmentations], geocells, tiny_geosurge.config(clip_dir), tmp_path / "out", print, "cpu")


def test_options_of_the_objective_train(trained, tmp_path):
    config = tiny_geosurge.config(
        trained.clip, max_epochs=1, loss="naive", symmetric=True, random_crop=True, precision="bf16"
    )
    config = replace(config, depth=2)
    result = train(
        [trained.images], [trained.segmentations], trained.geocells, config, tmp_path, lambda facts: None, "cpu"
    )
    assert np.isfinite(result.metrics["best_loss"])
    assert len(result.metrics["temperatures"]) == 2


WORKER = """
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
import torch
from torch import distributed
sys.path.insert(0, sys.argv[4])
from geo_pipeline.geosurge.training import train
from geo_pipeline_tests.geosurge import tiny_geosurge

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
store = distributed.FileStore(str(folder / "store"), 2)
distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=120))
files = [folder / "images.parquet"], [folder / "segmentations.parquet"], folder / "geocells.parquet"

class Enough(Exception):
    pass

def stop_in_the_second_epoch(facts):
    if facts["epoch"] == 1:
        raise Enough

for objective in sys.argv[5:]:
    options = {"symmetric": True} if objective == "symmetric" else {"micro_batch": 5}
    config = tiny_geosurge.config(Path(sys.argv[3]), batch=34, lanes=2, **options)
    config = replace(config, geography="classifier" if objective == "classifier" else "embeddings")
    try:
        train(*files, config, folder / objective, stop_in_the_second_epoch, "cpu")
        sys.exit(1)
    except Enough:
        distributed.barrier()
config = tiny_geosurge.config(Path(sys.argv[3]), batch=4, lanes=2, max_epochs=1)
train(*files, config, folder / "judged", lambda facts: None, "cpu")
distributed.destroy_process_group()
"""


def test_two_workers_have_the_gradient_of_one(trained, gradients_of_one_step, tmp_path):
    """The shares of the workers, each in micro-batches, add up to the gradient of the effective batch.

    The symmetric loss compares each cell with all images, so its workers exchange their features; a classifier has
    weights for cells that no image of a worker lies in.
    """
    expected = {"unique_cells": gradients_of_one_step}
    for objective in ("symmetric", "classifier"):
        config = tiny_geosurge.config(trained.clip, batch=34, symmetric=objective == "symmetric")
        config = replace(config, geography="classifier" if objective == "classifier" else "embeddings")
        files = [trained.images], [trained.segmentations], trained.geocells
        with pytest.raises(KilledError):
            train(*files, config, tmp_path / "alone" / objective, kill_after(2), "cpu")
        expected[objective] = gradients(tmp_path / "alone" / objective)
    tiny_geosurge.write_tables(tmp_path)
    root = Path(__file__).parents[2]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path), str(trained.clip), str(root), *expected],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=240)
        assert worker.returncode == 0, errors[-2000:]
    for objective, alone in expected.items():
        for name, found in gradients(tmp_path / objective).items():
            torch.testing.assert_close(found, alone[name], rtol=1e-3, atol=1e-6)
    run(trained, tmp_path / "alone" / "judged", batch=4, lanes=2, max_epochs=1)
    cards = [json.loads((folder / "judged" / "card.json").read_text()) for folder in (tmp_path, tmp_path / "alone")]
    assert cards[0]["metrics"]["best_loss"] == pytest.approx(cards[1]["metrics"]["best_loss"], rel=1e-3)
