"""Checkpoint folders.

`model.safetensors`, `card.json` and `geocells.parquet`, written atomically and read with suspicion. Never a pickle.

The card holds configuration, tower architecture, fingerprints of partition and data, metrics, licence and the dual-use
note. The state of an unfinished training is `training.state`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.config import FusionConfig, GeoSurgeConfig, TrainingConfig, VisionConfig
from geo_pipeline.geosurge.vision import TowerArchitecture
from geo_pipeline.training.folder import CARD
from geo_pipeline.training.tensor_files import CheckpointError, read_tensors

Understood = TypeVar("Understood")

FORMAT = "geo-pipeline/geosurge/1"
WEIGHTS, CELLS = "model.safetensors", "geocells.parquet"
LICENCE = (
    "Apache-2.0 for the code; the weights follow the licence of the photographs and of the CLIP weights they were "
    "trained from."
)
DUAL_USE = (
    "Finding where a photograph was taken helps journalists, archives and rescuers, and also those who follow people. "
    "Do not use this checkpoint to locate a person without consent or lawful ground; state its error and its failures "
    "wherever its output is shown."
)


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint as read: tensors by name, configuration, tower architecture, cells and the whole card."""

    tensors: dict[str, Tensor]
    config: GeoSurgeConfig
    tower: dict[str, Any]
    hierarchy: Hierarchy
    card: dict[str, Any]


def save(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: GeoSurgeConfig,
    tower: Mapping[str, Any],
    hierarchy: Hierarchy,
    facts: Mapping[str, Any],
) -> None:
    """Write a checkpoint; each file is renamed into place, the card last, so that a folder with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    weights, cells, card = (folder / f".{name}.new" for name in (WEIGHTS, CELLS, CARD))
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, weights)
    pq.write_table(hierarchy.to_table(), cells)
    content = {
        "format": FORMAT,
        "config": asdict(config),
        "tower": dict(tower),
        "partition_fingerprint": hierarchy.fingerprint(),
        **facts,
        "licence": LICENCE,
        "dual_use": DUAL_USE,
    }
    card.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    weights.replace(folder / WEIGHTS)
    cells.replace(folder / CELLS)
    card.replace(folder / CARD)


def read_card(
    folder: Path,
    expected: str = FORMAT,
    kind: str = "GeoSURGE checkpoint",
    files: Sequence[str] = (WEIGHTS, CARD, CELLS),
) -> dict[str, Any]:
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


def fingerprint_in(card: Mapping[str, Any]) -> str:
    """The fingerprint of the partition that a checkpoint was trained on. Raises KeyError, TypeError."""
    found = card["partition_fingerprint"]
    if not isinstance(found, str):
        raise TypeError(f"partition_fingerprint is {found!r}")
    return found


def stored_cells(folder: Path, fingerprint: str, present: Hierarchy | None) -> Hierarchy:
    """The geocells of a checkpoint folder. Raises CheckpointError where they or the `present` ones are others than it
    was trained on.
    """
    stored = Hierarchy.from_table(pq.read_table(existing(folder, CELLS)))
    known = {"its own geocells.parquet": stored} | ({} if present is None else {"the present geocells": present})
    for name, cells in known.items():
        if cells.fingerprint() != fingerprint:
            raise CheckpointError(
                f"The checkpoint {folder} was trained on partition {fingerprint[:12]}, {name} hold "
                f"{cells.fingerprint()[:12]}: its cells would name other places. Train again on these geocells."
            )
    return stored


def read(folder: Path, hierarchy: Hierarchy | None = None, prefix: str = "") -> StoredCheckpoint:
    """A checkpoint, or those of its tensors whose name starts with `prefix`.

    With `hierarchy`, its partition must be the same.
    """
    card = read_card(folder)
    config, _, fingerprint = understood(
        folder,
        lambda: (config_from_json(card["config"]), TowerArchitecture.from_json(card["tower"]), fingerprint_in(card)),
    )
    stored = stored_cells(folder, fingerprint, hierarchy)
    return StoredCheckpoint(read_tensors(existing(folder, WEIGHTS), prefix), config, card["tower"], stored, card)


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
            f"The weights in {folder} are of another model (width, depth or cells differ): {shown}. Use the "
            "configuration in its card."
        )
    with torch.no_grad():
        module.load_state_dict(dict(tensors))


def config_from_json(value: Mapping[str, Any]) -> GeoSurgeConfig:
    """The configuration in a card."""
    return GeoSurgeConfig(
        **{
            **value,
            "vision": VisionConfig(**value["vision"]),
            "fusion": FusionConfig(**value["fusion"]),
            "training": TrainingConfig(**value["training"]),
        }
    )


def existing(folder: Path, name: str) -> Path:
    """A file of a checkpoint folder. Raises CheckpointError where it is missing."""
    if not (folder / name).is_file():
        raise CheckpointError(
            f"{folder} has a card but no {name}: the checkpoint is incomplete. Copy the whole folder again or train "
            "again."
        )
    return folder / name
