"""What every baseline is: a tower, a loss, and a way from an image to coordinates in two steps.

`describe` sees the image and gives one vector per crop; vectors of an image's crops are averaged; `locate` turns the
mean into a coordinate. How baselines train belongs to `training`, their files to `checkpoint`, scores of cells to
`cell_scores`.

A loss is a sum of terms, each a mean over the images that it counts (those that a partition covers, say). A baseline
gives the sums and the counts apart, so that the parts of a batch add up to the loss of the whole.

Shapes: B images, M of a micro-batch, H x W pixels, T tokens or terms of the loss, D width, S length of a description, N
training images, K numbers of a target, X rows that a step's images are compared with.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.vision import VisionTower


class NoCellsError(ValueError):
    """A baseline of cells without geocells."""


class Located(NamedTuple):
    """Coordinates in degrees and a score, each (B,) float64; higher is surer."""

    lat_deg_B: Tensor
    lon_deg_B: Tensor
    score_B: Tensor


class Baseline(nn.Module, ABC):
    """A baseline for one configuration.

    `collected` names the buffers whose first dimension follows from the training images (a gallery, prototypes): they
    are filled by `prepare` or `collect`, and a checkpoint restores them at the size in which it holds them.
    """

    collected: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__()
        self.config, self.tower = config, tower
        self._hierarchy = hierarchy

    @property
    def hierarchy(self) -> Hierarchy:
        """The geocells. Raises NoCellsError for a baseline that was made without."""
        if self._hierarchy is None:
            raise NoCellsError(
                f"found no geocells for the baseline {self.config.name}, which is built on them; give the table of "
                "geocells."
            )
        return self._hierarchy

    @property
    def known_hierarchy(self) -> Hierarchy | None:
        """The geocells, or None where the baseline has none."""
        return self._hierarchy

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def prepare(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> None:
        """Take what is needed from the coordinates of the training images, before the first step. Nothing by default.

        Must give the same for the same coordinates: a resumed training calls it again.
        """

    @abstractmethod
    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """What the loss compares with, of images at these coordinates: (N, K), any type."""

    def compared(self, targets_BK: Tensor) -> Tensor:
        """What the images of an effective batch are compared with (X, K), drawn once for all its parts: first a row for
        each image, its own. The targets as they are by default.
        """
        return targets_BK

    def counts(self, targets_BK: Tensor) -> Tensor:
        """How many of these images each term of the loss counts (T,); one term that counts all by default."""
        return torch.full((1,), len(targets_BK), device=targets_BK.device)

    @abstractmethod
    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """The terms of the loss (T,), each summed over these images, whose targets are their rows of `compared_XK`.

        Divided by `counts` of the effective batch, the terms of all its micro-batches add up to its loss.
        """

    def loss(self, pixels_BCHW: Tensor, class_map_BHW: Tensor, targets_BK: Tensor) -> Tensor:
        """The training loss of a batch, a scalar. A term that counts no image of it is 0."""
        compared_XK = self.compared(targets_BK)
        sums_T = self.loss_sums(pixels_BCHW, class_map_BHW, compared_XK[: len(targets_BK)], compared_XK)
        return (sums_T / self.counts(targets_BK).clamp_min(1)).sum()

    def settle(self) -> None:
        """Bring parameters back to their bounds, in place, after each step of the optimiser. Nothing by default."""

    def collect(self, remembered: Iterable[Tensor], targets_NK: Tensor) -> None:
        """Take what is needed from the training images after the last step: what `remembered` gives of the centre crops
        of all of them, (B, S) at a time in their order, without gradients, and their targets. Nothing by default, and
        then no image is read.
        """

    def remembered(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """What `collect` is given of images (B, S), float32; their descriptions by default."""
        return self.described(pixels_BCHW, class_map_BHW)

    @abstractmethod
    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """One vector (B, S) float32 per crop; the mean over an image's crops goes to `locate`."""

    @abstractmethod
    def locate(self, described_BS: Tensor) -> Located:
        """Coordinates and scores of described images."""

    def predict(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Located:
        """Coordinates and scores of images seen in one crop."""
        return self.locate(self.described(pixels_BCHW, class_map_BHW))

    def described(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """`describe` in the precision of the training (B, S), as float32."""
        with self.training_precision(pixels_BCHW.device):
            return self.describe(pixels_BCHW, class_map_BHW).float()

    def training_precision(self, device: torch.device) -> torch.autocast:
        """Autocast to bfloat16 where the training ran so, and nothing else."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.config.training.precision == "bf16")

    def cls(self, pixels_BCHW: Tensor) -> Tensor:
        """The tower's CLS token (B, D)."""
        tokens_BTD: Tensor = self.tower(pixels_BCHW)
        return tokens_BTD[:, 0]
