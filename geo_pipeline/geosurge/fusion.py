"""The semantic fusion module (section III-B, Figure 2).

Class-map tokens as queries, RGB tokens as keys and values through a latent.

What Figure 2 leaves open is decided in docs/protocol.md: the residual stream is the RGB one, the same semantic tokens
feed every block, the last block is computed for CLS only, and zero blocks leave CLIP's CLS. The CLIP tower belongs to
`vision`, the projection to the embedding space to `model`.

Shapes: B images, H x W pixels, P pixels of a patch, T tokens (CLS first), S semantic width, D width of the RGB tokens,
L latent width, C classes, N heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.geosurge.config import FusionConfig


class SemanticTokens(nn.Module):
    """Tokens of a class map: every patch's one-hot map projected linearly, a CLS token before them, positions added.

    The projection of a one-hot map is a sum of rows of its weight: one row per pixel position and class. The one-hot
    map is never built.
    """

    def __init__(self, classes: int, patch_px: int, patches: int, dim: int) -> None:
        super().__init__()
        self.classes, self.patch_px = classes, patch_px
        pixels = patch_px * patch_px
        self.weight_PCS = nn.Parameter(torch.randn(pixels, classes, dim) * pixels**-0.5)
        self.bias_S = nn.Parameter(torch.zeros(dim))
        self.cls_S = nn.Parameter(torch.randn(dim))
        self.positions_TS = nn.Parameter(0.02 * torch.randn(patches + 1, dim))

    def forward(self, class_map_BHW: Tensor) -> Tensor:
        """Tokens (B, T, S) of an integer class map (B, H, W), H = W = side of the CLIP input."""
        batch, height, width = class_map_BHW.shape
        side = self.patch_px
        patches_BTP = (
            class_map_BHW.view(batch, height // side, side, width // side, side)
            .transpose(2, 3)
            .reshape(batch, -1, side * side)
            .long()
        )
        rows_BTP = patches_BTP + self.classes * torch.arange(side * side, device=class_map_BHW.device)
        summed_XS = functional.embedding_bag(rows_BTP.flatten(0, 1), self.weight_PCS.flatten(0, 1), mode="sum")
        patch_tokens_BTS = summed_XS.view(batch, -1, summed_XS.shape[-1]) + self.bias_S
        cls_B1S = self.cls_S.expand(batch, 1, -1)
        return torch.cat([cls_B1S, patch_tokens_BTS], dim=1) + self.positions_TS


class FusionBlock(nn.Module):
    """Latent multi-head attention from semantic to RGB tokens, then an MLP, both with a residual on the RGB stream."""

    def __init__(self, config: FusionConfig, width: int) -> None:
        super().__init__()
        if width % config.heads:
            raise ValueError(
                f"found that fusion.heads is {config.heads}, which does not divide the tower's width {width}: choose a "
                "divisor."
            )
        self.heads = config.heads
        self.semantic_norm = nn.LayerNorm(config.semantic_dim)
        self.rgb_norm = nn.LayerNorm(width)
        self.query = nn.Linear(config.semantic_dim, width)
        self.latent = nn.Linear(width, config.latent_dim)
        self.key = nn.Linear(config.latent_dim, width)
        self.value = nn.Linear(config.latent_dim, width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        hidden = int(width * config.mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, rgb_BTD: Tensor, semantic_BTS: Tensor, cls_only: bool = False) -> Tensor:
        """Fused tokens (B, T, D), or only the fused CLS (B, 1, D)."""
        latent_BTL = self.latent(self.rgb_norm(rgb_BTD))
        queries_BTS = semantic_BTS[:, :1] if cls_only else semantic_BTS
        residual_BTD = rgb_BTD[:, :1] if cls_only else rgb_BTD
        query_BNTd = self._split(self.query(self.semantic_norm(queries_BTS)))
        key_BNTd, value_BNTd = self._split(self.key(latent_BTL)), self._split(self.value(latent_BTL))
        attended_BNTd = functional.scaled_dot_product_attention(query_BNTd, key_BNTd, value_BNTd)
        fused_BTD = residual_BTD + self.out(attended_BNTd.transpose(1, 2).flatten(2))
        return fused_BTD + self.mlp(self.mlp_norm(fused_BTD))

    def _split(self, tokens_BTD: Tensor) -> Tensor:
        return tokens_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class SemanticFusion(nn.Module):
    """The chain of fusion blocks; with no blocks the class map is not read and CLIP's CLS comes out (Table VIII, first
    row).
    """

    def __init__(self, config: FusionConfig, width: int, patch_px: int, patches: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FusionBlock(config, width) for _ in range(config.blocks))
        self.semantic = (
            SemanticTokens(config.classes, patch_px, patches, config.semantic_dim) if config.blocks else None
        )

    def forward(self, rgb_BTD: Tensor, class_map_BHW: Tensor) -> Tensor:
        """The fused CLS (B, D)."""
        if self.semantic is None:
            return rgb_BTD[:, 0]
        semantic_BTS = self.semantic(class_map_BHW)
        last = len(self.blocks) - 1
        for index, block in enumerate(self.blocks):
            rgb_BTD = block(rgb_BTD, semantic_BTS, cls_only=index == last)
        return rgb_BTD[:, 0]
