"""The GeoSURGE network: CLIP tower, semantic fusion, projection, geography (section III).

    model = GeoSurge.from_pretrained("checkpoint")
    features_1D = model.encode_photograph(image_HWC, class_map_HW)
    lat_deg, lon_deg = model.best_places(features_1D)[0]

Files of a checkpoint belong to `checkpoint`, the training loop to `training`, predictions of whole tables to `worker`
and `inference`.

Shapes: B images, C channels or cells, H x W pixels, T tokens, D width, F finest cells, P partitions.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge import checkpoint
from geo_pipeline.geosurge.config import ConfigError, DepthKept, GeoSurgeConfig
from geo_pipeline.geosurge.fusion import SemanticFusion
from geo_pipeline.geosurge.geography import geography_of
from geo_pipeline.geosurge.pairs import stack_pairs
from geo_pipeline.geosurge.scores import combine, partition_scores
from geo_pipeline.geosurge.vision import TowerArchitecture, VisionTower, build_tower, load_tower
from geo_pipeline.imagery.crops import resize_pair, ten_crop
from geo_pipeline.training.checkpoint import fill
from geo_pipeline.training.device import pick_device


class GeoSurge(nn.Module):
    """The model for one hierarchy of cells. `tower` defaults to the weights that `config.vision` names."""

    def __init__(self, config: GeoSurgeConfig, hierarchy: Hierarchy, tower: VisionTower | None = None) -> None:
        super().__init__()
        self.config = config
        self.hierarchy = shallower(hierarchy, config.depth, config.depth_kept)
        self.tower = load_tower(config.vision) if tower is None else tower
        width, patch_px, side_px = self.tower.width, self.tower.patch_px, self.tower.input_px
        self.fusion = SemanticFusion(config.fusion, width, patch_px, (side_px // patch_px) ** 2)
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, config.embedding_dim)
        cells = [len(partition.cell_ids) for partition in self.hierarchy.partitions]
        self.geography = geography_of(config, cells)

    def encode_image(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Unit visual representations (B, D) of uint8 RGB pixels (B, 3, H, W) and their ADE20K class maps (B, H, W)."""
        cls_BD = self.fusion(self.tower(pixels_BCHW), class_map_BHW)
        return functional.normalize(self.projection(self.norm(cls_BD)), dim=-1)

    def forward(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """The same as `encode_image`."""
        return self.encode_image(pixels_BCHW, class_map_BHW)

    @property
    def encoder(self) -> Callable[[Tensor, Tensor], Tensor]:
        """`encode_image`, compiled where `config.compile` says so."""
        return self._compiled if self.config.compile else self.encode_image

    @cached_property
    def _compiled(self) -> Callable[[Tensor, Tensor], Tensor]:
        return torch.compile(self.encode_image)

    def cell_logits(self, features_BD: Tensor) -> list[Tensor]:
        """Similarity / temperature to every cell of each partition, coarsest first: a list of (B, C).

        Of a model trained with geography `classifier` these are its classifiers' logits.
        """
        return self.geography.logits(features_BD)

    @torch.inference_mode()
    def encode_photograph(self, image_HWC: np.ndarray, class_map_HW: np.ndarray) -> Tensor:
        """The mean visual representation (1, D) of the ten crops of one photograph, uint8 RGB, and its class map.

        Both may have any size, as long as it is the same. Raises CropError where it is not.
        """
        vision, device = self.config.vision, next(self.parameters()).device
        pair = resize_pair(image_HWC, class_map_HW, vision.resize_px)
        crops = zip(*ten_crop(*pair, vision.input_px), strict=True)
        pixels_BCHW, class_map_BHW = (tensor.to(device) for tensor in stack_pairs(list(crops)))
        return self.encode_image(pixels_BCHW, class_map_BHW).float().mean(dim=0, keepdim=True)

    @torch.inference_mode()
    def best_places(self, features_BD: Tensor) -> np.ndarray:
        """Latitude and longitude (B, 2) in degrees of the best finest cell by hierarchical inference (III-D)."""
        scales = [self.geography.scale(p) for p in range(len(self.hierarchy.partitions))]
        parts = partition_scores(self.geography.cosines(features_BD), scales, "log_softmax")
        ancestors_FP = torch.from_numpy(self.hierarchy.ancestors()).long().to(features_BD.device)
        best_B = combine(parts, ancestors_FP, "log_softmax").argmax(dim=1).cpu().numpy()
        finest = self.hierarchy.partitions[-1]
        return np.stack([finest.lat_deg[best_B], finest.lon_deg[best_B]], axis=1)

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
        fill(model, stored.tensors, Path(folder))
        return model.to(pick_device(device)).eval()


def shallower(hierarchy: Hierarchy, depth: int | None, kept: DepthKept) -> Hierarchy:
    """`depth` of the partitions (Table VII), None for all: which ones, says `kept` (`GeoSurgeConfig.depth_kept`)."""
    total = len(hierarchy.partitions)
    if depth is None or depth == total:
        return hierarchy
    if depth > total:
        raise ConfigError(
            f"found that depth is {depth}, but the hierarchy has {total} partitions: choose at most that."
        )
    numbers: dict[DepthKept, Sequence[int]] = {
        "finest": range(total - depth, total),
        "spread": np.linspace(total - 1, 0, depth).round().astype(int)[::-1].tolist(),
        "coarsest": range(depth),
    }
    return hierarchy.only(numbers[kept])
