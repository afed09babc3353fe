"""ISNs: individual scene networks, one for indoor, natural and urban photographs, over a hierarchy of cells.

Müller-Budack, Pustu-Iren and Ewerth, Geolocation estimation of photos using a hierarchical model and scene
classification, ECCV 2018, section 3: coarse, middle and fine partitions, the product of their probabilities for every
fine cell (f*), and a network for each kind of scene.

Simplified: the three networks share one CLIP tower and have a norm and classifiers of their own, where the paper has
three whole networks; the scene comes from the class map (`scenes`), not from a Places2 classifier; the partitions are
those of GeoSURGE's hierarchy with the paper's tau_max; the answer of a cell is the mean of its photographs.
Without the idea (`idea=False`) one network answers for all scenes, and no class map is read.

Shapes: B images, M of a micro-batch, C cells of a partition, F finest cells, P partitions, D width.
"""

import numpy as np
import torch
from torch import Tensor, nn

from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.cell_scores import Places, cell_sums, covered, heads, hierarchy_scores, partitions_of
from geo_pipeline.baselines.config import BaselineConfig, IsnsOptions
from geo_pipeline.baselines.scenes import SCENES, scene_labels
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.vision import VisionTower


class SceneNetwork(nn.Module):
    """What one kind of scene has of its own: a norm and a classifier per partition."""

    def __init__(self, width: int, counts: list[int]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.heads = heads(width, counts)

    def forward(self, cls_BD: Tensor) -> list[Tensor]:
        """Logits (B, C) per partition, coarsest first."""
        cls_BD = self.norm(cls_BD)
        return [head(cls_BD) for head in self.heads]


class Isns(Baseline):
    """A shared tower and one small network per scene."""

    ancestors_FP: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        self.chosen = partitions_of(self.hierarchy, config.tau_max, config.chosen(IsnsOptions).tau_max)
        finest = self.chosen.partitions[-1]
        self.places = Places(finest.lat_deg, finest.lon_deg)
        self.register_buffer("ancestors_FP", torch.from_numpy(self.chosen.ancestors()).long(), persistent=False)
        counts = [len(partition) for partition in self.chosen.partitions]
        self.networks = nn.ModuleList(
            SceneNetwork(tower.width, counts) for _ in (SCENES if config.idea else SCENES[:1])
        )

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """The cell (N, P) of each image in each partition, -1 where none holds it."""
        return torch.from_numpy(self.chosen.assign(lat_deg_N, lon_deg_N)).long()

    def counts(self, targets_BK: Tensor) -> Tensor:
        """The images that each partition covers."""
        return covered(targets_BK)

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """The mean of the partitions' cross entropies, a term for each; each image through the network of its scene."""
        return cell_sums(self.logits(pixels_MCHW, class_map_MHW), targets_MK)

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Probabilities (B, F) of the finest cells over the hierarchy."""
        return hierarchy_scores(self.logits(pixels_BCHW, class_map_BHW), self.ancestors_FP).exp()

    def locate(self, described_BS: Tensor) -> Located:
        """The place of the most probable cell."""
        return self.places.best(described_BS)

    def logits(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> list[Tensor]:
        """Logits (B, C) per partition, each image's from the network of its scene."""
        cls_BD = self.cls(pixels_BCHW)
        if not self.config.idea:
            only: list[Tensor] = self.networks[0](cls_BD)
            return only
        scene_B = scene_labels(class_map_BHW)
        order_B = scene_B.argsort(stable=True)
        parts = [network(cls_BD[scene_B == scene]) for scene, network in enumerate(self.networks)]
        back_B = order_B.argsort()
        return [torch.cat(logits)[back_B] for logits in zip(*parts, strict=True)]
