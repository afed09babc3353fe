"""What every baseline is: a tower, a loss, and a way from an image to coordinates in two steps.

`describe` sees the image and gives one vector per crop; vectors of an image's crops are averaged; `locate` turns the
mean into a coordinate. How baselines train belongs to `training`, their files to `checkpoint`, scores of cells to
`cell_scores`.

Shapes: B images, H x W pixels, T tokens, D width, S length of a description, N training images, K numbers of a target.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import numpy as np
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
                f"The baseline {self.config.name} is built on geocells and got none; give the table of geocells."
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
        """What `loss` compares with, of images at these coordinates: (N, K), any type."""

    @abstractmethod
    def loss(self, pixels_BCHW: Tensor, class_map_BHW: Tensor, targets_BK: Tensor) -> Tensor:
        """The training loss of a batch, a scalar."""

    def collect(self, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Take what is needed from the training images after the last step: pixels, class maps and targets of all of
        them, centre crops in their order, without gradients. Nothing by default, and then no image is read.
        """

    @abstractmethod
    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """One vector (B, S) float32 per crop; the mean over an image's crops goes to `locate`."""

    @abstractmethod
    def locate(self, described_BS: Tensor) -> Located:
        """Coordinates and scores of described images."""

    def predict(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Located:
        """Coordinates and scores of images seen in one crop."""
        return self.locate(self.describe(pixels_BCHW, class_map_BHW))

    def cls(self, pixels_BCHW: Tensor) -> Tensor:
        """The tower's CLS token (B, D)."""
        tokens_BTD: Tensor = self.tower(pixels_BCHW)
        return tokens_BTD[:, 0]
