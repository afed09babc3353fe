import math
import pickle
import random
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline.training.curves import CurveRow
from geo_pipeline.training.state import STATE, Progress, load_state, save_state


def two_steps():
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    return dict(layer.named_parameters()), optimizer


def test_a_state_comes_back_bit_for_bit(tmp_path):
    parameters, optimizer = two_steps()
    progress = Progress("mine", epoch=1, step=2, best_loss=0.5, best={"weight": torch.ones(2)})
    progress.curves.append(CurveRow(1.0, 0.0, 0.0, 0.1, 0.1))
    save_state(tmp_path, progress, parameters, optimizer)
    drawn = torch.rand(2)
    fresh, fresh_optimizer = two_steps()
    with torch.no_grad():
        for parameter in fresh.values():
            parameter.zero_()
    found = load_state(tmp_path, "mine", fresh, fresh_optimizer)
    assert found is not None
    assert (found.epoch, found.step, found.best_loss, found.finished) == (1, 2, 0.5, False)
    assert torch.equal(found.best["weight"], torch.ones(2))
    assert found.curves[0][:5] == progress.curves[0][:5]
    assert math.isnan(found.curves[0][5])
    assert torch.equal(torch.rand(2), drawn)
    for name, parameter in parameters.items():
        assert torch.equal(parameter, fresh[name])
        for key, value in optimizer.state[parameter].items():
            assert torch.equal(value, fresh_optimizer.state[fresh[name]][key])


def test_a_state_that_was_only_half_written_is_not_looked_at(tmp_path):
    """Killed while it writes, a run leaves the file beside the good one."""
    parameters, optimizer = two_steps()
    save_state(tmp_path, Progress("mine", step=2), parameters, optimizer)
    (tmp_path / f".{STATE}.new").write_bytes((tmp_path / STATE).read_bytes()[:100])
    found = load_state(tmp_path, "mine", parameters, optimizer)
    assert found is not None
    assert found.step == 2
    save_state(tmp_path, Progress("mine", step=3), parameters, optimizer)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_no_state_is_none_and_that_of_another_training_is_refused(tmp_path):
    parameters, optimizer = two_steps()
    assert load_state(tmp_path, "mine", parameters, optimizer) is None
    save_state(tmp_path, Progress("mine"), parameters, optimizer)
    assert not list(tmp_path.glob("*.new"))
    with pytest.raises(CheckpointError, match="another training"):
        load_state(tmp_path, "yours", parameters, optimizer)


def is_refused(folder, data, caplog):
    """Whether a state of these bytes is named in one line and changes nothing."""
    caplog.clear()
    (folder / STATE).write_bytes(data)
    parameters, optimizer = two_steps()
    before, drawn = {name: value.detach().clone() for name, value in parameters.items()}, torch.get_rng_state()
    found = load_state(folder, "mine", parameters, optimizer)
    unchanged = all(torch.equal(before[name], value) for name, value in parameters.items())
    unchanged = unchanged and torch.equal(torch.get_rng_state(), drawn)
    return found is None and unchanged and re.findall("found .* damaged.* starts anew", caplog.text) != []


def test_a_flip_of_any_byte_is_found_before_anything_is_taken_from_the_state(tmp_path, caplog):
    parameters, optimizer = two_steps()
    with torch.no_grad():
        parameters["weight"].mul_(2)
    save_state(tmp_path, Progress("mine", step=2), parameters, optimizer)
    whole, chance = (tmp_path / STATE).read_bytes(), random.Random(0)
    header = range(8 + int.from_bytes(whole[:8], "little"))
    for position in [*header, *chance.sample(range(len(header), len(whole)), 200), len(whole) - 1]:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << chance.randrange(8)
        assert is_refused(tmp_path, flipped, caplog), position
    (tmp_path / STATE).write_bytes(whole)
    assert load_state(tmp_path, "mine", parameters, optimizer) is not None


def test_a_hole_of_zeros_a_part_nothing_and_a_pickle_are_no_state(tmp_path, caplog):
    parameters, optimizer = two_steps()
    save_state(tmp_path, Progress("mine", step=2), parameters, optimizer)
    whole = (tmp_path / STATE).read_bytes()
    hole = whole[:-300] + bytes(100) + whole[-200:]
    for data in (hole, whole[: len(whole) // 2], whole[:-1], whole[:7], b"", bytes(len(whole)), pickle.dumps([1] * 99)):
        assert is_refused(tmp_path, data, caplog), data[:20]


def test_a_state_of_an_earlier_version_has_no_hash_and_is_not_used(tmp_path, caplog):
    parameters, optimizer = two_steps()
    save_state(tmp_path, Progress("mine", step=2), parameters, optimizer)
    with safe_open(tmp_path / STATE, framework="pt") as file:
        counters = file.metadata()["progress"]
    save_file(load_file(tmp_path / STATE), tmp_path / STATE, {"progress": counters})
    assert is_refused(tmp_path, (tmp_path / STATE).read_bytes(), caplog)
