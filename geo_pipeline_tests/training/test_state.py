import math

import pytest
import torch

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


def test_no_state_is_none_and_a_damaged_one_is_refused(tmp_path):
    parameters, optimizer = two_steps()
    assert load_state(tmp_path, "mine", parameters, optimizer) is None
    save_state(tmp_path, Progress("mine"), parameters, optimizer)
    assert not list(tmp_path.glob("*.new"))
    with pytest.raises(CheckpointError, match="another training"):
        load_state(tmp_path, "yours", parameters, optimizer)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cut short"):
        load_state(tmp_path, "mine", parameters, optimizer)
