"""A training that is killed, wherever, and started again ends as the undisturbed one: bit for bit in one process."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.geosurge.training import train
from geo_pipeline_tests.geosurge import tiny_geosurge

STEPS = 12


class KilledError(Exception):
    """Stands for the end of the process."""


def run(trained, out, report=lambda facts: None, before=lambda epoch: None, **training):
    config = tiny_geosurge.config(trained.clip, **training)
    files = trained.images, trained.segmentations, trained.geocells
    return tiny_geosurge.train_watched(files, config, out, report, before)


def kill_after(steps, epochs_seen=None):
    """Lets so many batches of training through."""
    through = []

    def before(epoch):
        if len(through) == steps:
            raise KilledError
        through.append(epoch)
        if epochs_seen is not None:
            epochs_seen.append(epoch)

    return before


def assert_ended_as_the_undisturbed(trained, out, result):
    expected, found = (load_file(folder / "model.safetensors") for folder in (trained.checkpoint, out))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert result.curves.equals(trained.result.curves)
    assert (out / "curves.html").read_bytes() == (trained.checkpoint / "curves.html").read_bytes()


def test_killed_between_an_epoch_and_its_state_it_takes_that_epoch_again(trained, tmp_path):
    def report(facts):
        if facts["epoch"] == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run(trained, tmp_path, report)
    seen = []
    result = run(trained, tmp_path, lambda facts: seen.append(facts["epoch"]))
    assert seen == [2, 3]
    assert_ended_as_the_undisturbed(trained, tmp_path, result)
    assert (tmp_path / "card.json").read_bytes() == (trained.checkpoint / "card.json").read_bytes()


@pytest.mark.parametrize("steps", range(1, STEPS))
def test_killed_at_any_step_it_goes_on_from_the_state_before(trained, tmp_path, steps):
    """A state is written every second step and after every epoch of three."""
    with pytest.raises(KilledError):
        run(trained, tmp_path, before=kill_after(steps), checkpoint_steps=2)
    made = []
    result = run(trained, tmp_path, before=kill_after(STEPS, made), checkpoint_steps=2)
    assert len(made) == STEPS - max(steps // 2 * 2, steps // 3 * 3)
    assert_ended_as_the_undisturbed(trained, tmp_path, result)


def test_killed_after_every_single_step_it_still_gets_there(trained, tmp_path):
    for _ in range(STEPS - 1):
        with pytest.raises(KilledError):
            run(trained, tmp_path, before=kill_after(1), checkpoint_steps=1)
    result = run(trained, tmp_path, before=kill_after(1), checkpoint_steps=1)
    assert_ended_as_the_undisturbed(trained, tmp_path, result)


def test_killed_between_micro_batches_it_goes_on_with_the_same_crops(trained, tmp_path):
    """Random crops and flips are drawn again as they were; the gradient half gathered is dropped."""
    options = {"micro_batch": 5, "random_crop": True, "horizontal_flip": True, "checkpoint_steps": 1}
    expected = run(trained, tmp_path / "whole", **options)
    with pytest.raises(KilledError):
        run(trained, tmp_path / "killed", before=kill_after(13), **options)
    found = run(trained, tmp_path / "killed", **options)
    assert found.curves.equals(expected.curves)
    folders = [tmp_path / name / "model.safetensors" for name in ("whole", "killed")]
    assert folders[0].read_bytes() == folders[1].read_bytes()


def test_early_stopping_is_not_forgotten(trained, tmp_path):
    """With a rate that does nothing the second epoch is no better: killed in it, the training still ends there."""
    options = {"lr": 1e-30, "weight_decay": 0.0, "patience": 1, "checkpoint_steps": 1}
    with pytest.raises(KilledError):
        run(trained, tmp_path, before=kill_after(4), **options)
    result = run(trained, tmp_path, **options)
    assert (result.metrics["epochs"], result.metrics["best_epoch"]) == (2, 0)


def test_a_training_that_ended_is_not_done_again(trained, tmp_path):
    config = tiny_geosurge.config(trained.clip, max_epochs=2)
    files = [trained.images], [trained.segmentations], trained.geocells
    first = train(*files, config, tmp_path, lambda facts: None, "cpu")
    written = {name: (tmp_path / name).read_bytes() for name in ("model.safetensors", "card.json", "curves.html")}
    reports: list = []
    again = train(*files, config, tmp_path, reports.append, "cpu")
    assert reports == []
    assert again.curves.equals(first.curves)
    assert again.metrics == first.metrics
    assert {name: (tmp_path / name).read_bytes() for name in written} == written


def test_images_per_second_count_only_what_was_trained_since_the_kill(trained, tmp_path):
    with pytest.raises(KilledError):
        run(trained, tmp_path, before=kill_after(2), checkpoint_steps=1)
    reports: list = []
    run(trained, tmp_path, reports.append, checkpoint_steps=1)
    counted = [round(facts["images_per_second"] * facts["seconds"]) for facts in reports]
    np.testing.assert_array_equal(counted, [2, 34, 34, 34])
