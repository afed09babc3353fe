import sys
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from geo_pipeline.geosurge.event_log import EventLog
from geo_pipeline.geosurge.resume import Progress
from geo_pipeline.geosurge.training import train
from geo_pipeline_tests.geosurge import tiny_geosurge


class KilledError(Exception):
    """Stands for the end of the process."""


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


def test_the_events_are_the_curves_and_the_speed_of_each_step(trained):
    shown, curves = events(trained.checkpoint), trained.result.curves
    assert_shown(shown["loss/train"], rows(curves, "train", "loss"))
    assert_shown(shown["learning_rate"], rows(curves, "train", "learning_rate"))
    assert_shown(shown["loss/holdout"], rows(curves, "holdout", "loss"))
    assert_shown(shown["accuracy/holdout_mean"], rows(curves, "holdout", "metric"))
    steps = list(range(1, 13))
    assert [step for step, _ in shown["speed/images_per_second"]] == steps
    assert all(value > 0 for _, value in shown["speed/images_per_second"])
    assert [step for step, _ in shown["speed/loader_wait_share"]] == steps
    assert all(0 <= value <= 1 for _, value in shown["speed/loader_wait_share"])


@pytest.mark.parametrize(("killed_at", "checkpoint_steps"), [(5, 2), (4, 500), (2, 500), (6, 3)])
def test_a_resumed_run_goes_on_without_telling_a_step_twice(trained, tmp_path, killed_at, checkpoint_steps):
    """Killed at step 5 with a state of step 4; at 4 with one of step 3; at 2 with none; and as an epoch begins."""
    files = trained.images, trained.segmentations, trained.geocells
    config = tiny_geosurge.config(trained.clip, checkpoint_steps=checkpoint_steps)
    through = []

    def before(epoch):
        if len(through) == killed_at:
            raise KilledError
        through.append(epoch)

    with pytest.raises(KilledError):
        tiny_geosurge.train_watched(files, config, tmp_path, lambda facts: None, before)
    time.sleep(1.1)  # a file is named by its second, and TensorBoard reads them by name
    result = tiny_geosurge.train_watched(files, config, tmp_path, lambda facts: None, lambda epoch: None)
    shown = events(tmp_path)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    assert_shown(shown["loss/train"], rows(result.curves, "train", "loss"))
    assert_shown(shown["loss/holdout"], rows(result.curves, "holdout", "loss"))


def test_an_epoch_judged_but_not_kept_is_told_once(trained, tmp_path):
    """Killed between the held-out images and the state; the state of the epoch's last step is there."""
    files = trained.images, trained.segmentations, trained.geocells
    config = tiny_geosurge.config(trained.clip, checkpoint_steps=1)

    def report(facts):
        if facts["epoch"] == 1:
            raise KilledError

    with pytest.raises(KilledError):
        tiny_geosurge.train_watched(files, config, tmp_path, report, lambda epoch: None)
    time.sleep(1.1)  # a file is named by its second, and TensorBoard reads them by name
    result = tiny_geosurge.train_watched(files, config, tmp_path, lambda facts: None, lambda epoch: None)
    shown = events(tmp_path)
    assert_shown(shown["loss/train"], rows(result.curves, "train", "loss"))
    assert_shown(shown["loss/holdout"], rows(result.curves, "holdout", "loss"))


def test_events_are_on_disk_as_soon_as_they_are_flushed(tmp_path):
    with EventLog(tmp_path / "tensorboard", Progress("mine")) as log:
        log.trained(1, 0.5, 0.1, 16, 2.0, 0.5)
        log.flush()
        assert events(tmp_path)["speed/images_per_second"] == [(1, 8.0)]
        assert events(tmp_path)["speed/loader_wait_share"] == [(1, 0.25)]


def test_a_step_that_a_state_counts_can_be_seen_while_training_goes_on(trained, tmp_path):
    files = trained.images, trained.segmentations, trained.geocells
    config = tiny_geosurge.config(trained.clip, max_epochs=2, checkpoint_steps=1)
    seen = []

    def before(epoch):
        seen.append(len(events(tmp_path).get("loss/train", [])))

    tiny_geosurge.train_watched(files, config, tmp_path, lambda facts: None, before)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with EventLog(None, Progress("mine")) as log:
        log.trained(1, 0.5, 0.1, 16, 2.0, 0.5)
        log.judged(1, 0.5, 0.1)
        log.flush()
    assert list(tmp_path.iterdir()) == []


def test_where_tensorboard_is_absent_training_says_so_once_and_ends_the_same(trained, tmp_path, monkeypatch, caplog):
    for module in ("tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it raises ImportError, as where it is not installed
    files = [trained.images], [trained.segmentations], trained.geocells
    train(*files, tiny_geosurge.config(trained.clip), tmp_path, lambda facts: None, "cpu")
    assert caplog.text.count("Found no tensorboard here") == 1
    assert not (tmp_path / "tensorboard").exists()
    for name in ("model.safetensors", "card.json", "curves.html"):
        assert (tmp_path / name).read_bytes() == (trained.checkpoint / name).read_bytes()
