"""GeoCLIP: coordinates as vectors in the image's space, through random Fourier features at several scales.

Vivanco Cepeda, Nayak and Shah, GeoCLIP: Clip-Inspired Alignment between Locations and Images for Effective Worldwide
Geo-localization, NeurIPS 2023, section 3. A coordinate is projected (Equal Earth), encoded with random Fourier features
of a few sigmas, and each encoding goes through an MLP of its own; the sum is the location's vector. Training is
contrastive: the image against the coordinates of its batch and of a queue. The answer is the best of a gallery of
training coordinates.

Coordinates are encoded in float32 whatever the precision of training: bfloat16 would move them by up to 40 km. An image
is compared with coordinates, known before any image is encoded, so that micro-batches change no gradient.

Simplified: the queue is drawn anew from the gallery instead of kept from past batches; one view per image; the tower's
last block learns with the head. Without the idea (`idea=False`) the MLPs read the projected coordinate as it is.

Shapes: B images, M of a micro-batch (or Fourier features), N coordinates, X of a batch and its queue, G of the gallery,
Q of the queue, D width.
"""

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.config import BaselineConfig, GeoClipOptions
from geo_pipeline.earth.distance import EARTH_RADIUS_KM
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.vision import VisionTower

EQUAL_EARTH = (1.340264, -0.081106, 0.000893, 0.003796)
"""Coefficients of the projection (Savric, Patterson and Jenny, 2018)."""
MAX_LOGIT_SCALE = 100.0


