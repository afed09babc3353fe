"""PIGEON: cells that follow places, labels that fade with distance, and a guess refined by prototypes inside the cell.

Haas, Skreta, Alberti and Finn, PIGEON: Predicting Image Geolocations, CVPR 2024, sections 3.1 (semantic geocells), 3.2
(haversine smoothing) and 3.4 (refinement). A cell's label is exp(-(its distance to the photograph - that of the own
cell) / tau); among the best cells, the cluster of training photographs whose mean vector looks most like the query
decides.

Simplified: cells and clusters are those of `semantic_cells` (merged S2 cells and k-means, no borders, no OPTICS); the
labels of an image add up to one, so that a photograph far from its cell's mean weighs as much as any other; no climate,
month or text tasks; a cluster answers with the mean of its photographs. Of its three ideas the one that is switched off
(`idea=False`) is the smoothing: labels are one-hot; cells, clusters and refinement are the same.

Shapes: B images, M of a micro-batch, N photographs, G cells, R prototypes of a cell (NaN where there are fewer), X
prototypes of all cells, T cells kept, D width.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.cell_scores import Places, cell_sums
from geo_pipeline.baselines.config import BaselineConfig, PigeonOptions
from geo_pipeline.baselines.semantic_cells import merged_cells, merged_means, nearest, place_clusters
from geo_pipeline.earth.coordinates import coordinates_of, unit_vectors
from geo_pipeline.earth.distance import EARTH_RADIUS_KM
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.vision import VisionTower


class Pigeon(Baseline):
    """A classifier over semantic cells, and prototypes; until `collect` there are none, and cells answer."""

    prototype_GRD: Tensor
    prototype_deg_GR2: Tensor
    unit_G3: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        self.options = options = config.chosen(PigeonOptions)
        finest = self.hierarchy.partitions[-1]
        self.cell_of_finest = merged_cells(finest, options.place_km, options.merged_cells)
        lat_deg_G, lon_deg_G = merged_means(finest, self.cell_of_finest)
        self.places = Places(lat_deg_G, lon_deg_G)
        self.register_buffer("unit_G3", torch.from_numpy(unit_vectors(lat_deg_G, lon_deg_G)), persistent=False)
        self.norm = nn.LayerNorm(tower.width)
        self.head = nn.Linear(tower.width, len(lat_deg_G))
        shape = (len(lat_deg_G), options.prototypes)
        self.register_buffer("prototype_GRD", torch.zeros(*shape, tower.width))
        self.register_buffer("prototype_deg_GR2", torch.full((*shape, 2), torch.nan, dtype=torch.float64))

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """Latitude, longitude in degrees and cell (N, 3) float64; what no S2 cell holds goes to the cell with
        the nearest mean.
        """
        finest_N = self.hierarchy.assign(lat_deg_N, lon_deg_N)[:, -1]
        nearest_N = nearest(unit_vectors(lat_deg_N, lon_deg_N), self.unit_G3.cpu().numpy())
        cell_N = np.where(finest_N >= 0, self.cell_of_finest[np.maximum(finest_N, 0)], nearest_N)
        return torch.from_numpy(np.stack([lat_deg_N, lon_deg_N, cell_N], axis=1).astype(np.float64))

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """Cross entropy with the faded labels, or with the one-hot ones."""
        logits_MG = self.head(self.features(pixels_MCHW))
        if not self.config.idea:
            return cell_sums([logits_MG], targets_MK[:, 2:].long())
        labels_MG = faded_labels(targets_MK[:, :2], self.unit_G3, self.options.tau_km)
        return functional.cross_entropy(logits_MG.float(), labels_MG, reduction="sum")[None]

    def features(self, pixels_BCHW: Tensor) -> Tensor:
        """The normed CLS token (B, D)."""
        normed_BD: Tensor = self.norm(self.cls(pixels_BCHW))
        return normed_BD

    def collect(self, remembered: Iterable[Tensor], targets_NK: Tensor) -> None:
        """The prototypes: mean unit vector and mean coordinate of the training photographs of every cluster.

        Clusters follow from the coordinates alone; of the features, only their sums are kept.
        """
        lat_deg_N, lon_deg_N, cell_N = targets_NK.cpu().numpy().T
        cells, most = self.prototype_GRD.shape[:2]
        cluster_N = place_clusters(cell_N.astype(np.int64), lat_deg_N, lon_deg_N, most)
        row_N = cell_N.astype(np.int64) * most + cluster_N
        sums_X3 = np.zeros((cells * most, 3))
        np.add.at(sums_X3, row_N, unit_vectors(lat_deg_N, lon_deg_N))
        count_X = np.bincount(row_N, minlength=cells * most)
        place_X2 = np.where(count_X[:, None] > 0, np.stack(coordinates_of(sums_X3), axis=1), np.nan)
        mean_XD = self._summed(remembered, torch.from_numpy(row_N), cells * most)
        mean_XD /= torch.from_numpy(np.maximum(count_X, 1))[:, None]
        self.prototype_GRD.copy_(mean_XD.view_as(self.prototype_GRD))
        self.prototype_deg_GR2.copy_(torch.from_numpy(place_X2).view_as(self.prototype_deg_GR2))

    def remembered(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Unit vectors (B, D)."""
        with self.training_precision(pixels_BCHW.device):
            features_BD = self.features(pixels_BCHW)
        return functional.normalize(features_BD.float(), dim=1)

    def _summed(self, remembered: Iterable[Tensor], row_N: Tensor, clusters: int) -> Tensor:
        """The unit vectors of the images, summed by cluster (X, D) float64, on the CPU."""
        sums_XD = torch.zeros(clusters, self.tower.width, dtype=torch.float64)
        start = 0
        for unit_BD in remembered:
            sums_XD.index_add_(0, row_N[start : start + len(unit_BD)], unit_BD.cpu().double())
            start += len(unit_BD)
        return sums_XD

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Probabilities of the cells and the unit vector of the image, side by side (B, G + D)."""
        features_BD = self.features(pixels_BCHW)
        probability_BG = self.head(features_BD).float().softmax(dim=1)
        return torch.cat([probability_BG, functional.normalize(features_BD.float(), dim=1)], dim=1)

    def locate(self, described_BS: Tensor) -> Located:
        """The nearest prototype of the best cell among the `top_cells`.

        A cell's probability is multiplied by a softmax, over the kept cells, of how near their nearest prototypes
        are. The score is the log probability among the kept cells. Where none of them has a prototype, the best cell's
        mean answers.
        """
        cells = len(self.unit_G3)
        probability_BG, features_BD = described_BS[:, :cells], described_BS[:, cells:]
        means = self.places.best(probability_BG)
        if bool(self.prototype_deg_GR2.isnan().all()):
            return means
        kept_BT = probability_BG.topk(min(self.options.top_cells, cells), dim=1)
        apart_BTR = torch.linalg.norm(self.prototype_GRD[kept_BT.indices] - features_BD[:, None, None], dim=3)
        place_BTR2 = self.prototype_deg_GR2[kept_BT.indices]
        nearest_BT = apart_BTR.masked_fill(place_BTR2[..., 0].isnan(), torch.inf).min(dim=2)
        chance_BT = kept_BT.values.clamp_min(torch.finfo(torch.float32).tiny).log()
        score_BT = (chance_BT - nearest_BT.values / self.options.temperature).log_softmax(dim=1)
        value_B, best_B = score_BT.max(dim=1)
        images_B = torch.arange(len(best_B), device=best_B.device)
        found_B2 = place_BTR2[images_B, best_B, nearest_BT.indices[images_B, best_B]]
        none_B = nearest_BT.values.isinf().all(dim=1)
        refined = Located(found_B2[:, 0], found_B2[:, 1], value_B.double())
        return Located(*(torch.where(none_B, mean, own) for mean, own in zip(means, refined, strict=True)))


def faded_labels(coordinates_deg_B2: Tensor, unit_G3: Tensor, tau_km: float) -> Tensor:
    """Labels (B, G) float32 that add up to one: they fall with the great-circle distance, by e over `tau_km`."""
    lat_B, lon_B = coordinates_deg_B2.double().deg2rad().unbind(1)
    unit_B3 = torch.stack([lat_B.cos() * lon_B.cos(), lat_B.cos() * lon_B.sin(), lat_B.sin()], dim=1)
    chord_BG = torch.cdist(unit_B3, unit_G3, compute_mode="donot_use_mm_for_euclid_dist")
    distance_BG = 2 * EARTH_RADIUS_KM * torch.asin((chord_BG / 2).clamp(max=1.0))
    return (-distance_BG / tau_km).softmax(dim=1).float()
