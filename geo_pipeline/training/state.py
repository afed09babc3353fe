"""The state of an unfinished training.

One safetensors file, replaced atomically after every epoch and every few steps, with everything that a resumed run
needs.

Parameters and AdamW moments are tensors; counters and the fingerprint of the settings are JSON in the file's header.
What a task draws at random follows from (seed, epoch) or from (seed, step), so that epoch and number of batches are the
sampler's position; the learning rate follows from epoch and step, so that it is the scheduler's state too; torch's
generators are kept as well. The state outlives its training, so that one that ended and was killed before its result
was put away is not done again. Finished models belong to the checkpoint module of each network, what an ended training
left beside its state to `ended`.

The header also holds the SHA-256 of the tensors and counters. It is taken from memory, of what is written and of what
was read, so no file is read twice; it costs 0.4 s per 500 MiB on one core, writing them to a disk 1.7 to 2.3 s. A state
without it, of an earlier version, does not count: one flipped bit makes such a state of any other.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline.training.curves import CurveRow

LOG = logging.getLogger(__name__)
STATE = "state.safetensors"
_PROGRESS, _SEAL = "progress", "content_sha256"
"""Keys of the header."""
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
    written = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    counters = json.dumps(progress.counters())
    fresh = folder / f".{STATE}.new"
    save_file(written, fresh, {_PROGRESS: counters, _SEAL: _content_sha256(written, counters)})
    fresh.replace(folder / STATE)


def load_state(
    folder: Path, fingerprint: str, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> Progress | None:
    """Restore parameters and optimizer in place; None when there is no state.

    A state that is not what was written is named in a warning, counts as none, and is replaced by the next one. Raises
    CheckpointError for the state of another training.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    found = _read_state(path)
    if found is None:
        LOG.warning(
            "found %s damaged, or of an earlier version: its content has not the SHA-256 of its header; it is not "
            "used, and the training starts anew from its beginning",
            path,
        )
        return None
    tensors, counters = found
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


def _read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and counters of a state; None when they are not what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
            header = file.metadata() or {}
    except SafetensorError:
        return None
    counters = header.get(_PROGRESS, "")
    return (tensors, json.loads(counters)) if header.get(_SEAL) == _content_sha256(tensors, counters) else None


def _content_sha256(tensors: Mapping[str, Tensor], counters: str) -> str:
    hasher = hashlib.sha256(counters.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        hasher.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()
