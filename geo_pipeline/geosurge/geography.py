"""The geographic representation (section III-A).

One learned embedding per (partition, cell) and a temperature per partition.

The cells themselves belong to `earth.hierarchy`; the objective to `loss`; how the partitions combine at inference to
`scores`.

Shapes: B images, D embedding width, C cells of one partition.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class GeographicEmbeddings(nn.Module):
    """A hierarchy of embedding tables, unit length when read, with `log_scale` = log(1 / temperature) per partition,
    clamped as CLIP clamps it.
    """

    def __init__(self, cells: list[int], dim: int, initial_temperature: float, max_scale: float) -> None:
        super().__init__()
        self.tables = nn.ParameterList(nn.Parameter(torch.randn(count, dim) * dim**-0.5) for count in cells)
        self.log_scale_P = nn.Parameter(torch.full((len(cells),), -math.log(initial_temperature)))
        self.max_log_scale = math.log(max_scale)

    def scale(self, partition: int) -> Tensor:
        """1 / temperature of a partition, a scalar tensor."""
        return self.log_scale_P[partition].clamp(max=self.max_log_scale).exp()

    def unit(self, partition: int, cells: Tensor | None = None) -> Tensor:
        """Unit embeddings (C, D) of a partition, or of some of its cells by row."""
        table_CD = self.tables[partition]
        return functional.normalize(table_CD if cells is None else table_CD[cells], dim=-1)

    def cosines(self, features_BD: Tensor) -> list[Tensor]:
        """Similarities (B, C) to every cell of every partition; for unit features these are cosines."""
        return [features_BD @ self.unit(p).T for p in range(len(self.tables))]

    def logits(self, features_BD: Tensor) -> list[Tensor]:
        """Similarity / temperature (B, C) to every cell of every partition."""
        return [self.scale(p) * cosine_BC for p, cosine_BC in enumerate(self.cosines(features_BD))]
