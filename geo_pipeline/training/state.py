"""The state of an unfinished training.

One safetensors file, replaced atomically after every epoch and every few steps, with everything that a resumed run
needs.

Parameters and AdamW moments are tensors; counters and the fingerprint of the settings are JSON in the file's header.
What a task draws at random follows from (seed, epoch) or from (seed, step), so that epoch and number of batches are the
sampler's position; the learning rate follows from epoch and step, so that it is the scheduler's state too; torch's
generators are kept as well. The state outlives its training, so that one that ended and was killed before its result
was put away is not done again. Finished models belong to the checkpoint module of each network.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from geo_pipeline.training.checkpoint import CheckpointError, read_tensors
from geo_pipeline.training.curves import CurveRow

STATE = "state.safetensors"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """Where a training stands: `batches` of `epoch` are done."""

    fingerprint: str
    epoch: int = 0
    batches: int = 0
    step: int = 0
    best_loss: float = float("inf")
    best_epoch: int = -1
    best_metric: float = float("nan")
    epochs_without_gain: int = 0
    finished: bool = False
    seconds: float = 0.0
    curves: list[CurveRow] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def counters(self) -> dict[str, Any]:
        """Everything but curves and tensors."""
        return {key: value for key, value in vars(self).items() if key not in {"curves", "best"}}


def fingerprint_of(*facts: object) -> str:
    """One hash of the settings and data that decide a training; the facts are written as JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save_state(
    folder: Path, progress: Progress, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Write the state beside and rename it into place."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {f"best/{name}": tensor for name, tensor in progress.best.items()}
    for name, parameter in parameters.items():
        tensors[f"model/{name}"] = parameter.detach()
        for key in _MOMENTS:
            if key in optimizer.state[parameter]:
                tensors[f"adam/{key}/{name}"] = optimizer.state[parameter][key]
    tensors["curves"] = torch.tensor(progress.curves, dtype=torch.float64).reshape(-1, len(CurveRow._fields))
    tensors["generator"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["cuda_generator"] = torch.cuda.get_rng_state()
    fresh = folder / f".{STATE}.new"
    save_file(
        {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
        fresh,
        {"progress": json.dumps(progress.counters())},
    )
    fresh.replace(folder / STATE)


def load_state(
    folder: Path, fingerprint: str, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> Progress | None:
    """Restore parameters and optimizer in place; None when there is no state.

    Raises CheckpointError for the state of another training.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    tensors = read_tensors(path)
    with safe_open(path, framework="pt") as file:
        counters = json.loads((file.metadata() or {}).get("progress", "{}"))
    if counters.get("fingerprint") != fingerprint:
        raise CheckpointError(
            f"{path} is the state of another training (configuration, images or geocells differ: found "
            f"{str(counters.get('fingerprint'))[:12]}, expected {fingerprint[:12]}). Delete {folder} to start afresh, "
            "or train into another folder."
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model/{name}"])
            state = {key: tensors[f"adam/{key}/{name}"] for key in _MOMENTS if f"adam/{key}/{name}" in tensors}
            optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in state.items()
            }
    torch.set_rng_state(tensors["generator"])
    if torch.cuda.is_available() and "cuda_generator" in tensors:
        torch.cuda.set_rng_state(tensors["cuda_generator"])
    best = {name.removeprefix("best/"): tensor for name, tensor in tensors.items() if name.startswith("best/")}
    return Progress(**counters, curves=[CurveRow(*row) for row in tensors["curves"].tolist()], best=best)
