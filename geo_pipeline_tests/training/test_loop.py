"""The loop itself, on a line; what it gives GeoSURGE, the baselines and the router stands in their own tests."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline.training.curve_page import Captions
from geo_pipeline.training.logger import Logger
from geo_pipeline.training.loggers import usual_loggers
from geo_pipeline.training.loop import run
from geo_pipeline.training.outcome import TrainingDivergedError
from geo_pipeline_tests.faults.damages import cut, empty, flip, garbage, gone, rot, zeros
from geo_pipeline_tests.training.tiny_task import PLAN, STEPS, KilledError, LineTask, kill_after

PARTS = 4 + 4 + 1
"""Of an epoch: batches of 16, 16 and 2."""


class Notebook(Logger):
    """Notes all that a logger is called with."""

    def __init__(self, deadly=None):
        self.calls, self.deadly = [], deadly

    def begin(self, step, last):
        self.calls.append(("begin", step, last))

    def step(self, facts):
        self.calls.append(("step", facts))

    def epoch(self, facts):
        self.calls.append(("epoch", facts))
        if facts["epoch"] == self.deadly:
            raise KilledError

    def flush(self):
        self.calls.append(("flush",))

    def end(self, curves):
        self.calls.append(("end", curves.num_rows))

    def close(self):
        self.calls.append(("close",))

    def heard(self, name):
        return [call[1] for call in self.calls if call[0] == name]


def written(folder):
    return {
        name: (folder / name).read_bytes() if name.endswith("json") else load_file(folder / name)
        for name in ("model.safetensors", "card.json")
    }


def same(one, other):
    left, right = one["model.safetensors"], other["model.safetensors"]
    return one["card.json"] == other["card.json"] and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("line")
    return folder, run(LineTask(), folder, [])


@pytest.mark.parametrize("killed_at", range(4 * PARTS))
def test_killed_at_any_part_it_ends_as_the_undisturbed_one(undisturbed, tmp_path, killed_at):
    """Dropout is drawn from torch's generator: a state keeps it."""
    with pytest.raises(KilledError):
        run(LineTask(before=kill_after(killed_at)), tmp_path, [])
    torch.rand(7)
    result = run(LineTask(), tmp_path, [])
    assert same(written(tmp_path), written(undisturbed[0]))
    assert result.curves.equals(undisturbed[1].curves)


@pytest.mark.parametrize("how", [flip, rot, zeros, cut, empty, garbage, gone])
def test_a_damaged_state_is_named_and_the_training_ends_as_the_undisturbed_one(undisturbed, tmp_path, how, caplog):
    with pytest.raises(KilledError):
        run(LineTask(before=kill_after(2 * PARTS + 5)), tmp_path, [])
    how(tmp_path / "last" / "state.safetensors", random.Random(1))
    notebook = Notebook()
    result = run(LineTask(), tmp_path, [notebook])
    assert notebook.calls[0] == ("begin", 0, None)
    assert same(written(tmp_path), written(undisturbed[0]))
    assert result.curves.equals(undisturbed[1].curves)
    assert [record.levelname for record in caplog.records] == ([] if how is gone else ["WARNING"])


@pytest.mark.parametrize("name", ["model.safetensors", "card.json", "last/ended"])
@pytest.mark.parametrize("how", [flip, empty, gone])
def test_a_checkpoint_that_is_damaged_before_it_is_put_away_is_written_again(undisturbed, tmp_path, name, how, caplog):
    first = run(LineTask(), tmp_path, [])
    how(tmp_path / name, random.Random(1))
    again = run(LineTask(before=kill_after(0)), tmp_path, [])
    assert again.metrics == first.metrics
    assert same(written(tmp_path), written(undisturbed[0]))
    assert ("is written again" in caplog.text) != ((name, how) == ("last/ended", gone))
    caplog.clear()
    run(LineTask(before=kill_after(0)), tmp_path, [])
    assert not caplog.records


def test_each_logger_hears_one_dictionary_a_step_and_one_an_epoch(tmp_path):
    first, second = Notebook(), Notebook()
    result = run(LineTask(), tmp_path, [first, second])
    assert first.calls == second.calls
    assert first.calls[0] == ("begin", 0, None)
    assert first.calls[-2:] == [("end", STEPS + 4), ("close",)]
    steps, epochs = first.heard("step"), first.heard("epoch")
    assert [facts["step"] for facts in steps] == list(range(1, STEPS + 1))
    rows = result.curves.to_pylist()
    assert [facts["loss"] for facts in steps] == [row["loss"] for row in rows if row["split"] == "train"]
    assert [(facts["holdout_loss"], facts["metric"]) for facts in epochs] == [
        (row["loss"], row["metric"]) for row in rows if row["split"] == "holdout"
    ]
    for facts in (*steps, *epochs):
        assert facts["images_per_second"] > 0
        assert 0 <= facts["loader_wait_share"] <= 1
    assert [round(facts["images_per_second"] * facts["seconds"]) for facts in epochs] == [34] * 4


