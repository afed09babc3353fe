"""Training of every baseline: AdamW, the learning rate times gamma per epoch, early stopping, on one device.

A baseline without trainable parameters is only filled from the training images. The loop belongs to `training.loop`,
reading to `geosurge.pairs`.

Shapes: B images of an effective batch, M of a micro-batch, N images, K numbers of a target, T terms of a loss, X rows
that a batch is compared with.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.baseline import Baseline
from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.image_task import ImageTask
from geo_pipeline.geosurge.pairs import Crops, TrainingPairs
from geo_pipeline.geosurge.vision import load_tower
from geo_pipeline.training import loop
from geo_pipeline.training.curve_page import Captions
from geo_pipeline.training.device import pick_device
from geo_pipeline.training.holdout import summed_accuracy
from geo_pipeline.training.loggers import usual_loggers
from geo_pipeline.training.order import Part, parts
from geo_pipeline.training.outcome import NothingToTrainError, Report, TrainingResult
from geo_pipeline.training.state import Progress, fingerprint_of
from geo_pipeline.training.workers import Workers


def train(
    images: Sequence[Path],
    segmentations: Sequence[Path],
    hierarchy_table: Path | None,
    config: BaselineConfig,
    out_dir: Path,
    report: Report,
    device: str | None = None,
) -> TrainingResult:
    """Train on the rows of sets `train` and `holdout` and write the best epoch's checkpoint to `out_dir`.

    `hierarchy_table` may be None for a baseline without cells. `report` gets one dictionary per epoch. `out_dir` keeps
    the last state in `last`: called again with the same arguments, an unfinished training goes on and a finished one
    returns at once. Raises NothingToTrainError, TrainingDivergedError, CheckpointError, NoCellsError.
    """
    world = Workers.present().world
    if world > 1:
        raise NothingToTrainError(
            f"found {world} workers; expected one: baselines train on one device. Set train_workers to 1 for them."
        )
    torch.manual_seed(config.training.seed)
    hierarchy = None if hierarchy_table is None else Hierarchy.from_table(pq.read_table(hierarchy_table))
    pairs = TrainingPairs(images, segmentations, config.vision, config.training)
    model = checkpoint.build(config, hierarchy, load_tower(config.vision))
    return train_on(pairs, model, Path(out_dir), report, pick_device(device))


def train_on(
    pairs: TrainingPairs, model: Baseline, out_dir: Path, report: Report, device: torch.device
) -> TrainingResult:
    """What `train` does, over pairs already read."""
    task = BaselineTask(model, pairs, device)
    return loop.run(task, out_dir, usual_loggers(out_dir, report, Captions(task.name)))


class BaselineTask(ImageTask):
    """A baseline on images and class maps."""

    def __init__(self, model: Baseline, pairs: TrainingPairs, device: torch.device) -> None:
        config, rows, cells = model.config.training, pairs.train_rows, model.known_hierarchy
        super().__init__(pairs, config, rows, device, Workers())
        self.name = f"the baseline {model.config.name}"
        model.prepare(pairs.lat_deg[rows], pairs.lon_deg[rows])
        self.targets_NK = model.targets(pairs.lat_deg, pairs.lon_deg).to(device)
        self.network = self.model = model.to(device)
        self.parameters = model.trainable()
        self.optimizer = _optimizer(self.parameters, config.lr, config.weight_decay)
        self.fingerprint = fingerprint_of(asdict(model.config), cells and cells.fingerprint(), pairs.fingerprint)

    def loss(self, part: Part, inputs: Crops) -> Tensor:
        """See Task."""
        sums_T = self._sums(part, inputs)
        return (sums_T / self.counts_T.clamp_min(1)).sum()

    def settle(self) -> None:
        """See Task."""
        self.model.settle()

    def _sums(self, part: Part, crops: Crops) -> Tensor:
        """The terms of the loss (T,), summed over the images of a part."""
        if part.start == 0:  # drawn once for all parts of a batch
            targets_BK = self._targets(part.rows_B)
            self.counts_T, self.compared_XK = self.model.counts(targets_BK), self.model.compared(targets_BK)
        mine_MK = self.compared_XK[part.start : part.start + len(part.rows_M)]
        with self.model.training_precision(self.device):
            return self.model.loss_sums(*crops, mine_MK, self.compared_XK).float()

    def _targets(self, rows: np.ndarray) -> Tensor:
        return self.targets_NK[torch.from_numpy(rows).to(self.device)]

    def judge(self) -> tuple[float, float]:
        """Loss and mean accuracy over the thresholds.

        Each term of the loss is its mean over all held-out images that it counts, however they fall into batches.
        """
        sums, counts, correct = [], [], 0.0
        for part, crops in self.inputs(self.held_out_parts(), None):
            sums.append(self._sums(part, crops))
            if part.last:
                counts.append(self.counts_T)
            found, mine = self.model.predict(*crops), part.rows_M
            found_M2 = torch.stack([found.lat_deg_B, found.lon_deg_B], dim=1).cpu().numpy()
            correct += summed_accuracy(found_M2, self.pairs.lat_deg[mine], self.pairs.lon_deg[mine])
        loss = torch.stack(sums).double().sum(dim=0) / torch.stack(counts).sum(dim=0).clamp_min(1)
        return float(loss.sum()), correct / self.held_out

    def finish(self, progress: Progress) -> dict[str, Any]:
        """Let the baseline collect, and judge what it has become."""
        cut = parts([self.rows], 0, self.config.micro_batch or self.config.batch)
        self.model.collect((crops for _, crops in self.inputs(cut, None)), self._targets(self.rows))
        metric = self.judge()[1] if self.held_out else math.nan
        return {
            **self.counts(),
            "baseline": self.model.config.name,
            "idea": self.model.config.idea,
            "holdout_mean_accuracy": None if math.isnan(metric) else metric,
        }

    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """See Task."""
        checkpoint.save(folder, self.model, {**facts, "data_fingerprint": self.pairs.fingerprint})


def _optimizer(parameters: dict[str, torch.nn.Parameter], lr: float, weight_decay: float) -> torch.optim.AdamW | None:
    """AdamW that decays matrices only; None when there is nothing to train."""
    if not parameters:
        return None
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)
