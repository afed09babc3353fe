"""GeoDecoder: a learned query per level of the hierarchy and scene, which asks the image's tokens.

Clark et al., Where We Are and What We're Looking At: Query Based Worldwide Image Geo-localization Using Hierarchies and
Scenes, CVPR 2023, Figure 3. A first decoder lets all queries see one another, a second one only the queries of one
level, with an MLP per level. The first number of a decoded query is its confidence that the image shows its scene; the
scene with the highest mean confidence answers, and the levels' probabilities are multiplied.

Simplified: a CLIP tower instead of a Swin encoder; one scene set of three, with labels from the segmentation map
(`scenes`), which only training reads; in training the labelled scene's query answers. Without the idea (`idea=False`)
there is one query per level, whatever the scene; decoders, classifiers and training are the same.

Shapes: B images, M of a micro-batch, L levels, S scenes, Q = L x S queries, T tokens, D width, C cells, F finest
cells, N images.
"""

import numpy as np
import torch
from torch import Tensor, nn

from geo_pipeline.baselines.attention import Attention, perceptron
from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.cell_scores import Places, cell_sums, chosen_partitions, covered, heads, hierarchy_scores
from geo_pipeline.baselines.config import BaselineConfig, GeoDecoderOptions
from geo_pipeline.baselines.scenes import SCENES, scene_labels, scene_sum
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.vision import VisionTower


class DecoderBlock(nn.Module):
    """Self-attention of the queries, attention to the image, an MLP.

    `apart`: queries see those of their own level only, and every level has its own MLP.
    """

    def __init__(self, width: int, heads: int, levels: int, apart: bool) -> None:
        super().__init__()
        self.apart = apart
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.among, self.image = Attention(width, heads), Attention(width, heads)
        self.mlps = nn.ModuleList(perceptron(width, 4 * width) for _ in range(levels if apart else 1))

    def forward(self, queries_BLSD: Tensor, tokens_BTD: Tensor) -> Tensor:
        """Decoded queries (B, L, S, D)."""
        levels = queries_BLSD.shape[1]
        normed_BLSD = self.norms[0](queries_BLSD)
        seen_XQD = normed_BLSD.flatten(0, 1) if self.apart else normed_BLSD.flatten(1, 2)
        queries_BLSD = queries_BLSD + self.among(seen_XQD, seen_XQD).view_as(queries_BLSD)
        asking_BQD = self.norms[1](queries_BLSD).flatten(1, 2)
        queries_BLSD = queries_BLSD + self.image(asking_BQD, tokens_BTD).unflatten(1, (levels, -1))
        normed_BLSD = self.norms[2](queries_BLSD)
        if not self.apart:
            return queries_BLSD + self.mlps[0](normed_BLSD)
        parts = [mlp(normed_BLSD[:, level]) for level, mlp in enumerate(self.mlps)]
        return queries_BLSD + torch.stack(parts, dim=1)


class GeoDecoder(Baseline):
    """Queries, two decoders and a classifier per level."""

    ancestors_FP: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        self.options = options = config.chosen(GeoDecoderOptions)
        self.levels = chosen_partitions(self.hierarchy, options.partitions or len(self.hierarchy.partitions))
        levels, width = len(self.levels.partitions), tower.width
        self.token_norm, self.query_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_LSD = nn.Parameter(torch.randn(levels, len(SCENES) if config.idea else 1, width))
        depths = (options.blocks, options.level_blocks)
        self.blocks = nn.ModuleList(
            DecoderBlock(width, options.heads, levels, apart) for apart in (False, True) for _ in range(depths[apart])
        )
        self.heads = heads(width, [len(partition) for partition in self.levels.partitions])
        finest = self.levels.partitions[-1]
        self.places = Places(finest.lat_deg, finest.lon_deg)
        self.register_buffer("ancestors_FP", torch.from_numpy(self.levels.ancestors()).long(), persistent=False)

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """The cell (N, L) of each image at every level, -1 outside."""
        return torch.from_numpy(self.levels.assign(lat_deg_N, lon_deg_N)).long()

    def decode(self, pixels_BCHW: Tensor) -> Tensor:
        """The decoded queries (B, L, S, D); without the idea S is 1."""
        tokens_BTD = self.token_norm(self.tower(pixels_BCHW))
        queries_BLSD = self.queries_LSD.expand(len(tokens_BTD), -1, -1, -1)
        for block in self.blocks:
            queries_BLSD = block(queries_BLSD, tokens_BTD)
        decoded_BLSD: Tensor = self.query_norm(queries_BLSD)
        return decoded_BLSD

    def logits(self, decoded_BLSD: Tensor, scenes_B: Tensor) -> list[Tensor]:
        """Logits (B, C) of every level, from the queries of one scene per image."""
        chosen_BLD = decoded_BLSD[torch.arange(len(scenes_B), device=scenes_B.device), :, scenes_B]
        return [head(chosen_BLD[:, level]) for level, head in enumerate(self.heads)]

    def counts(self, targets_BK: Tensor) -> Tensor:
        """The images that each level covers, and all of them for the scenes."""
        covered_P = covered(targets_BK)
        return torch.cat([covered_P, covered_P.new_tensor([len(targets_BK)])])

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """Cross entropy over the cells of every level and over the scenes (0 where there is only one)."""
        decoded_MLSD = self.decode(pixels_MCHW)
        scenes_M = scene_labels(class_map_MHW) if self.config.idea else scene_zero(decoded_MLSD)
        scenes_1 = self.options.scene_weight * scene_sum(confidence(decoded_MLSD), scenes_M)
        return torch.cat([cell_sums(self.logits(decoded_MLSD, scenes_M), targets_MK), scenes_1])

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Probabilities (B, F) of the finest cells, as the queries of the most confident scene give them."""
        decoded_BLSD = self.decode(pixels_BCHW)
        scenes_B = confidence(decoded_BLSD).argmax(dim=1)
        return hierarchy_scores(self.logits(decoded_BLSD, scenes_B), self.ancestors_FP).exp()

    def locate(self, described_BS: Tensor) -> Located:
        """The place of the most probable finest cell."""
        return self.places.best(described_BS)


def confidence(decoded_BLSD: Tensor) -> Tensor:
    """How sure the queries are of each scene (B, S): their first number, averaged over the levels."""
    return decoded_BLSD[..., 0].mean(dim=1)


def scene_zero(decoded_BLSD: Tensor) -> Tensor:
    """The only scene (B,) of a model without scenes."""
    return torch.zeros(len(decoded_BLSD), dtype=torch.long, device=decoded_BLSD.device)
