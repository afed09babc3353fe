"""Checkpoint folders of baselines: `model.safetensors`, `card.json` and, where cells are used, `geocells.parquet`.

Written atomically, the card last; read with suspicion, never a pickle. The state of an unfinished training belongs to
`geosurge.resume`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from torch import Tensor

from geo_pipeline.baselines.baseline import Baseline
from geo_pipeline.baselines.config import BaselineConfig, config_from_json
from geo_pipeline.baselines.registry import UnknownBaselineError, baseline_class, entry
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.checkpoint import (
    CARD,
    CELLS,
    DUAL_USE,
    LICENCE,
    WEIGHTS,
    CheckpointError,
    fill,
    read_tensors,
)
from geo_pipeline.geosurge.config import ConfigError
from geo_pipeline.geosurge.model import pick_device
from geo_pipeline.geosurge.vision import TowerArchitecture, VisionTower, build_tower

FORMAT = "geo-pipeline/baseline/1"


def build(config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> Baseline:
    """A baseline that has not been trained."""
    return baseline_class(config.name)(config, hierarchy if entry(config.name).cells else None, tower)


def save(folder: Path, model: Baseline, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint; `facts` (metrics, fingerprint of the data) go to the card."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    hierarchy = model.known_hierarchy
    weights, cells, card = (folder / f".{name}.new" for name in (WEIGHTS, CELLS, CARD))
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}, weights)
    content = {
        "format": FORMAT,
        "config": asdict(model.config),
        "tower": model.tower.architecture.to_json(),
        "partition_fingerprint": None if hierarchy is None else hierarchy.fingerprint(),
        **facts,
        "licence": LICENCE,
        "dual_use": DUAL_USE,
    }
    card.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if hierarchy is not None:
        pq.write_table(hierarchy.to_table(), cells)
        cells.replace(folder / CELLS)
    weights.replace(folder / WEIGHTS)
    card.replace(folder / CARD)


def load(folder: Path | str, hierarchy: Hierarchy | None = None, device: str | None = None) -> Baseline:
    """The baseline of a checkpoint folder, in evaluation mode.

    With `hierarchy`, it must have been trained on exactly that partition. Raises CheckpointError.
    """
    folder = Path(folder)
    card = read_card(folder)
    config = _config(folder, card)
    cells = _cells(folder, card, hierarchy)
    tower = build_tower(TowerArchitecture.from_json(card["tower"]), config.vision.trainable_blocks)
    model = build(config, cells, tower)
    tensors = read_tensors(_existing(folder, WEIGHTS))
    _make_room(model, tensors)
    fill(model, tensors, folder)
    return model.to(pick_device(device)).eval()


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a checkpoint folder. Raises CheckpointError when there is none that this version reads."""
    if not (folder / CARD).is_file():
        pickles = sorted(p.name for p in folder.glob("*") if p.suffix in {".pt", ".pth", ".bin", ".pkl", ".ckpt"})
        found = f"only {', '.join(pickles)}, which may hold a pickle and is never loaded" if pickles else "no card.json"
        raise CheckpointError(
            f"{folder} is no checkpoint of a baseline: found {found}; expected {WEIGHTS} and {CARD}. Train one, or "
            "name the folder that training wrote."
        )
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{folder / CARD} is not readable as JSON ({error}): train again, or restore the file."
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        name = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise CheckpointError(
            f"{folder / CARD} has the format {name!r}; expected {FORMAT!r}: name the folder of a baseline, or train "
            "again with this version."
        )
    return card


def _config(folder: Path, card: Mapping[str, Any]) -> BaselineConfig:
    try:
        return config_from_json(card["config"])
    except (KeyError, TypeError, ConfigError, UnknownBaselineError) as error:
        raise CheckpointError(
            f"{folder / CARD} holds a configuration that this version does not know ({error}): train again."
        ) from error


def _cells(folder: Path, card: Mapping[str, Any], present: Hierarchy | None) -> Hierarchy | None:
    expected = card["partition_fingerprint"]
    if expected is None:
        return None
    stored = Hierarchy.from_table(pq.read_table(_existing(folder, CELLS)))
    known = {"its own geocells.parquet": stored} | ({"the present geocells": present} if present is not None else {})
    for name, cells in known.items():
        if cells.fingerprint() != expected:
            raise CheckpointError(
                f"The checkpoint {folder} was trained on partition {expected[:12]}, {name} hold "
                f"{cells.fingerprint()[:12]}: its classes would name other places. Train again on these geocells."
            )
    return stored


def _make_room(model: Baseline, tensors: Mapping[str, Tensor]) -> None:
    """Give the collected buffers the length in which the checkpoint holds them; `fill` checks all the rest."""
    for name in model.collected:
        stored, present = tensors.get(name), model.get_buffer(name)
        if stored is not None and stored.shape[1:] == present.shape[1:] and stored.ndim == present.ndim:
            setattr(model, name, torch.empty(stored.shape, dtype=present.dtype))


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise CheckpointError(
            f"{folder} has a card but no {name}: the checkpoint is incomplete. Copy the whole folder again or train "
            "again."
        )
    return folder / name
