"""Checkpoint folders of baselines: `model.safetensors`, `card.json` and, where cells are used, `geocells.parquet`.

Written atomically, the card last; read with suspicion, never a pickle. The state of an unfinished training is
`training.state`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from torch import Tensor

from geo_pipeline.baselines.baseline import Baseline
from geo_pipeline.baselines.config import BaselineConfig, config_from_json
from geo_pipeline.baselines.registry import baseline_class, entry
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.checkpoint import (
    CELLS,
    DUAL_USE,
    LICENCE,
    WEIGHTS,
    fingerprint_in,
    stored_cells,
)
from geo_pipeline.geosurge.vision import TowerArchitecture, VisionTower, build_tower
from geo_pipeline.training.checkpoint import (
    existing,
    fill,
    read_card,
    read_tensors,
    save_tensors,
    understood,
    written_whole,
)
from geo_pipeline.training.device import pick_device
from geo_pipeline.training.folder import CARD

FORMAT = "geo-pipeline/baseline/1"


def build(config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> Baseline:
    """A baseline that has not been trained."""
    return baseline_class(config.name)(config, hierarchy if entry(config.name).cells else None, tower)


def save(folder: Path, model: Baseline, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint; `facts` (metrics, fingerprint of the data) go to the card."""
    hierarchy = model.known_hierarchy
    content = {
        "format": FORMAT,
        "config": asdict(model.config),
        "tower": model.tower.architecture.to_json(),
        "partition_fingerprint": None if hierarchy is None else hierarchy.fingerprint(),
        **facts,
        "licence": LICENCE,
        "dual_use": DUAL_USE,
    }
    with written_whole(folder, content) as fresh:
        save_tensors(model.state_dict(), fresh / WEIGHTS)
        if hierarchy is not None:
            pq.write_table(hierarchy.to_table(), fresh / CELLS)


def load(folder: Path | str, hierarchy: Hierarchy | None = None, device: str | None = None) -> Baseline:
    """The baseline of a checkpoint folder, in evaluation mode.

    With `hierarchy`, it must have been trained on exactly that partition. Raises CheckpointError.
    """
    folder = Path(folder)
    card = read_card(folder, FORMAT, "checkpoint of a baseline", (WEIGHTS, CARD))
    config, architecture, fingerprint = understood(
        folder,
        lambda: (
            config_from_json(card["config"]),
            TowerArchitecture.from_json(card["tower"]),
            None if card["partition_fingerprint"] is None else fingerprint_in(card),
        ),
    )
    cells = None if fingerprint is None else stored_cells(folder, fingerprint, hierarchy)
    model = build(config, cells, build_tower(architecture, config.vision.trainable_blocks))
    tensors = read_tensors(existing(folder, WEIGHTS))
    _make_room(model, tensors)
    fill(model, tensors, folder)
    return model.to(pick_device(device)).eval()


def _make_room(model: Baseline, tensors: Mapping[str, Tensor]) -> None:
    """Give the collected buffers the length in which the checkpoint holds them; `fill` checks all the rest."""
    for name in model.collected:
        stored, present = tensors.get(name), model.get_buffer(name)
        if stored is not None and stored.shape[1:] == present.shape[1:] and stored.ndim == present.ndim:
            setattr(model, name, torch.empty(stored.shape, dtype=present.dtype))
