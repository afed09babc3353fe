"""CPlaNet: several coarse partitions, each classified; laid over each other they tell fine places apart.

Seo, Weyand, Sim and Han, CPlaNet: enhancing image geolocalization by combinatorial partitioning of maps, ECCV 2018,
section 3: geoclass sets, one softmax each on a shared network; a fine place scores by the classes that hold it.

Simplified: sets are random merges of neighbouring cells of the finest partition by distance alone (`geoclass_sets`),
where the paper also weighs visual likeness; the score of a part is the mean over sets of the probability of its class;
no retrieval inside the best part. Without the idea (`idea=False`) there is one set, and its classes are the places.

Shapes: B images, M of a micro-batch, S sets, C classes of a set, A parts.
"""

import numpy as np
import torch
from torch import Tensor, nn

from geo_pipeline.baselines.baseline import Baseline, Located
from geo_pipeline.baselines.cell_scores import Places, cell_sums, covered, heads
from geo_pipeline.baselines.config import BaselineConfig, CPlanetOptions
from geo_pipeline.baselines.geoclass_sets import geoclass_sets
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.vision import VisionTower


class CPlaNet(Baseline):
    """One classifier per geoclass set on the tower's CLS token."""

    class_AS: Tensor

    def __init__(self, config: BaselineConfig, hierarchy: Hierarchy | None, tower: VisionTower) -> None:
        super().__init__(config, hierarchy, tower)
        options = config.chosen(CPlanetOptions)
        self.sets = geoclass_sets(
            self.hierarchy.partitions[-1],
            options.sets if config.idea else 1,
            options.cells_per_class,
            options.neighbours,
            options.seed,
        )
        self.register_buffer("class_AS", torch.from_numpy(self.sets.class_AS))
        self.places = Places(self.sets.place_A2[:, 0], self.sets.place_A2[:, 1])
        self.norm = nn.LayerNorm(tower.width)
        self.heads = heads(tower.width, self.sets.counts)

    def targets(self, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray) -> Tensor:
        """The class (N, S) of each image in each set, -1 outside every cell."""
        cells_N = self.hierarchy.assign(lat_deg_N, lon_deg_N)[:, -1]
        return torch.from_numpy(np.where(cells_N[:, None] >= 0, self.sets.class_FS[cells_N], -1))

    def counts(self, targets_BK: Tensor) -> Tensor:
        """The images that each set covers."""
        return covered(targets_BK)

    def loss_sums(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """The mean of the sets' cross entropies, a term for each."""
        return cell_sums(self._logits(pixels_MCHW), targets_MK)

    def describe(self, pixels_BCHW: Tensor, class_map_BHW: Tensor) -> Tensor:
        """Scores (B, A) of the parts: the mean over sets of the probability of the class that holds the part."""
        found = [
            logits_BC.float().softmax(dim=1)[:, self.class_AS[:, number]]
            for number, logits_BC in enumerate(self._logits(pixels_BCHW))
        ]
        return torch.stack(found).mean(dim=0)

    def locate(self, described_BS: Tensor) -> Located:
        """The place of the best part."""
        return self.places.best(described_BS)

    def _logits(self, pixels_BCHW: Tensor) -> list[Tensor]:
        cls_BD = self.norm(self.cls(pixels_BCHW))
        return [head(cls_BD) for head in self.heads]
