"""The geographic representation (section III-A), and what Table VI compares it with.

`GeographicEmbeddings`: one learned embedding per (partition, cell) and a temperature per partition. `ClassifierHeads`:
a linear classifier over the cells of each partition. Both are read the same way, so that training, inference and
retrieval need not know which one they have.

The cells themselves belong to `earth.hierarchy`; the objectives to `loss`; how the partitions combine at inference to
`scores`.

Shapes: B images, D embedding width, C cells of one partition, P partitions.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.geosurge.config import ConfigError, GeoSurgeConfig, Score


class GeographicEmbeddings(nn.Module):
    """A hierarchy of embedding tables, unit length when read, with `log_scale` = log(1 / temperature) per partition.

    `settle` clamps it in place after each step, as CLIP does: a clamp where it is read has no gradient beyond it.
    """

    def __init__(self, cells: list[int], dim: int, initial_temperature: float, max_scale: float) -> None:
        super().__init__()
        self.tables = nn.ParameterList(nn.Parameter(torch.randn(count, dim) * dim**-0.5) for count in cells)
        self.log_scale_P = nn.Parameter(torch.full((len(cells),), -math.log(initial_temperature)))
        self.max_log_scale = math.log(max_scale)

    def scale(self, partition: int) -> Tensor:
        """1 / temperature of a partition, a scalar tensor."""
        return self.log_scale_P[partition].exp()

    @torch.no_grad()
    def settle(self) -> None:
        """Clamp the temperatures in place: 1 / temperature from 1 to the largest scale."""
        self.log_scale_P.clamp_(0.0, self.max_log_scale)

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

    def temperatures(self) -> list[float]:
        """The temperature of each partition."""
        return [1 / self.scale(p).item() for p in range(len(self.tables))]


class ClassifierHeads(nn.Module):
    """A linear classifier over the cells of each partition: Table VI without geographic embeddings.

    It stands in the place of `GeographicEmbeddings`: `cosines` are its logits, `scale` is 1. Features are unit vectors;
    the classifiers read them at length sqrt(D), the length of a layer-normalised vector, for which a linear layer's
    usual initialisation and learning rate are made. Logits stay linear in the features, so the mean over crops holds.
    """

    log_scale_P: Tensor

    def __init__(self, cells: list[int], dim: int) -> None:
        super().__init__()
        bound = dim**-0.5
        self.tables = nn.ParameterList(nn.Parameter(torch.empty(n, dim).uniform_(-bound, bound)) for n in cells)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(count)) for count in cells)
        self.length = dim**0.5
        self.register_buffer("log_scale_P", torch.zeros(len(cells)), persistent=False)

    def scale(self, partition: int) -> Tensor:
        """1: logits have no temperature."""
        return self.log_scale_P[partition].exp()

    def settle(self) -> None:
        """Nothing: there is no temperature."""

    def cosines(self, features_BD: Tensor) -> list[Tensor]:
        """Logits (B, C) of every cell of every partition; no cosines, but read where those are read."""
        return self.logits(features_BD)

    def logits(self, features_BD: Tensor) -> list[Tensor]:
        """Logits (B, C) of every cell of every partition."""
        read_BD = features_BD * self.length
        return [functional.linear(read_BD, *head) for head in zip(self.tables, self.biases, strict=True)]

    def temperatures(self) -> list[float]:
        """None: an empty list."""
        return []


def geography_of(
    config: GeoSurgeConfig, cells: list[int], score: Score = "log_softmax"
) -> GeographicEmbeddings | ClassifierHeads:
    """The geographic half of a model, with fresh weights, for `cells` cells of each partition.

    `score` is how inference will combine the partitions. Raises ConfigError where the two do not go together: a product
    of cosines needs cosines.
    """
    if config.geography == "embeddings":
        return GeographicEmbeddings(cells, config.embedding_dim, config.initial_temperature, config.max_logit_scale)
    if score != "log_softmax":
        raise ConfigError(
            f"found that inference.score is {score!r}, but this model was trained with geography 'classifier': it has "
            "logits, no cosines; expected 'log_softmax'. Set inference.score to 'log_softmax', or train with geography "
            "'embeddings'."
        )
    return ClassifierHeads(cells, config.embedding_dim)
