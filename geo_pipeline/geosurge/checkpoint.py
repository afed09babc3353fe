"""Checkpoint folders.

`model.safetensors`, `card.json` and `geocells.parquet`, written atomically and read with suspicion. Never a pickle.

The card holds configuration, tower architecture, fingerprints of partition and data, metrics, licence and the dual-use
note. The state of an unfinished training is `training.state`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from torch import Tensor

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.config import FusionConfig, GeoSurgeConfig, TrainingConfig, VisionConfig
from geo_pipeline.geosurge.vision import TowerArchitecture
from geo_pipeline.training.checkpoint import (
    CheckpointError,
    existing,
    read_card,
    read_tensors,
    save_tensors,
    understood,
    written_whole,
)
from geo_pipeline.training.folder import CARD

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
    content = {
        "format": FORMAT,
        "config": asdict(config),
        "tower": dict(tower),
        "partition_fingerprint": hierarchy.fingerprint(),
        **facts,
        "licence": LICENCE,
        "dual_use": DUAL_USE,
    }
    with written_whole(folder, content) as fresh:
        save_tensors(tensors, fresh / WEIGHTS)
        pq.write_table(hierarchy.to_table(), fresh / CELLS)


def fingerprint_in(card: Mapping[str, Any]) -> str:
    """The fingerprint of the partition that a checkpoint was trained on. Raises KeyError, TypeError."""
    found = card["partition_fingerprint"]
    if not isinstance(found, str):
        raise TypeError(f"found that partition_fingerprint is {found!r}, expected text")
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
                f"found that the checkpoint {folder} was trained on partition {fingerprint[:12]}, {name} hold "
                f"{cells.fingerprint()[:12]}: its cells would name other places. Train again on these geocells."
            )
    return stored


def read(folder: Path, hierarchy: Hierarchy | None = None, prefix: str = "") -> StoredCheckpoint:
    """A checkpoint, or those of its tensors whose name starts with `prefix`.

    With `hierarchy`, its partition must be the same.
    """
    card = read_card(folder, FORMAT, "GeoSURGE checkpoint", (WEIGHTS, CARD, CELLS))
    config, _, fingerprint = understood(
        folder,
        lambda: (config_from_json(card["config"]), TowerArchitecture.from_json(card["tower"]), fingerprint_in(card)),
    )
    stored = stored_cells(folder, fingerprint, hierarchy)
    return StoredCheckpoint(read_tensors(existing(folder, WEIGHTS), prefix), config, card["tower"], stored, card)


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
