"""Checkpoint folders: safetensors and a JSON card, written whole and read with suspicion, never a pickle.

What a checkpoint holds belongs to the checkpoint module of its network, the state of an unfinished training to `state`.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from geo_pipeline.training.folder import CARD

Understood = TypeVar("Understood")


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged, of another model or of another partition; the message says which and what
    to do.
    """


@contextmanager
def written_whole(folder: Path, card: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to write the files of a checkpoint into; they are renamed into place, the card last, so that a folder
    with a card is whole.
    """
    fresh = folder / ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    (folder / CARD).unlink(missing_ok=True)
    yield fresh
    (fresh / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for file in sorted(fresh.iterdir(), key=lambda path: path.name == CARD):
        file.replace(folder / file.name)
    fresh.rmdir()


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors of any device and layout as a safetensors file."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def read_card(folder: Path, expected: str, kind: str, files: Sequence[str]) -> dict[str, Any]:
    """The card of a checkpoint folder. Raises CheckpointError when there is none of the `expected` format."""
    if not (folder / CARD).is_file():
        pickles = sorted(p.name for p in folder.glob("*") if p.suffix in {".pt", ".pth", ".bin", ".pkl", ".ckpt"})
        found = f"only {', '.join(pickles)}, which may hold a pickle and is never loaded" if pickles else "no card.json"
        raise CheckpointError(
            f"{folder} is no {kind}: found {found}; expected {', '.join(files[:-1])} and {files[-1]}. Train one, or "
            "name the folder that training wrote."
        )
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{folder / CARD} is not readable as JSON ({error}): train again, or restore the file."
        ) from error
    if not isinstance(card, dict) or card.get("format") != expected:
        name = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise CheckpointError(
            f"{folder / CARD} has the format {name!r}; expected {expected!r}: name the folder of a {kind}, or train "
            "again with this version."
        )
    return card


def understood(folder: Path, reading: Callable[[], Understood]) -> Understood:
    """What `reading` takes from a card. Raises CheckpointError where it lacks something or has what is not known."""
    try:
        return reading()
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / CARD} holds what this version does not know, or lacks what it needs "
            f"({type(error).__name__}: {error}). Train again, or read it with the version that wrote it."
        ) from error


def existing(folder: Path, name: str) -> Path:
    """A file of a checkpoint folder. Raises CheckpointError where it is missing."""
    if not (folder / name).is_file():
        raise CheckpointError(
            f"{folder} has a card but no {name}: the checkpoint is incomplete. Copy the whole folder again or train "
            "again."
        )
    return folder / name


def read_tensors(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """Tensors of a safetensors file whose name starts with `prefix`, on the CPU.

    Raises CheckpointError for a damaged file or a pickle.
    """
    try:
        with safe_open(path, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys() if name.startswith(prefix)}  # noqa: SIM118
    except SafetensorError as error:
        with path.open("rb") as file:
            pickled = file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
        if pickled:
            found = "is a pickle or a zip archive, whatever its name, and is not loaded; expected safetensors"
        else:
            size = path.stat().st_size
            found = f"has {size} bytes and is not a whole safetensors file ({error}): it was cut short or damaged"
        raise CheckpointError(f"{path} {found}. Copy it again or train again.") from error


def fill(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Load tensors into a module, all of them and nothing else; floating point is cast to the module's type."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [f"{name}: missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name}: not part of the model" for name in sorted(found.keys() - wanted.keys())]
    problems += [
        f"{name}: found {found[name]}, expected {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if found[name] != wanted[name]
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise CheckpointError(
            f"found that the weights in {folder} are of another model (width, depth or cells differ): {shown}. Use the "
            "configuration in its card."
        )
    with torch.no_grad():
        module.load_state_dict(dict(tensors))
