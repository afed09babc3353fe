"""A baseline's training that is killed, wherever, and started again ends as the undisturbed one, bit for bit."""

import numpy as np
import pytest

from geo_pipeline_tests.baselines import tiny_baselines

OPTIONS = {"max_epochs": 2, "batch": 8, "micro_batch": 3, "random_crop": True, "gamma": 0.9}
STEPS = 10


class KilledError(Exception):
    """Stands for the end of the process."""


def kill_after(parts, seen=None):
    """Lets so many micro-batches of training through."""
    through = []

    def before(epoch):
        if len(through) == parts:
            raise KilledError
        through.append(epoch)
        if seen is not None:
            seen.append(epoch)

    return before


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    trained = {}
    for name in ("isns", "geoclip"):
        folder = tmp_path_factory.mktemp(f"undisturbed_{name}")
        config = tiny_baselines.config(world.clip, name, **{**OPTIONS, "checkpoint_steps": 2})
        trained[name] = folder, world.train(config, folder)
    assert trained["isns"][1].metrics["steps"] == STEPS
    return trained


@pytest.mark.parametrize("name", ["isns", "geoclip"])
@pytest.mark.parametrize(("parts", "left"), [(2, 26), (7, 20), (12, 14), (14, 13), (20, 10), (25, 4)])
def test_killed_within_an_epoch_it_goes_on_from_the_state_before(world, undisturbed, tmp_path, name, parts, left):
    """A state is written every second step and after every epoch: of four steps in three parts, and one in one."""
    config = tiny_baselines.config(world.clip, name, **{**OPTIONS, "checkpoint_steps": 2})
    with pytest.raises(KilledError):
        world.train_watched(config, tmp_path, lambda facts: None, kill_after(parts))
    made = []
    found = world.train_watched(config, tmp_path, lambda facts: None, kill_after(99, made))
    assert len(made) == left
    folder, expected = undisturbed[name]
    for written in ("model.safetensors", "card.json"):
        assert (tmp_path / written).read_bytes() == (folder / written).read_bytes()
    assert found.curves.equals(expected.curves)


def test_images_per_second_count_only_what_was_trained_since_the_kill(world, tmp_path):
    config = tiny_baselines.config(world.clip, "isns", max_epochs=1, batch=8, checkpoint_steps=1)
    with pytest.raises(KilledError):
        world.train_watched(config, tmp_path, lambda facts: None, kill_after(4))
    reports = []
    world.train_watched(config, tmp_path, reports.append, kill_after(99))
    np.testing.assert_array_equal([round(facts["images_per_second"] * facts["seconds"]) for facts in reports], [2])


@pytest.mark.parametrize("name", ["lknn", "pigeon"])
def test_a_training_that_ended_is_not_done_again(world, tmp_path, name):
    config = tiny_baselines.config(world.clip, name, max_epochs=2)
    first = world.train(config, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    reports = []
    again = world.train(config, tmp_path, reports.append)
    assert reports == []
    assert again.curves.equals(first.curves)
    assert again.metrics == first.metrics
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == written


def test_a_checkpoint_of_another_training_is_not_taken_for_this_one(world, tmp_path):
    first = world.train(tiny_baselines.config(world.clip, "lknn"), tmp_path)
    other = world.train(tiny_baselines.config(world.clip, "lknn", idea=False), tmp_path)
    assert (first.metrics["idea"], other.metrics["idea"]) == (True, False)


def test_killed_while_its_checkpoint_was_written_it_is_written_again(world, tmp_path):
    config = tiny_baselines.config(world.clip, "planet_net", max_epochs=2)
    first = world.train(config, tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "card.json").unlink()
    (tmp_path / "model.safetensors").write_bytes(whole[:100])
    assert world.train(config, tmp_path).metrics == first.metrics
    assert (tmp_path / "model.safetensors").read_bytes() == whole