class GeoClip(Baseline):
    """Image head, location encoder, temperature, gallery.

    `gallery_GD` is empty until `collect`: while training goes on, the gallery is encoded each time it is asked.
    """

    collected: ClassVar[tuple[str, ...]] = ("gallery_deg_G2", "gallery_GD")
    gallery_deg_G2: Tensor
    gallery_GD: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        self.options = options = config.chosen(GeoClipOptions)
        width = tower.width
        self.image_head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, options.embedding_dim)
        )
        self.location = LocationEncoder(options, config.idea)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(options.initial_temperature)))
        self.register_buffer("gallery_deg_G2", torch.zeros(0, 2, dtype=torch.float64))
        self.register_buffer("gallery_GD", torch.zeros(0, options.embedding_dim))

    def prepare(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> None:
        """The gallery: the distinct training coordinates, or as many of them as `options.gallery` allows."""
        distinct_G2 = np.unique(np.stack([lat_deg_N, lon_deg_N], axis=1).astype(np.float64), axis=0)
        if len(distinct_G2) > self.options.gallery:
            draw = np.random.default_rng(self.options.seed)
            distinct_G2 = distinct_G2[np.sort(draw.choice(len(distinct_G2), self.options.gallery, replace=False))]
        self.gallery_deg_G2 = torch.from_numpy(distinct_G2)

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """The coordinates themselves (N, 2), in degrees."""
        return torch.from_numpy(np.stack([lat_deg_N, lon_deg_N], axis=1).astype(np.float64))

    def compared(self, targets_BK: Tensor) -> Tensor:
        """The coordinates (X, 2) of the batch and of the queue, moved by noise.

        In evaluation nothing is random: no noise, and the queue is spread evenly over the gallery.
        """
        queue_Q2 = self._queue()
        if self.training:
            targets_BK = displaced(targets_BK, self.options.noise_km)
            queue_Q2 = displaced(queue_Q2, self.options.queue_noise_km)
        return torch.cat([targets_BK, queue_Q2])

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """Cross entropy of each image's own coordinate among those of the batch and of the queue."""
        own_MD, places_XD = self.location(targets_MK), self.location(compared_XK)
        images_MD = self.describe(pixels_MCHW, class_map_MHW)
        with torch.autocast(images_MD.device.type, enabled=False):
            scaled_MD = self.scale() * images_MD
            chance_M = (scaled_MD * own_MD).sum(dim=1) - (scaled_MD @ places_XD.T).logsumexp(dim=1)
        return -chance_M.sum()[None]

    def collect(self, remembered: Iterable[Tensor], targets_NK: Tensor) -> None:
        """Encode the gallery, once and for all; no image is read."""
        self.gallery_GD = self.location(self.gallery_deg_G2)

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Unit vectors (B, D) of images."""
        vectors_BD: Tensor = self.image_head(self.cls(pixels_BCHW))
        return functional.normalize(vectors_BD.float(), dim=1)

    def locate(self, described_BS: Tensor) -> Located:
        """The gallery's best coordinate; its score is the log probability among the gallery."""
        places_GD = self.gallery_GD if len(self.gallery_GD) else self.location(self.gallery_deg_G2)
        logits_BG = self.scale() * functional.normalize(described_BS, dim=1) @ places_GD.T
        value_B, best_B = logits_BG.log_softmax(dim=1).max(dim=1)
        found_B2 = self.gallery_deg_G2[best_B]
        return Located(found_B2[:, 0], found_B2[:, 1], value_B.double())

    def scale(self) -> Tensor:
        """1 / temperature, a scalar tensor."""
        return self.log_scale.exp()

    @torch.no_grad()
    def settle(self) -> None:
        """Clamp the temperature in place, as CLIP does: 1 / temperature from 1 to the largest scale."""
        self.log_scale.clamp_(0.0, math.log(MAX_LOGIT_SCALE))

    def _queue(self) -> Tensor:
        gallery_G2 = self.gallery_deg_G2
        count = min(self.options.queue, len(gallery_G2))
        if self.training:
            return gallery_G2[torch.randint(len(gallery_G2), (count,), device=gallery_G2.device)]
        return gallery_G2[torch.arange(count, device=gallery_G2.device) * len(gallery_G2) // max(1, count)]


class LocationEncoder(nn.Module):
    """Unit vectors of coordinates: the sum over the scales of an MLP of the Fourier features at that scale."""

    def __init__(self, options: GeoClipOptions, fourier: bool) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(
                FourierFeatures(sigma, options.fourier_dim, options.seed + row) if fourier else nn.Identity(),
                nn.Linear(2 * options.fourier_dim if fourier else 2, options.width),
                nn.ReLU(),
                nn.Linear(options.width, options.width),
                nn.ReLU(),
                nn.Linear(options.width, options.width),
                nn.ReLU(),
                nn.Linear(options.width, options.embedding_dim),
            )
            for row, sigma in enumerate(options.sigmas)
        )

    def forward(self, coordinates_deg_N2: Tensor) -> Tensor:
        """Unit vectors (N, D) of latitudes and longitudes (N, 2) in degrees, in float32 also under autocast."""
        with torch.autocast(coordinates_deg_N2.device.type, enabled=False):
            projected_N2 = equal_earth(coordinates_deg_N2.double()).float()
            summed_ND = torch.stack([scale(projected_N2) for scale in self.scales]).sum(dim=0)
            return functional.normalize(summed_ND, dim=1)


class FourierFeatures(nn.Module):
    """Cosines and sines of random projections (Rahimi and Recht, 2007); sigma sets how fine a difference they see."""

    frequency_M2: Tensor

    def __init__(self, sigma: float, count: int, seed: int) -> None:
        super().__init__()
        drawn_M2 = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("frequency_M2", 2 * math.pi * sigma * drawn_M2)

    def forward(self, projected_N2: Tensor) -> Tensor:
        """Features (N, 2 M). Multiplied element by element: a product of matrices may round to TF32."""
        angle_NM = (projected_N2[:, None] * self.frequency_M2).sum(dim=2)
        return torch.cat([angle_NM.cos(), angle_NM.sin()], dim=1)


def equal_earth(coordinates_deg_N2: Tensor) -> Tensor:
    """The Equal Earth projection x, y (N, 2), scaled so that the equator runs from -1 to 1."""
    a1, a2, a3, a4 = EQUAL_EARTH
    lat_N, lon_N = coordinates_deg_N2.deg2rad().unbind(1)
    theta_N = torch.asin(math.sqrt(3) / 2 * torch.sin(lat_N))
    slope_N = a1 + 3 * a2 * theta_N**2 + 7 * a3 * theta_N**6 + 9 * a4 * theta_N**8
    x_N = 2 * math.sqrt(3) * lon_N * torch.cos(theta_N) / (3 * slope_N)
    y_N = a1 * theta_N + a2 * theta_N**3 + a3 * theta_N**7 + a4 * theta_N**9
    return torch.stack([x_N, y_N], dim=1) * (3 * a1 / (2 * math.sqrt(3) * math.pi))


def displaced(coordinates_deg_N2: Tensor, sigma_km: float) -> Tensor:
    """The coordinates (N, 2), moved in a random direction by normal noise of `sigma_km` along each axis in space."""
    if sigma_km == 0:
        return coordinates_deg_N2
    lat_N, lon_N = coordinates_deg_N2.deg2rad().unbind(1)
    unit_N3 = torch.stack([lat_N.cos() * lon_N.cos(), lat_N.cos() * lon_N.sin(), lat_N.sin()], dim=1)
    moved_N3 = unit_N3 + sigma_km / EARTH_RADIUS_KM * torch.randn_like(unit_N3)
    x_N, y_N, z_N = moved_N3.unbind(1)
    return torch.stack([torch.atan2(z_N, torch.hypot(x_N, y_N)), torch.atan2(y_N, x_N)], dim=1).rad2deg()
