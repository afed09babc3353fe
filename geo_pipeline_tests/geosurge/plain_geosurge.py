"""GeoSURGE's fusion and loss in straightforward PyTorch: what a reader of the paper would write first.

`nn.MultiheadAttention` with kdim and vdim of the latent, the class map as a one-hot image under a convolution, every
token of every block, every image of a batch compared with the cell of every other. The same mathematics as the
library's, for tests of equality and as the alternative of the speed measurements.

Shapes: B images, H x W pixels, T tokens, S semantic width, D width, P partitions.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.geosurge.fusion import FusionBlock, SemanticFusion, SemanticTokens
from geo_pipeline.geosurge.geography import GeographicEmbeddings


class PlainTokens(nn.Module):
    """One-hot map, convolution, CLS, positions."""

    def __init__(self, ours: SemanticTokens) -> None:
        super().__init__()
        side, dim = ours.patch_px, ours.bias_S.numel()
        self.classes = ours.classes
        self.convolution = nn.Conv2d(ours.classes, dim, side, stride=side)
        with torch.no_grad():
            self.convolution.weight.copy_(ours.weight_PCS.permute(2, 1, 0).reshape(dim, ours.classes, side, side))
            self.convolution.bias.copy_(ours.bias_S)
        self.cls_S = nn.Parameter(ours.cls_S.detach().clone())
        self.positions_TS = nn.Parameter(ours.positions_TS.detach().clone())

    def forward(self, class_map_BHW: Tensor) -> Tensor:
        one_hot_BCHW = functional.one_hot(class_map_BHW.long(), self.classes).permute(0, 3, 1, 2).float()
        patches_BTS = self.convolution(one_hot_BCHW).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_S.expand(len(patches_BTS), 1, -1), patches_BTS], dim=1) + self.positions_TS


class PlainBlock(nn.Module):
    """Attention by nn.MultiheadAttention over the latent, then the MLP."""

    def __init__(self, ours: FusionBlock) -> None:
        super().__init__()
        width, latent = ours.query.out_features, ours.latent.out_features
        self.semantic_norm, self.rgb_norm, self.mlp_norm = (
            deepcopy(module) for module in (ours.semantic_norm, ours.rgb_norm, ours.mlp_norm)
        )
        self.query, self.latent, self.mlp = (deepcopy(module) for module in (ours.query, ours.latent, ours.mlp))
        self.attention = nn.MultiheadAttention(width, ours.heads, kdim=latent, vdim=latent, batch_first=True)
        with torch.no_grad():
            self.attention.q_proj_weight.copy_(torch.eye(width))
            self.attention.k_proj_weight.copy_(ours.key.weight)
            self.attention.v_proj_weight.copy_(ours.value.weight)
            self.attention.in_proj_bias.copy_(torch.cat([torch.zeros(width), ours.key.bias, ours.value.bias]))
            self.attention.out_proj.weight.copy_(ours.out.weight)
            self.attention.out_proj.bias.copy_(ours.out.bias)

    def forward(self, rgb_BTD: Tensor, semantic_BTS: Tensor) -> Tensor:
        latent_BTL = self.latent(self.rgb_norm(rgb_BTD))
        attended_BTD, _ = self.attention(self.query(self.semantic_norm(semantic_BTS)), latent_BTL, latent_BTL)
        fused_BTD = rgb_BTD + attended_BTD
        return fused_BTD + self.mlp(self.mlp_norm(fused_BTD))


class PlainFusion(nn.Module):
    """All blocks over all tokens, with the weights of `ours`."""

    def __init__(self, ours: SemanticFusion) -> None:
        super().__init__()
        if ours.semantic is None:
            raise ValueError("found a fusion without blocks; expected at least one to compare")
        self.semantic = PlainTokens(ours.semantic)
        self.blocks = nn.ModuleList(PlainBlock(block) for block in ours.blocks)

    def forward(self, rgb_BTD: Tensor, class_map_BHW: Tensor) -> Tensor:
        semantic_BTS = self.semantic(class_map_BHW)
        for block in self.blocks:
            rgb_BTD = block(rgb_BTD, semantic_BTS)
        return rgb_BTD[:, 0]


def plain_loss(features_BD: Tensor, targets_BP: Tensor, geography: GeographicEmbeddings) -> Tensor:
    """Equation 1 to the letter: per partition the full (B, B) similarity, the diagonal being right."""
    total = features_BD.sum() * 0.0
    for partition, targets_B in enumerate(targets_BP.unbind(1)):
        cells_BD = functional.normalize(geography.tables[partition][targets_B], dim=-1)
        similarity_BB = geography.scale(partition) * features_BD @ cells_BD.T
        total = total + functional.cross_entropy(similarity_BB, torch.arange(len(features_BD)))
    return total
