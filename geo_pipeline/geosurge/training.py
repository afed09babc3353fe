"""Training of GeoSURGE (sections III-C and IV): AdamW, the rate times gamma per epoch, early stopping.

Where there are several workers, each takes its lanes of the effective batch. The loop belongs to `training.loop`,
reading to `pairs`, images to loss to `step`, the finished model to `checkpoint`.

Shapes: B images of an effective batch, M of a micro-batch, P partitions, D width.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.config import GeoSurgeConfig
from geo_pipeline.geosurge.image_task import ImageTask
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.pairs import Crops, TrainingPairs
from geo_pipeline.geosurge.step import TrainingStep
from geo_pipeline.training import loop
from geo_pipeline.training.curve_page import Captions
from geo_pipeline.training.device import pick_device
from geo_pipeline.training.holdout import summed_accuracy
from geo_pipeline.training.loggers import usual_loggers
from geo_pipeline.training.order import Part
from geo_pipeline.training.outcome import Report, TrainingResult
from geo_pipeline.training.state import Progress, fingerprint_of
from geo_pipeline.training.workers import Workers


def train(
    images: Sequence[Path],
    segmentations: Sequence[Path],
    hierarchy_table: Path,
    config: GeoSurgeConfig,
    out_dir: Path,
    report: Report,
    device: str | None = None,
) -> TrainingResult:
    """Train on the rows of sets `train` and `holdout` and write the best epoch's checkpoint to `out_dir`.

    `report` gets one dictionary per epoch, with the same values on every rank. `out_dir` also gets event files for
    TensorBoard and a page of the curves, and keeps the last state in `last`: called again with the same arguments, an
    unfinished training goes on and a finished one returns at once. Raises NothingToTrainError, TrainingDivergedError,
    CheckpointError.
    """
    torch.manual_seed(config.training.seed)
    hierarchy = Hierarchy.from_table(pq.read_table(hierarchy_table))
    pairs = TrainingPairs(images, segmentations, config.vision, config.training)
    return train_on(pairs, GeoSurge(config, hierarchy).to(pick_device(device)), Path(out_dir), report)


def train_on(pairs: TrainingPairs, model: GeoSurge, out_dir: Path, report: Report) -> TrainingResult:
    """What `train` does, over pairs already read and on the model's device."""
    workers = Workers.present()
    loggers = usual_loggers(out_dir, report, Captions("GeoSURGE", loss="sum over the partitions"), workers.rank)
    return loop.run(GeoSurgeTask(model, pairs, workers), out_dir, loggers)


class GeoSurgeTask(ImageTask):
    """GeoSURGE on images and class maps."""

    name = "GeoSURGE"

    def __init__(self, model: GeoSurge, pairs: TrainingPairs, workers: Workers) -> None:
        config, device = model.config.training, next(model.geography.parameters()).device
        self.model, self.whole_loss = model, config.symmetric
        self.targets_NP = torch.from_numpy(model.hierarchy.assign(pairs.lat_deg, pairs.lon_deg)).long().to(device)
        rows = pairs.train_rows
        if config.uncovered == "drop":
            rows = rows[(self.targets_NP[torch.from_numpy(rows).to(device)] >= 0).all(dim=1).cpu().numpy()]
        super().__init__(pairs, config, rows, device, workers)
        self.bare_step = TrainingStep(model)
        self.network = workers.wrapped(self.bare_step)
        self.parameters = model.trainable()
        self.optimizer = torch.optim.AdamW(_groups(self.parameters, config.weight_decay), lr=config.lr)
        self.fingerprint = fingerprint_of(asdict(model.config), model.hierarchy.fingerprint(), pairs.fingerprint)

    def loss(self, part: Part, inputs: Crops) -> Tensor:
        """See Task."""
        return self._forward(self.network, part, inputs)[0]

    def settle(self) -> None:
        """See Task: the temperatures."""
        self.model.geography.settle()

    def _forward(self, step: nn.Module, part: Part, crops: Crops) -> tuple[Tensor, Tensor]:
        rows_M, rows_B = (torch.from_numpy(rows).to(self.device) for rows in (part.rows_M, part.rows_B))
        return step(*crops, self.targets_NP[rows_M], self.targets_NP[rows_B])

    def judge(self) -> tuple[float, float]:
        """Loss by the training objective, in a fixed order, and mean accuracy over the thresholds.

        The loss is the mean over the batches, each weighed by its images.
        """
        losses, images, total = [], [], torch.zeros((), device=self.device)
        correct = torch.zeros((), dtype=torch.float64, device=self.device)
        for part, crops in self.inputs(self.held_out_parts(), None):
            loss, features_MD = self._forward(self.bare_step, part, crops)
            total += loss / self.workers.world if self.whole_loss else loss
            found_M2, mine = self.model.best_places(features_MD), part.rows_M
            correct += summed_accuracy(found_M2, self.pairs.lat_deg[mine], self.pairs.lon_deg[mine])
            if part.last:
                losses.append(float(self.workers.sum(total)))
                images.append(len(part.rows_B))
                total = torch.zeros((), device=self.device)
        return float(np.average(losses, weights=images)), float(self.workers.sum(correct)) / self.held_out

    def finish(self, progress: Progress) -> dict[str, Any]:
        """See Task."""
        uncovered_P = (self.targets_NP[torch.from_numpy(self.rows).to(self.device)] < 0).float().mean(dim=0)
        return {
            **self.counts(),
            "holdout_mean_accuracy": None if math.isnan(progress.best_metric) else progress.best_metric,
            "train_images_left_out": len(self.pairs.train_rows) - len(self.rows),
            "uncovered_share_finest": float(uncovered_P[-1]),
            "temperatures": self.model.geography.temperatures(),
        }

    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """See Task."""
        ours = {"data_fingerprint": self.pairs.fingerprint, "workers": self.workers.world}
        self.model.save_pretrained(folder, {**facts, **ours})


def _groups(parameters: dict[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Temperatures are not decayed: decay would pull them to 1."""
    scales = [parameter for name, parameter in parameters.items() if name.endswith("log_scale_P")]
    others = [parameter for name, parameter in parameters.items() if not name.endswith("log_scale_P")]
    return [{"params": others, "weight_decay": weight_decay}, {"params": scales, "weight_decay": 0.0}]
