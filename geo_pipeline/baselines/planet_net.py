"""PlaNet: the Earth as one flat set of cells that adapt to where photographs were taken, each cell a class.

Weyand, Kostrikov and Philbin, PlaNet: photo geolocation with convolutional neural networks, ECCV 2016, section 3:
S2 cells split until none holds too many photographs, a softmax over all of them, cross entropy.

Simplified: a CLIP tower instead of an Inception network; no LSTM over albums; the answer of a cell is the mean of its
photographs, as of every method here, not the cell's centre. Without the idea (`idea=False`) the classes are a regular
grid of latitude and longitude with about as many cells, blind to where photographs were taken.

Shapes: B images, M of a micro-batch, C cells, N training images.
"""

import numpy as np
import torch
from torch import Tensor, nn

from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.cell_scores import CellCountError, cell_sums, covered
from geo_pipeline.baselines.config import BaselineConfig, PlaNetOptions
from geo_pipeline.earth.coordinates import coordinates_of, unit_vectors
from geo_pipeline.earth.hierarchy import Hierarchy, Partition
from geo_pipeline.geosurge.vision import VisionTower


class PlaNet(Baseline):
    """One classifier over one partition."""

    place_C2: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        self.partition = config.chosen(PlaNetOptions).partition
        cells = self._cells()
        self.rows = max(1, round((len(cells) / 2) ** 0.5))
        count = len(cells) if config.idea else 2 * self.rows**2
        place_C2 = np.stack([cells.lat_deg, cells.lon_deg], axis=1) if config.idea else grid_centres(self.rows)
        self.register_buffer("place_C2", torch.from_numpy(place_C2))
        self.norm = nn.LayerNorm(tower.width)
        self.head = nn.Linear(tower.width, count)

    def prepare(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> None:
        """A cell of the grid answers with the mean of its photographs; an empty one keeps its centre."""
        if self.config.idea:
            return
        cells_N = grid_cells(lat_deg_N, lon_deg_N, self.rows)
        sums_C3 = np.zeros((2 * self.rows**2, 3))
        np.add.at(sums_C3, cells_N, unit_vectors(lat_deg_N, lon_deg_N))
        filled_C = np.linalg.norm(sums_C3, axis=1) > 1e-9
        place_C2 = np.stack(coordinates_of(sums_C3[filled_C]), axis=1)
        self.place_C2[torch.from_numpy(filled_C)] = torch.from_numpy(place_C2)

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """The cell (N, 1) of each image, -1 outside every cell."""
        if not self.config.idea:
            return torch.from_numpy(grid_cells(lat_deg_N, lon_deg_N, self.rows))[:, None]
        column = -1 if self.partition is None else self.partition
        return torch.from_numpy(self.hierarchy.assign(lat_deg_N, lon_deg_N)[:, column]).long()[:, None]

    def logits(self, pixels_BCHW: Tensor) -> Tensor:
        """Logits (B, C) of the cells."""
        logits_BC: Tensor = self.head(self.norm(self.cls(pixels_BCHW)))
        return logits_BC

    def counts(self, targets_BK: Tensor) -> Tensor:
        """The images that some cell covers."""
        return covered(targets_BK)

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """Cross entropy over the cells."""
        return cell_sums([self.logits(pixels_MCHW)], targets_MK)

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Probabilities (B, C) of the cells."""
        return self.logits(pixels_BCHW).float().softmax(dim=1)

    def locate(self, described_BS: Tensor) -> Located:
        """The place of the most probable cell; its score is the log probability."""
        value_B, cell_B = described_BS.max(dim=1)
        place_B2 = self.place_C2[cell_B]
        return Located(place_B2[:, 0], place_B2[:, 1], value_B.double().log())

    def _cells(self) -> Partition:
        partitions = self.hierarchy.partitions
        if self.partition is None:
            return partitions[-1]
        if self.partition >= len(partitions):
            raise CellCountError(
                f"found that PlaNetOptions.partition is {self.partition}, but the hierarchy has {len(partitions)} "
                f"partitions: choose 0 to {len(partitions) - 1}, or none for the finest."
            )
        return partitions[self.partition]


def grid_cells(lat_deg_N: np.ndarray, lon_deg_N: np.ndarray, rows: int) -> np.ndarray:
    """The cell (N,) int64 of each coordinate in a grid of `rows` x 2 `rows` equal steps of latitude and longitude."""
    row_N = np.clip((np.asarray(lat_deg_N) + 90.0) / 180.0 * rows, 0, rows - 1).astype(np.int64)
    column_N = np.clip((np.asarray(lon_deg_N) + 180.0) / 360.0 * 2 * rows, 0, 2 * rows - 1).astype(np.int64)
    cells_N: np.ndarray = row_N * 2 * rows + column_N
    return cells_N


def grid_centres(rows: int) -> np.ndarray:
    """Latitude and longitude (C, 2) in degrees of the centres of that grid."""
    lat_deg, lon_deg = ((np.arange(count) + 0.5) * 180.0 / rows for count in (rows, 2 * rows))
    centres = np.meshgrid(lat_deg - 90.0, lon_deg - 180.0, indexing="ij")
    return np.stack([axis.reshape(-1) for axis in centres], axis=1)
