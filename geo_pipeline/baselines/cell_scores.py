"""Cells as classes: the loss of the partitions, the scores of a hierarchy, and the coordinate of the best place.

Used by every baseline that classifies cells. Which cells there are belongs to `earth`.

Shapes: B images, M of a micro-batch, C cells of a partition, F places of the finest partition, P partitions.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.baselines.baseline import Located
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.geosurge.scores import combine


class CellCountError(ValueError):
    """A partition that the hierarchy does not have."""


def cell_sums(logits: Sequence[Tensor], cells_MP: Tensor) -> Tensor:
    """Cross entropy over the cells of each partition (P,), summed over the images that it covers (others have -1).

    Each is divided by the number of partitions: over the `covered` images of a batch, the terms add up to the mean of
    the partitions' losses.
    """
    parts = [
        functional.cross_entropy(logits_MC.float(), cells_MP[:, p], ignore_index=-1, reduction="sum")
        for p, logits_MC in enumerate(logits)
    ]
    return torch.stack(parts) / len(parts)


def covered(cells_BP: Tensor) -> Tensor:
    """How many images each partition covers (P,)."""
    return (cells_BP >= 0).sum(dim=0)


def hierarchy_scores(logits: Sequence[Tensor], ancestors_FP: Tensor) -> Tensor:
    """Log probability (B, F) of every finest cell: the product of its ancestors' probabilities, normalised."""
    parts = [functional.log_softmax(part.float(), dim=1) for part in logits]
    return combine(parts, ancestors_FP, "log_softmax").log_softmax(dim=1)


def chosen_partitions(hierarchy: Hierarchy, count: int) -> Hierarchy:
    """`count` partitions of a hierarchy, evenly from the coarsest to the finest; the finest always among them."""
    total = len(hierarchy.partitions)
    if not 1 <= count <= total:
        raise CellCountError(
            f"found {count} partitions wanted of a hierarchy of {total}; expected 1 to {total}: change the baseline's "
            "options or the partition."
        )
    return hierarchy.only(np.linspace(total - 1, 0, count).round().astype(int)[::-1].tolist())


def partitions_of(hierarchy: Hierarchy, tau_max: Sequence[int], wanted: Sequence[int]) -> Hierarchy:
    """The partitions of a hierarchy with these `tau_max` that have the `wanted` ones.

    Where one of them is missing, other photographs were cut: the wanted ones then are meant as shares of the coarsest
    (the paper's 25,000), and the nearest by their ratio are taken, each once. Of the sample's 600, 300, 150, 80, 40, 25
    and 15 these are 150, 40 and 25 for 5000, 2000 and 1000.
    """
    if len(tau_max) != len(hierarchy.partitions) or len(wanted) > len(tau_max):
        raise CellCountError(
            f"found {len(wanted)} partitions wanted by tau_max of a hierarchy of {len(hierarchy.partitions)} with "
            f"{len(tau_max)} values of tau_max; expected one value each, and at most as many wanted: change the "
            "baseline's options or the partition."
        )
    scale = 1.0 if set(wanted) <= set(tau_max) else tau_max[0] / PartitionConfig().tau_max[0]
    left = list(range(len(tau_max)))
    for each in wanted:
        left.remove(min(left, key=lambda number: abs(math.log(tau_max[number] / (each * scale)))))
    return hierarchy.only(sorted(set(range(len(tau_max))) - set(left)))


class Places(nn.Module):
    """Coordinates of the F places that a baseline can answer with; not stored, since the geocells tell them."""

    lat_deg_F: Tensor
    lon_deg_F: Tensor

    def __init__(self, lat_deg_F: np.ndarray, lon_deg_F: np.ndarray) -> None:
        super().__init__()
        for name, values in (("lat_deg_F", lat_deg_F), ("lon_deg_F", lon_deg_F)):
            self.register_buffer(name, torch.tensor(np.asarray(values), dtype=torch.float64), persistent=False)

    def best(self, probability_BF: Tensor) -> Located:
        """The most probable place of each image (of equals the first); its score is the log probability."""
        value_B, place_B = probability_BF.max(dim=1)
        score_B = value_B.double().clamp_min(torch.finfo(torch.float32).tiny).log()
        return Located(self.lat_deg_F[place_B], self.lon_deg_F[place_B], score_B)


def heads(width: int, counts: Sequence[int]) -> nn.ModuleList:
    """One linear classifier per partition."""
    return nn.ModuleList(nn.Linear(width, count) for count in counts)