def test_loggers_are_closed_after_an_error_and_told_where_training_goes_on(tmp_path):
    killed, resumed, between = Notebook(deadly=1), Notebook(), Notebook()
    with pytest.raises(KilledError):
        run(LineTask(), tmp_path, [killed])
    assert killed.calls[-1] == ("close",)
    with pytest.raises(KilledError):
        run(LineTask(before=kill_after(0)), tmp_path, [resumed])
    name, step, last = resumed.calls[0]
    assert (name, step, last["step"]) == ("begin", 6, 6)  # the state of step 6; its epoch is judged again
    assert [facts["epoch"] for facts in resumed.heard("epoch")] == [1]
    run(LineTask(), tmp_path, [between])
    assert between.calls[0] == ("begin", 6, None)


def test_what_listens_changes_no_byte(undisturbed, tmp_path):
    told = []
    run(LineTask(), tmp_path, usual_loggers(tmp_path, told.append, Captions("the line")))
    assert same(written(tmp_path), written(undisturbed[0]))
    assert [facts["epoch"] for facts in told] == [0, 1, 2, 3]
    assert (tmp_path / "curves.html").is_file()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_a_training_that_ended_is_not_done_again(undisturbed):
    folder, first = undisturbed
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    notebook = Notebook()
    again = run(LineTask(before=kill_after(0)), folder, [notebook])
    assert again.metrics == first.metrics
    assert notebook.calls == [("close",)]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


def test_it_stops_where_nothing_gets_better_and_keeps_the_best_epoch(tmp_path):
    notebook = Notebook()
    task = LineTask(replace(PLAN, max_epochs=30, patience=2), judged=[3.0, 1.0, 2.0, 1.0, 0.5])
    result = run(task, tmp_path, [notebook])
    assert (result.metrics["best_epoch"], result.metrics["epochs"]) == (1, 4)
    assert result.metrics["best_loss"] == 1.0
    last = run(LineTask(replace(PLAN, max_epochs=2)), tmp_path / "two", [])
    assert result.metrics["slope"] == last.metrics["slope"]


def test_without_patience_it_goes_on_and_the_last_epoch_can_be_kept(tmp_path):
    judged = [1.0, 2.0, 3.0, 4.0]
    endless = replace(PLAN, patience=None)
    last = run(LineTask(replace(endless, keep_best=False), judged=list(judged)), tmp_path / "last", [])
    best = run(LineTask(endless, judged=list(judged)), tmp_path / "best", [])
    assert (last.metrics["epochs"], best.metrics["epochs"]) == (4, 4)
    assert last.metrics["stopped_on"] == "number of epochs"
    assert abs(last.metrics["slope"] - 3) < abs(best.metrics["slope"] - 3)


def test_without_held_out_rows_the_loss_of_training_is_watched(tmp_path):
    notebook = Notebook()
    result = run(LineTask(held_out=0), tmp_path, [notebook])
    assert result.curves["split"].to_pylist() == ["train"] * STEPS
    losses = [facts["loss"] for facts in notebook.heard("epoch")]
    assert result.metrics["best_epoch"] == int(np.argmin(losses))
    assert "no held-out images" in result.metrics["stopped_on"]
    assert all(math.isnan(facts["metric"]) for facts in notebook.heard("epoch"))


def test_a_loss_that_is_not_finite_names_the_batch_and_a_later_success_forgets_it(tmp_path):
    with pytest.raises(
        TrainingDivergedError, match=r"found that the loss of the line is inf at epoch 0, step 1; .*are in .*batch"
    ):
        run(LineTask(lr=1e30), tmp_path, [])
    content = json.loads((tmp_path / "diverged_batch.json").read_text())
    assert len(content["image_ids"]) == 16
    assert content["image_ids"][0].startswith("point-")
    run(LineTask(), tmp_path, [])
    assert not (tmp_path / "diverged_batch.json").exists()


def test_a_held_out_loss_that_is_not_finite_says_what_to_do(tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"on the held-out images is nan at epoch 0, step 3.*Lower the"):
        run(LineTask(judged=[math.nan]), tmp_path, [])
    assert not (tmp_path / "card.json").exists()


def test_the_state_of_other_settings_is_refused_by_name(tmp_path):
    with pytest.raises(KilledError):
        run(LineTask(before=kill_after(PARTS)), tmp_path, [])
    with pytest.raises(CheckpointError, match=r"last/state\.safetensors is the state of another training"):
        run(LineTask(lr=0.2), tmp_path, [])
