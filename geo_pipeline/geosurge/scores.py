"""Hierarchical scores (section III-D): how the similarities of all partitions combine into one score per finest cell.

Every finest cell gathers the similarity of its ancestor in each partition: no loop over cells. Where only the finest
cells are compared under `log_softmax`, even the gathering is done beforehand (`summed_table`). What to predict from the
scores belongs to `inference`.

Shapes: B images, C cells of a partition, F finest cells, P partitions, D width.
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
    rows_PF = rows_FP.T.contiguous()  # read one partition at a time
    uncovered_P = (rows_PF < 0).any(dim=1).tolist()
    for part_BC, rows_F, some_uncovered in zip(parts, rows_PF, uncovered_P, strict=True):
        if some_uncovered:
            values_BF = part_BC.index_select(1, rows_F.clamp_min(0))
            values_BF = torch.where(rows_F < 0, part_BC.min(dim=1, keepdim=True).values, values_BF)
        else:
            values_BF = part_BC.index_select(1, rows_F)
        if total_BF is None:
            total_BF = values_BF
        elif kind == "cosine_product":
            total_BF = total_BF * values_BF
        else:
            total_BF += values_BF
    if total_BF is None:
        raise ValueError("found no partition to score: the hierarchy is empty.")
    return total_BF


def summed_table(tables: list[Tensor], scales: list[Tensor], rows_FP: Tensor) -> Tensor:
    """One table (F, D) whose product with features is the sum of the logits of each place's cells.

    Sum over partitions of log_softmax(scale * cos) is that product less one number per image, the sum of the
    partitions' normalisers. Among places covered by every partition (no row of -1: the finest cells) the number is the
    same for all, so a softmax over the places drops it: `combine` of all partitions and then log_softmax is
    log_softmax(features @ table.T).
    """
    table_FD: Tensor | None = None
    for table_CD, scale, rows_F in zip(tables, scales, rows_FP.T.contiguous(), strict=True):
        values_FD = (scale * table_CD).index_select(0, rows_F)
        table_FD = values_FD if table_FD is None else table_FD.add_(values_FD)
    if table_FD is None:
        raise ValueError("found no partition to score: the hierarchy is empty.")
    return table_FD
