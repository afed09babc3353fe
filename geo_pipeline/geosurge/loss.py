"""The objectives.

`hierarchical_loss` is the paper's (section III-C, Equation 1): InfoNCE between images and the cells that hold them, per
partition, summed over the partitions. `classification_loss` is what Table VI compares it with: cross-entropy over all
cells of a partition, summed likewise.

`unique_cells` compares each image with the distinct cells of the batch: two images of one cell are not each other's
negatives. `naive` is the letter of the paper: the cell of every other image of the batch is a negative. `symmetric`
adds the direction from location to image. An image that a partition does not cover (target -1) is masked in that
partition.

The negatives are cells, so they are known before any image is encoded: micro-batches and workers need no exchange of
features (only `symmetric` does).

Shapes: M images of a micro-batch, B images of the effective batch, P partitions, D width, U cells compared.
"""

import torch
from torch import Tensor
from torch.nn import functional

from geo_pipeline.geosurge.config import LossKind
from geo_pipeline.geosurge.geography import ClassifierHeads, GeographicEmbeddings


def hierarchical_loss(
    features_MD: Tensor,
    targets_MP: Tensor,
    geography: GeographicEmbeddings,
    batch_targets_BP: Tensor | None = None,
    kind: LossKind = "unique_cells",
    symmetric: bool = False,
) -> Tensor:
    """Loss of a micro-batch as its part of the effective batch's loss.

    The parts of all micro-batches add up to the loss of the whole.

    features_MD are unit; targets are cell rows, -1 where uncovered; `batch_targets_BP` are the targets of the effective
    batch (default: these images). With `symmetric` the features must be those of the whole batch. Raises ValueError
    otherwise.
    """
    if batch_targets_BP is None:
        batch_targets_BP = targets_MP
    if symmetric and len(features_MD) != len(batch_targets_BP):
        raise ValueError(
            f"found {len(features_MD)} of {len(batch_targets_BP)} images; the symmetric loss needs the whole batch."
        )
    total = features_MD.sum() * 0.0
    for partition in range(targets_MP.shape[1]):
        total = total + _partition_loss(
            features_MD, targets_MP[:, partition], batch_targets_BP[:, partition], geography, partition, kind, symmetric
        )
    return total


def classification_loss(
    features_MD: Tensor, targets_MP: Tensor, heads: ClassifierHeads, batch_targets_BP: Tensor | None = None
) -> Tensor:
    """Cross-entropy over all cells of each partition, summed over the partitions (Table VI, no embeddings).

    A mean over the covered images of the effective batch; like `hierarchical_loss`, the parts of all micro-batches add
    up. Targets are cell rows, -1 where uncovered: such an image counts for nothing in that partition.
    """
    if batch_targets_BP is None:
        batch_targets_BP = targets_MP
    total = features_MD.sum() * 0.0
    for partition, logits_MC in enumerate(heads.logits(features_MD)):
        covered = (batch_targets_BP[:, partition] >= 0).sum().clamp_min(1)
        summed = functional.cross_entropy(logits_MC, targets_MP[:, partition], ignore_index=-1, reduction="sum")
        total = total + summed / covered
    return total


def _partition_loss(
    features_MD: Tensor,
    targets_M: Tensor,
    batch_targets_B: Tensor,
    geography: GeographicEmbeddings,
    partition: int,
    kind: LossKind,
    symmetric: bool,
) -> Tensor:
    covered_B = batch_targets_B[batch_targets_B >= 0]
    if not len(covered_B):
        return geography.tables[partition].sum() * 0.0 + geography.log_scale_P[partition] * 0.0
    mine_M = targets_M >= 0
    features_XD, targets_X = features_MD[mine_M], targets_M[mine_M]
    cells_U = torch.unique(covered_B)
    unit_UD = geography.unit(partition, cells_U)
    column_X = torch.searchsorted(cells_U, targets_X)
    logits_XU = geography.scale(partition) * (features_XD @ unit_UD.T)
    if kind == "naive":
        # The cell of k images stands in k columns: k * exp(logit) in the denominator is exp(logit + log k).
        times_U = torch.bincount(torch.searchsorted(cells_U, covered_B), minlength=len(cells_U))
        denominator_X = torch.logsumexp(logits_XU + times_U.log(), dim=1)
    else:
        denominator_X = torch.logsumexp(logits_XU, dim=1)
    numerator_X = logits_XU.gather(1, column_X[:, None])[:, 0]
    loss = (denominator_X - numerator_X).sum() / len(covered_B)
    if symmetric:
        loss = (loss + _location_to_image(logits_XU, column_X, kind)) / 2
    return loss


def _location_to_image(logits_BU: Tensor, column_B: Tensor, kind: LossKind) -> Tensor:
    """From a cell to its images among all images: mean over the anchors of -log p(image | cell).

    Both kinds share each anchor's term (image i against all images, seen from its cell); `naive` weighs every image
    alike, `unique_cells` every cell.
    """
    log_p_BU = functional.log_softmax(logits_BU, dim=0)
    own_B = log_p_BU.gather(1, column_B[:, None])[:, 0]
    if kind == "naive":
        return -own_B.mean()
    times_U = torch.bincount(column_B, minlength=logits_BU.shape[1])
    return -(own_B / times_U[column_B]).sum() / logits_BU.shape[1]
