"""[L]kNN: a kernel density over the places of the nearest reference photographs, seen by a network trained on cells.

Vo, Jacobs and Hays, Revisiting IM2GPS in the deep learning era, ICCV 2017, section 3: a network learns to classify
cells ([L]); with its features the K nearest photographs vote, each with a Gaussian around its place, weighted by its
similarity to a power; the answer is the place among them where the density is highest.

Simplified: the network is the CLIP tower, whose last block learns, under one linear classifier over the cells of the
finest partition; its features are the CLS token that the classifier reads (layer-normalised), centred on the gallery's
mean and of unit length; the gallery is all training images; sigma counts kilometres on the sphere (the paper's table
names sigma = 4), K and the power are ours. Without the idea (`idea=False`) nothing is learnt: the same features of the
tower as it comes, and the same density over them.

No reference is excluded. Here [L]kNN plays by other rules than method `retrieval`, which leaves out the same bytes,
near-equal pictures and the same author nearby (`geosurge.retrieval`): a query that is a training image, or nearly equal
to one, is answered by itself, and one of a burst by the rest of it. A benchmark that shares photographs or authors with
the training images flatters [L]kNN.

The gallery is gathered in its own type: float16 is rounded once before centring and once after normalising, which moves
cosines by less than 1e-3 and the order of neighbours only where they are as near as that. The mean is that of the
features before rounding.

Shapes: B images, M of a micro-batch, N references, K neighbours, D width, C cells.
"""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.cell_scores import Places, cell_sums, covered
from geo_pipeline.baselines.config import BaselineConfig, LknnOptions
from geo_pipeline.earth.distance import EARTH_RADIUS_KM
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.vision import VisionTower

_CHUNK = 65_536
_CENTRED_AT_ONCE = 4096


class Lknn(Baseline):
    """A gallery of features and places, and the density over the nearest; until `collect` fills it, the classifier
    answers with its best cell.
    """

    collected: ClassVar[tuple[str, ...]] = ("gallery_ND", "place_N2")
    gallery_ND: Tensor
    place_N2: Tensor
    mean_D: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        self.options = config.chosen(LknnOptions)
        finest = self.hierarchy.partitions[-1]
        self.places = Places(finest.lat_deg, finest.lon_deg)
        self.head = nn.Linear(tower.width, len(finest)) if config.idea else None
        if self.head is None:
            self.requires_grad_(False)
        dtype = getattr(torch, self.options.gallery_dtype)
        self.register_buffer("gallery_ND", torch.zeros(0, tower.width, dtype=dtype))
        self.register_buffer("place_N2", torch.zeros(0, 2, dtype=torch.float64))
        self.register_buffer("mean_D", torch.zeros(tower.width))

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """Latitude, longitude in degrees and cell (N, 3) float64 of each image; cell -1 outside every cell."""
        cell_N = self.hierarchy.assign(lat_deg_N, lon_deg_N)[:, -1]
        return torch.from_numpy(np.stack([lat_deg_N, lon_deg_N, cell_N], axis=1).astype(np.float64))

    def counts(self, targets_BK: Tensor) -> Tensor:
        """The images that some cell covers."""
        return covered(targets_BK[:, 2:])

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """Cross entropy over the cells; zero without the idea, where there is nothing to train."""
        if self.head is None:
            return torch.zeros(1, device=pixels_MCHW.device)
        logits_MC = self.head(self.describe(pixels_MCHW, class_map_MHW))
        return cell_sums([logits_MC], targets_MK[:, 2:].long())

    def collect(self, remembered: Iterable[Tensor], targets_NK: Tensor) -> None:
        """Features and places of all training images.

        The gallery is the only copy of the features: they are written to it as they come, on the CPU and in its type,
        and centred and normalised in their place once their mean is known.
        """
        device, width = self.mean_D.device, len(self.mean_D)
        gallery_ND = torch.empty(len(targets_NK), width, dtype=self.gallery_ND.dtype)
        sum_D, start = torch.zeros(width, dtype=torch.float64, device=device), 0
        for features_BD in remembered:
            sum_D += features_BD.double().sum(dim=0)
            gallery_ND[start : start + len(features_BD)] = features_BD
            start += len(features_BD)
        self.mean_D = (sum_D / len(gallery_ND)).float()
        for part_BD in gallery_ND.split(_CENTRED_AT_ONCE):
            part_BD.copy_(self._unit(part_BD.to(device).float()))
        self.gallery_ND, self.place_N2 = gallery_ND.to(device), targets_NK[:, :2]

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """The layer-normalised CLS token (B, D)."""
        cls_BD = self.cls(pixels_BCHW).float()
        return functional.layer_norm(cls_BD, cls_BD.shape[1:])

    def locate(self, described_BS: Tensor) -> Located:
        """The neighbour's place with the highest density; its score is the density in (0, 1]."""
        if self.head is not None and not len(self.gallery_ND):
            return self.places.best(self.head(described_BS).softmax(dim=1))
        similarity_BK, rows_BK = self.neighbours(described_BS, min(self.options.neighbours, len(self.gallery_ND)))
        weight_BK = similarity_BK.double().clamp_min(1e-12) ** self.options.power
        density_BK = density(self.place_N2[rows_BK], weight_BK, self.options.sigma_km)
        score_B, best_B = density_BK.max(dim=1)
        place_B2 = self.place_N2[rows_BK.gather(1, best_B[:, None])[:, 0]]
        return Located(place_B2[:, 0], place_B2[:, 1], score_B)

    def neighbours(self, described_BD: Tensor, wanted: int) -> tuple[Tensor, Tensor]:
        """Cosines and rows (B, K) of the nearest references, nearest first; the gallery is read part by part."""
        unit_BD = self._unit(described_BD)
        values_BK = unit_BD.new_zeros(len(unit_BD), 0)
        rows_BK = torch.zeros(len(unit_BD), 0, dtype=torch.int64, device=unit_BD.device)
        for start in range(0, len(self.gallery_ND), _CHUNK):
            cosine_BN = unit_BD @ self.gallery_ND[start : start + _CHUNK].float().T
            part = cosine_BN.topk(min(wanted, cosine_BN.shape[1]), dim=1)
            both_BK = torch.cat([values_BK, part.values], dim=1)
            rows = torch.cat([rows_BK, part.indices + start], dim=1)
            values_BK, kept_BK = both_BK.topk(min(wanted, both_BK.shape[1]), dim=1)
            rows_BK = rows.gather(1, kept_BK)
        return values_BK, rows_BK

    def _unit(self, features_BD: Tensor) -> Tensor:
        return functional.normalize(features_BD - self.mean_D, dim=1)


def density(place_BK2: Tensor, weight_BK: Tensor, sigma_km: float) -> Tensor:
    """At each place (B, K) of latitude and longitude in degrees the weighted sum of Gaussians around all, over the sum
    of the weights.
    """
    lat_BK, lon_BK = place_BK2.deg2rad().unbind(-1)
    unit_BK3 = torch.stack([lat_BK.cos() * lon_BK.cos(), lat_BK.cos() * lon_BK.sin(), lat_BK.sin()], dim=-1)
    chord_BKK = torch.cdist(unit_BK3, unit_BK3, compute_mode="donot_use_mm_for_euclid_dist")
    distance_km_BKK = 2 * EARTH_RADIUS_KM * (chord_BKK / 2).clamp(max=1).asin()
    kernel_BKK = (-0.5 * (distance_km_BKK / sigma_km) ** 2).exp()
    return (kernel_BKK @ weight_BK[:, :, None])[:, :, 0] / weight_BK.sum(dim=1, keepdim=True)
