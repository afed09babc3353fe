"""A router's training that is killed, wherever, and started again ends as the undisturbed one, bit for bit."""

import json
from dataclasses import replace

import pytest

from geo_pipeline.georouter.gathered import GATHERED
from geo_pipeline.georouter.training import RouterTask, train, train_on
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline.training.outcome import TrainingDivergedError
from geo_pipeline.training.workers import Workers

WEIGHTS = ("adapter_model.safetensors", "router_head.safetensors")
WRITTEN = (*WEIGHTS, "adapter_config.json", "card.json", "curves.html")
STEPS = 10


class KilledError(Exception):
    """Stands for the end of the process."""


class WatchedTask(RouterTask):
    """A router that notes its steps, and is killed in the last micro-batch after `deadly` of them."""

    def __init__(self, deadly, *inputs):
        super().__init__(*inputs)
        self.deadly, self.taken = deadly, []

    def loss(self, part, inputs):
        if part.step == self.deadly and part.last:
            raise KilledError
        self.taken += [] if part.start else [part.step]
        return super().loss(part, inputs)


@pytest.fixture(scope="module")
def files(georouting):
    return georouting / "georouting.parquet", georouting / GATHERED


@pytest.fixture(scope="module")
def config(router_config):
    """Two epochs of five steps in up to three parts, with dropout; the best epoch is kept."""
    return replace(router_config, micro_batch=3, keep="best", checkpoint_steps=2)


@pytest.fixture(scope="module")
def undisturbed(files, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, train(*files, config, folder, lambda facts: None)


def run(files, config, out, deadly=None, report=lambda facts: None):
    """What `train` does, killed after so many steps; returns the result and the steps that were taken."""
    task = WatchedTask(deadly, *files, config, Workers())
    return train_on(task, out, report), task.taken


def assert_ended_as(undisturbed, folder, result):
    expected, whole = undisturbed
    for name in WRITTEN:
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert result.curves.equals(whole.curves)


@pytest.mark.parametrize("steps", range(STEPS))
def test_killed_at_any_step_it_goes_on_from_the_state_before(undisturbed, files, config, tmp_path, steps):
    """A state is written every second step and after every epoch of five; dropout must go on where it was."""
    with pytest.raises(KilledError):
        run(files, config, tmp_path, steps)
    assert not (tmp_path / "card.json").exists()
    result, taken = run(files, config, tmp_path)
    assert taken == list(range(max(steps // 2 * 2, steps // 5 * 5), STEPS))
    assert_ended_as(undisturbed, tmp_path, result)


def test_killed_between_an_epoch_and_its_state_it_judges_again(undisturbed, files, config, tmp_path):
    def report(facts):
        raise KilledError

    with pytest.raises(KilledError):
        run(files, config, tmp_path, report=report)
    told = []
    result, _ = run(files, config, tmp_path, report=told.append)
    assert [facts["epoch"] for facts in told] == [0, 1]
    assert_ended_as(undisturbed, tmp_path, result)


def test_a_training_that_ended_is_not_done_again(undisturbed, files, config):
    folder, first = undisturbed
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result, taken = run(files, config, folder, report=lambda facts: pytest.fail("nothing is left to train"))
    assert taken == []
    assert result.metrics == first.metrics
    assert result.curves.equals(first.curves)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


def test_killed_before_its_checkpoint_was_whole_it_only_writes_that(undisturbed, files, config, tmp_path):
    run(files, config, tmp_path)
    for name in ("card.json", "router_head.safetensors"):
        (tmp_path / name).unlink()
    result, taken = run(files, config, tmp_path)
    assert taken == []
    assert_ended_as(undisturbed, tmp_path, result)


def test_the_state_of_another_training_is_refused_by_name(files, config, tmp_path):
    with pytest.raises(KilledError):
        run(files, replace(config, seed=77), tmp_path, 4)
    with pytest.raises(CheckpointError, match=r"state\.safetensors is the state of another training"):
        run(files, config, tmp_path)


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(files, config, tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"the router \(full\) is nan at epoch 0, step 1"):
        run(files, replace(config, lr=1e30, weight_decay=0.0), tmp_path)
    written = json.loads((tmp_path / "diverged_batch.json").read_text())
    assert all(image_id.startswith("q") for image_id in written["image_ids"])
    assert len(written["image_ids"]) == 8
    assert not (tmp_path / "card.json").exists()
