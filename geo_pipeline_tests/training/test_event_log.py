import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from geo_pipeline.training.curve_page import Captions
from geo_pipeline.training.event_log import EventLog
from geo_pipeline.training.loggers import usual_loggers
from geo_pipeline.training.loop import run
from geo_pipeline_tests.training.tiny_task import PLAN, STEPS, KilledError, LineTask

FACTS = {"step": 1, "loss": 0.5, "learning_rate": 0.1, "images_per_second": 8.0, "loader_wait_share": 0.25}


def events(folder):
    """What TensorBoard shows: (step, value) by name."""
    shown = EventAccumulator(str(folder / "tensorboard"))
    shown.Reload()
    return {name: [(event.step, event.value) for event in shown.Scalars(name)] for name in shown.Tags()["scalars"]}


def rows(curves, split, column):
    return [(row["step"], row[column]) for row in curves.to_pylist() if row["split"] == split]


def assert_shown(found, expected):
    assert [step for step, _ in found] == [step for step, _ in expected]
    np.testing.assert_allclose([value for _, value in found], [value for _, value in expected], rtol=1e-6)


def trained(task, folder, report=lambda facts: None):
    return run(task, folder, usual_loggers(folder, report, Captions(task.name)))


def kill_at(step):
    def before(part):
        if part.step == step:
            raise KilledError

    return before


def test_the_events_are_the_curves_and_the_speed_of_each_step(tmp_path):
    curves = trained(LineTask(), tmp_path).curves
    shown = events(tmp_path)
    assert_shown(shown["loss/train"], rows(curves, "train", "loss"))
    assert_shown(shown["learning_rate"], rows(curves, "train", "learning_rate"))
    assert_shown(shown["loss/holdout"], rows(curves, "holdout", "loss"))
    assert_shown(shown["accuracy/holdout_mean"], rows(curves, "holdout", "metric"))
    steps = list(range(1, STEPS + 1))
    assert [step for step, _ in shown["speed/images_per_second"]] == steps
    assert all(value > 0 for _, value in shown["speed/images_per_second"])
    assert [step for step, _ in shown["speed/loader_wait_share"]] == steps
    assert all(0 <= value <= 1 for _, value in shown["speed/loader_wait_share"])


@pytest.mark.parametrize(("killed_at", "checkpoint_steps"), [(5, 2), (4, 500), (2, 500), (6, 3)])
def test_a_resumed_run_goes_on_without_telling_a_step_twice(tmp_path, killed_at, checkpoint_steps):
    """Killed at step 5 with a state of step 4; at 4 with one of step 3; at 2 with none; and as an epoch begins."""
    plan = replace(PLAN, checkpoint_steps=checkpoint_steps)
    with pytest.raises(KilledError):
        trained(LineTask(plan, before=kill_at(killed_at)), tmp_path)
    time.sleep(1.1)  # a file is named by its second, and TensorBoard reads them by name
    result = trained(LineTask(plan), tmp_path)
    shown = events(tmp_path)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    assert_shown(shown["loss/train"], rows(result.curves, "train", "loss"))
    assert_shown(shown["loss/holdout"], rows(result.curves, "holdout", "loss"))


def test_an_epoch_judged_but_not_kept_is_told_once(tmp_path):
    """Killed between the held-out images and the state; the state of the epoch's last step is there."""
    plan = replace(PLAN, checkpoint_steps=1)

    def report(facts):
        if facts["epoch"] == 1:
            raise KilledError

    with pytest.raises(KilledError):
        trained(LineTask(plan), tmp_path, report)
    time.sleep(1.1)  # a file is named by its second, and TensorBoard reads them by name
    result = trained(LineTask(plan), tmp_path)
    shown = events(tmp_path)
    assert_shown(shown["loss/train"], rows(result.curves, "train", "loss"))
    assert_shown(shown["loss/holdout"], rows(result.curves, "holdout", "loss"))


def test_events_are_on_disk_as_soon_as_they_are_flushed(tmp_path):
    log = EventLog(tmp_path / "tensorboard")
    log.begin(0, None)
    log.step(FACTS)
    log.flush()
    assert events(tmp_path)["speed/images_per_second"] == [(1, 8.0)]
    assert events(tmp_path)["speed/loader_wait_share"] == [(1, 0.25)]
    log.close()


def test_a_step_that_a_state_counts_can_be_seen_while_training_goes_on(tmp_path):
    seen = {}

    def before(part):
        seen.setdefault(part.step, len(events(tmp_path).get("loss/train", [])))

    trained(LineTask(replace(PLAN, max_epochs=2, checkpoint_steps=1), before=before), tmp_path)
    assert seen == {step: step for step in range(6)}


def test_workers_other_than_the_first_write_nothing(tmp_path):
    told = []
    loggers = usual_loggers(tmp_path, told.append, Captions("the line"), rank=1)
    for logger in loggers:
        logger.begin(0, None)
        logger.epoch({"step": 1, "holdout_loss": 0.5, "metric": 0.1})
        logger.close()
    assert list(tmp_path.iterdir()) == []
    assert told == [{"step": 1, "holdout_loss": 0.5, "metric": 0.1}]


def test_where_tensorboard_is_absent_training_says_so_once_and_ends_the_same(tmp_path, monkeypatch, caplog):
    trained(LineTask(), tmp_path / "with")
    for module in ("tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it raises ImportError, as where it is not installed
    trained(LineTask(), tmp_path / "without")
    assert caplog.text.count("found no tensorboard here") == 1
    assert not (tmp_path / "without" / "tensorboard").exists()
    for name in ("model.safetensors", "card.json", "curves.html"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
