"""Attention and transformer blocks, written once for the baselines that decode tokens.

TransLocator's branches and GeoDecoder's decoders are made of them. GeoSURGE's latent attention belongs to
`geosurge.fusion`, CLIP's own blocks to the tower.

Shapes: B images, Q queries, T tokens, D width, N heads, d width of a head.
"""

from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.geosurge.config import ConfigError


class Attention(nn.Module):
    """Multi-head attention from queries to tokens of the same width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(
                f"found {heads} heads for tokens {width} wide; expected a divisor of {width}: change heads."
            )
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries_BQD: Tensor, tokens_BTD: Tensor) -> Tensor:
        """What each query gathers from the tokens (B, Q, D)."""
        key_BTD, value_BTD = self.key_value(tokens_BTD).chunk(2, dim=-1)
        split = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (key_BTD, value_BTD)]
        query_BNQd = self.query(queries_BQD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        gathered_BNQd = functional.scaled_dot_product_attention(query_BNQd, *split)
        result_BQD: Tensor = self.out(gathered_BNQd.transpose(1, 2).flatten(2))
        return result_BQD


class SelfBlock(nn.Module):
    """Self-attention and an MLP, normed before and added to what came in, as in a vision transformer."""

    def __init__(self, width: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = perceptron(width, mlp_ratio * width)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        """Tokens (B, T, D)."""
        normed_BTD = self.attention_norm(tokens_BTD)
        tokens_BTD = tokens_BTD + self.attention(normed_BTD, normed_BTD)
        result_BTD: Tensor = tokens_BTD + self.mlp(self.mlp_norm(tokens_BTD))
        return result_BTD


def perceptron(width: int, hidden: int) -> nn.Sequential:
    """The two layers of a transformer block's MLP."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
