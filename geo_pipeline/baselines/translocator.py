"""TransLocator: a branch for the photograph and one for its segmentation map, which talk through their CLS tokens.

Pramanick et al., Where in the World is this Image? Transformer-based Geo-localization in the Wild, ECCV 2022. After
each layer the CLS tokens of both branches are projected, added up and projected back to either branch (multimodal
feature fusion); the two last CLS tokens together classify cells of three partitions and, as a second task, the scene.

Simplified: the photograph's branch starts from CLIP tokens instead of pixels; the map enters as classes, not as
colours; one scene set of three instead of 3, 16 and 365, with labels from the map (`scenes`), which only training
reads; partitions are weighed alike. Without the idea (`idea=False`) the second branch sees the photograph again instead
of its map; branches, exchange, classifiers and both tasks are the same.

Shapes: B images, M of a micro-batch, T tokens (CLS first), D width, C cells of a partition, F finest cells, P
partitions, N images.
"""

import numpy as np
import torch
from torch import Tensor, nn

from geo_pipeline.baselines.attention import SelfBlock
from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.cell_scores import Places, cell_sums, covered, heads, hierarchy_scores, partitions_of
from geo_pipeline.baselines.config import BaselineConfig, TranslocatorOptions
from geo_pipeline.baselines.scenes import SCENES, scene_labels, scene_sum
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.fusion import SemanticTokens
from geo_pipeline.geosurge.vision import VisionTower

BRANCHES = 2


class ClsExchange(nn.Module):
    """Multimodal feature fusion: what the CLS tokens of all branches know together is added to each of them."""

    def __init__(self, width: int, branches: int) -> None:
        super().__init__()
        self.give = nn.ModuleList(nn.Linear(width, width) for _ in range(branches))
        self.take = nn.ModuleList(nn.Linear(width, width) for _ in range(branches))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """The tokens (B, T, D) of every branch, changed in their CLS alone."""
        together_B1D = torch.stack([give(part[:, :1]) for give, part in zip(self.give, branches, strict=True)]).sum(0)
        return [
            torch.cat([part[:, :1] + take(together_B1D), part[:, 1:]], dim=1)
            for take, part in zip(self.take, branches, strict=True)
        ]


class TransLocator(Baseline):
    """Two branches of transformer blocks, a classifier per partition and one of scenes."""

    ancestors_FP: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        self.options = options = config.chosen(TranslocatorOptions)
        self.levels = partitions_of(self.hierarchy, config.tau_max, options.tau_max)
        self.rgb = nn.Linear(tower.width, options.width)
        patches = (tower.input_px // tower.patch_px) ** 2
        self.semantic = SemanticTokens(options.classes, tower.patch_px, patches, options.width) if config.idea else None
        self.rgb_again = None if config.idea else nn.Linear(tower.width, options.width)
        self.branches = nn.ModuleList(
            nn.ModuleList(SelfBlock(options.width, options.heads) for _ in range(options.blocks))
            for _ in range(BRANCHES)
        )
        self.exchanges = nn.ModuleList(ClsExchange(options.width, BRANCHES) for _ in range(options.blocks))
        self.norm = nn.LayerNorm(BRANCHES * options.width)
        self.heads = heads(BRANCHES * options.width, [len(partition) for partition in self.levels.partitions])
        self.scene_head = nn.Linear(BRANCHES * options.width, len(SCENES))
        finest = self.levels.partitions[-1]
        self.places = Places(finest.lat_deg, finest.lon_deg)
        self.register_buffer("ancestors_FP", torch.from_numpy(self.levels.ancestors()).long(), persistent=False)

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """The cell (N, P) of each image in every partition, -1 outside."""
        return torch.from_numpy(self.levels.assign(lat_deg_N, lon_deg_N)).long()

    def features(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """The CLS tokens of all branches side by side, normed."""
        tokens_BTD = self.tower(pixels_BCHW)
        branches = [self.rgb(tokens_BTD)]
        branches += [self.semantic(class_map_BHW)] if self.semantic is not None else []
        branches += [self.rgb_again(tokens_BTD)] if self.rgb_again is not None else []
        for index in range(self.options.blocks):
            branches = [blocks[index](part) for blocks, part in zip(self.branches, branches, strict=True)]  # type: ignore[index]
            branches = self.exchanges[index](branches)
        normed_BD: Tensor = self.norm(torch.cat([part[:, 0] for part in branches], dim=1))
        return normed_BD

    def counts(self, targets_BK: Tensor) -> Tensor:
        """The images that each partition covers, and all of them for the scenes."""
        covered_P = covered(targets_BK)
        return torch.cat([covered_P, covered_P.new_tensor([len(targets_BK)])])

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """Cross entropy over the cells of every partition and over the scenes."""
        features_MD = self.features(pixels_MCHW, class_map_MHW)
        cells_P = cell_sums([head(features_MD) for head in self.heads], targets_MK)
        scenes_1 = scene_sum(self.scene_head(features_MD), scene_labels(class_map_MHW))
        return torch.cat([cells_P, self.options.scene_weight * scenes_1])

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Probabilities (B, F) of the finest cells, all partitions together."""
        features_BD = self.features(pixels_BCHW, class_map_BHW)
        return hierarchy_scores([head(features_BD) for head in self.heads], self.ancestors_FP).exp()

    def locate(self, described_BS: Tensor) -> Located:
        """The place of the most probable finest cell."""
        return self.places.best(described_BS)
