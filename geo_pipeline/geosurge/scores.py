"""Hierarchical scores (section III-D): how the similarities of all partitions combine into one score per finest cell.

Every finest cell gathers the similarity of its ancestor in each partition: no loop over cells. What to predict from the
scores belongs to `inference`.

Shapes: B images, C cells of a partition, F finest cells, P partitions.
"""

import torch
from torch import Tensor
from torch.nn import functional

from geo_pipeline.geosurge.config import Score


def partition_scores(cosines: list[Tensor], scales: list[Tensor], kind: Score) -> list[Tensor]:
    """What each partition adds to a score: (B, C) per partition, from cosines (B, C) and 1 / temperature.

    `log_softmax` gives log probabilities over all cells of the partition, `shifted` log((1 + cos) / 2),
    `cosine_product` the cosine itself.
    """
    if kind == "log_softmax":
        return [functional.log_softmax(scale * cos_BC, dim=1) for cos_BC, scale in zip(cosines, scales, strict=True)]
    if kind == "shifted":
        return [((1.0 + cos_BC) / 2.0).clamp_min(1e-12).log() for cos_BC in cosines]
    return cosines


def combine(parts: list[Tensor], rows_FP: Tensor, kind: Score) -> Tensor:
    """Scores (B, F) of places whose cell in partition p is rows_FP[:, p].

    A sum of the parts, for `cosine_product` their product.

    A row of -1 (a place that the partition does not cover) takes the partition's lowest value: as improbable as its
    least probable cell.
    """
    total_BF: Tensor | None = None
    for part_BC, rows_F in zip(parts, rows_FP.unbind(1), strict=True):
        values_BF = part_BC.index_select(1, rows_F.clamp_min(0))
        uncovered_F = rows_F < 0
        if bool(uncovered_F.any()):
            values_BF = torch.where(uncovered_F, part_BC.min(dim=1, keepdim=True).values, values_BF)
        if total_BF is None:
            total_BF = values_BF
        else:
            total_BF = total_BF * values_BF if kind == "cosine_product" else total_BF + values_BF
    if total_BF is None:
        raise ValueError("No partition to score: the hierarchy is empty.")
    return total_BF
