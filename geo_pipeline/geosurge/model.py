"""The GeoSURGE network: CLIP tower, semantic fusion, projection, geographic embeddings (section III).

    model = GeoSurge.from_pretrained("checkpoint")
    features_BD = model.encode_image(pixels_BCHW, class_map_BHW)
    logits = model.cell_logits(features_BD)

Files of a checkpoint belong to `checkpoint`, the training loop to `training`, predictions to `inference`.

Shapes: B images, C channels or cells, H x W pixels, T tokens, D width.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge import checkpoint
from geo_pipeline.geosurge.config import ConfigError, GeoSurgeConfig
from geo_pipeline.geosurge.fusion import SemanticFusion
from geo_pipeline.geosurge.geography import GeographicEmbeddings
from geo_pipeline.geosurge.vision import TowerArchitecture, VisionTower, build_tower, load_tower


class GeoSurge(nn.Module):
    """The model for one hierarchy of cells. `tower` defaults to the weights that `config.vision` names."""

    def __init__(self, config: GeoSurgeConfig, hierarchy: Hierarchy, tower: VisionTower | None = None) -> None:
        super().__init__()
        self.config = config
        self.hierarchy = coarsest(hierarchy, config.depth)
        self.tower = load_tower(config.vision) if tower is None else tower
        width, patch_px, side_px = self.tower.width, self.tower.patch_px, self.tower.input_px
        self.fusion = SemanticFusion(config.fusion, width, patch_px, (side_px // patch_px) ** 2)
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, config.embedding_dim)
        cells = [len(partition.cell_ids) for partition in self.hierarchy.partitions]
        self.geography = GeographicEmbeddings(
            cells, config.embedding_dim, config.initial_temperature, config.max_logit_scale
        )

    def encode_image(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Unit visual representations (B, D) of uint8 RGB pixels (B, 3, H, W) and their ADE20K class maps (B, H, W)."""
        cls_BD = self.fusion(self.tower(pixels_BCHW), class_map_BHW)
        return functional.normalize(self.projection(self.norm(cls_BD)), dim=-1)

    def forward(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """The same as `encode_image`."""
        return self.encode_image(pixels_BCHW, class_map_BHW)

    def cell_logits(self, features_BD: Tensor) -> list[Tensor]:
        """Similarity / temperature to every cell of each partition, coarsest first: a list of (B, C)."""
        return self.geography.logits(features_BD)

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def save_pretrained(self, folder: Path | str, card: Mapping[str, Any] | None = None) -> None:
        """Write weights, card and cells to `folder`; `card` may add `metrics`, `data_fingerprint` and further facts."""
        checkpoint.save(
            Path(folder),
            self.state_dict(),
            self.config,
            self.tower.architecture.to_json(),
            self.hierarchy,
            dict(card or {}),
        )

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, hierarchy: Hierarchy | None = None, device: str | None = None
    ) -> "GeoSurge":
        """The model of a checkpoint folder, in evaluation mode.

        Raises CheckpointError for anything that is not whole and of one piece.

        With `hierarchy`, the checkpoint must have been trained on exactly that partition of the Earth.
        """
        stored = checkpoint.read(Path(folder), hierarchy)
        tower = build_tower(TowerArchitecture.from_json(stored.tower), stored.config.vision.trainable_blocks)
        model = cls(stored.config, stored.hierarchy, tower)
        checkpoint.fill(model, stored.tensors, Path(folder))
        return model.to(pick_device(device)).eval()


def coarsest(hierarchy: Hierarchy, depth: int | None) -> Hierarchy:
    """The `depth` coarsest partitions (Table VII; a shallower hierarchy loses the finest cells)."""
    if depth is None or depth == len(hierarchy.partitions):
        return hierarchy
    if depth > len(hierarchy.partitions):
        raise ConfigError(
            f"depth is {depth}, but the hierarchy has {len(hierarchy.partitions)} partitions: choose at most that."
        )
    return replace(hierarchy, partitions=hierarchy.partitions[:depth])


def pick_device(name: str | None = None) -> torch.device:
    """The named device; without a name CUDA where there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
