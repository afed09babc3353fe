"""Training of every baseline: one loop, AdamW, the learning rate times gamma per epoch, early stopping.

The loop is written for one device; micro-batches bound its memory. Killed and started again it continues at the last
written state (every epoch and every few steps) and ends with the same weights. A baseline without trainable parameters
is only filled from the training images. Reading and its order belong to `geosurge.pairs` and `geosurge.order`, the
state of an unfinished run to `geosurge.resume`.

Shapes: B images of an effective batch, M of a micro-batch, N images, K numbers of a target, T terms of a loss, X rows
that a batch is compared with.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor, distributed

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.baseline import Baseline
from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.baselines.curves import curve_table
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.checkpoint import CheckpointError
from geo_pipeline.geosurge.model import pick_device
from geo_pipeline.geosurge.order import batches, lane_orders
from geo_pipeline.geosurge.pairs import TrainingPairs
from geo_pipeline.geosurge.resume import Progress, load_state, save_state
from geo_pipeline.geosurge.training import NothingToTrainError, TrainingDivergedError, TrainingResult, demand_finite
from geo_pipeline.geosurge.vision import load_tower
from geo_pipeline.scoring.accuracy import THRESHOLDS_KM

Report = Callable[[dict[str, Any]], None]
Crops = tuple[Tensor, Tensor]
"""Pixels (M, 3, H, W) and class maps (M, H, W) of a micro-batch."""


def train(
    images: Sequence[Path],
    segmentations: Sequence[Path],
    hierarchy_table: Path | None,
    config: BaselineConfig,
    out_dir: Path,
    report: Report,
    device: str | None = None,
    threads: int | None = None,
) -> TrainingResult:
    """Train on the rows of sets `train` and `holdout` and write the best epoch's checkpoint to `out_dir`.

    `hierarchy_table` may be None for a baseline without cells. `report` gets one dictionary per epoch. `out_dir` keeps
    the last state in `last`: called again with the same arguments, an unfinished training goes on and a finished one
    returns at once. Raises NothingToTrainError, TrainingDivergedError, CheckpointError, NoCellsError.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        raise NothingToTrainError(
            f"Found {distributed.get_world_size()} workers; expected one: baselines train on one device. Set "
            "train_workers to 1 for them."
        )
    torch.manual_seed(config.training.seed)
    hierarchy = None if hierarchy_table is None else Hierarchy.from_table(pq.read_table(hierarchy_table))
    pairs = TrainingPairs(images, segmentations, config.vision, config.training)
    model = checkpoint.build(config, hierarchy, load_tower(config.vision))
    return BaselineTrainer(model, pairs, Path(out_dir), report, pick_device(device)).run()


class BaselineTrainer:
    """One training run over pairs already read; `train` builds it from files."""

    def __init__(
        self, model: Baseline, pairs: TrainingPairs, out_dir: Path, report: Report, device: torch.device
    ) -> None:
        self.pairs, self.out_dir, self.report, self.device = pairs, out_dir, report, device
        self.config = model.config.training
        self.train_rows, self.holdout_rows = pairs.train_rows, pairs.holdout_rows
        if len(self.train_rows) < max(2, self.config.lanes):
            raise NothingToTrainError(
                f"Found {len(self.train_rows)} training images with a class map ({len(pairs.without_map)} without); "
                f"expected at least {max(2, self.config.lanes)}. Add photographs, or segment those that have no map."
            )
        model.prepare(pairs.lat_deg[self.train_rows], pairs.lon_deg[self.train_rows])
        self.targets_NK = model.targets(pairs.lat_deg, pairs.lon_deg).to(device)
        self.model = model.to(device)
        self.parameters = model.trainable()
        self.optimizer = _optimizer(self.parameters, self.config.lr, self.config.weight_decay)
        self.progress = Progress(fingerprint=self._fingerprint(), finished=not self.parameters)

    def run(self) -> TrainingResult:
        """Train to the end, from the last written state if there is one, and write the checkpoint."""
        last = self.out_dir / "last"
        if self.optimizer is not None:
            found = load_state(last, self.progress.fingerprint, self.parameters, self.optimizer)
            self.progress = found or self.progress
            while not self.progress.finished:
                began = time.monotonic()
                self._judge(began, self._epoch(self.optimizer, last))
                save_state(last, self.progress, self.parameters, self.optimizer)
        metrics = self._known_metrics() or self._finish()
        return TrainingResult(curve_table(self.progress.curves), {**metrics, "seconds": self.progress.seconds})

    def _epoch(self, optimizer: torch.optim.Optimizer, last: Path) -> int:
        """What is left of an epoch; returns its images."""
        config, progress = self.config, self.progress
        self.model.train()
        rate = config.lr * config.gamma**progress.epoch
        for group in optimizer.param_groups:
            group["lr"] = rate
        orders_LN = lane_orders(
            self.pairs.groups(self.train_rows), config.lanes, config.shuffle_rows, config.seed, progress.epoch
        )
        planned = [rows_1B[0] for rows_1B in batches(orders_LN, config.batch, 1)][progress.batches :]
        images = self._images([part for rows_B in planned for part in self._micro(rows_B)], progress.epoch)
        for rows_B in planned:
            loss = self._optimize(optimizer, rows_B, images)
            progress.step += 1
            progress.batches += 1
            progress.curves.append((progress.step, progress.epoch, 0.0, loss, rate, math.nan))
            if progress.step % config.checkpoint_steps == 0:
                save_state(last, progress, self.parameters, optimizer)
        return sum(len(rows_B) for rows_B in planned)

    def _optimize(self, optimizer: torch.optim.Optimizer, rows_B: np.ndarray, images: Iterator[Crops]) -> float:
        """One optimizer step on an effective batch; returns its loss."""
        optimizer.zero_grad(set_to_none=True)
        targets_BK = self._targets(rows_B)
        counts_T = self.model.counts(targets_BK).clamp_min(1)
        total = torch.zeros((), device=self.device)
        for _, _, sums_T in self._parts(rows_B, targets_BK, images):
            loss = (sums_T / counts_T).sum()
            loss.backward()
            total += loss.detach()
        value = float(total)
        if not math.isfinite(value):
            self._diverged(rows_B, value)
        optimizer.step()
        return value

    def _parts(
        self, rows_B: np.ndarray, targets_BK: Tensor, images: Iterator[Crops]
    ) -> Iterator[tuple[np.ndarray, Crops, Tensor]]:
        """Rows, images and terms of the loss (T,) of one micro-batch of an effective batch after the other."""
        compared_XK, start = self.model.compared(targets_BK), 0
        bf16 = self.config.precision == "bf16"
        for rows_M in self._micro(rows_B):
            crops = next(images)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                sums_T = self.model.loss_sums(*crops, compared_XK[start : start + len(rows_M)], compared_XK).float()
            yield rows_M, crops, sums_T
            start += len(rows_M)

    def _micro(self, rows_B: np.ndarray) -> list[np.ndarray]:
        size = self.config.micro_batch or self.config.batch
        return [rows_B[start : start + size] for start in range(0, len(rows_B), size)]

    def _targets(self, rows: np.ndarray) -> Tensor:
        return self.targets_NK[torch.from_numpy(rows).to(self.device)]

    def _images(self, planned: Sequence[np.ndarray], epoch: int | None) -> Iterator[Crops]:
        """Pixels and class maps of each part of rows, on the device; `epoch` None gives centre crops."""
        for pixels_MCHW, class_map_MHW in self.pairs.prefetched(planned, epoch):
            yield pixels_MCHW.to(self.device, non_blocking=True), class_map_MHW.to(self.device, non_blocking=True)

    def _judge(self, began: float, trained: int) -> None:
        """Close an epoch: held-out loss, best weights, early stopping, report."""
        progress = self.progress
        train_loss = float(np.mean([row[3] for row in progress.curves if row[1] == progress.epoch]))
        rate = progress.curves[-1][4]
        holdout_loss, metric = self._holdout()
        watched = holdout_loss if len(self.holdout_rows) else train_loss
        if len(self.holdout_rows):
            demand_finite(holdout_loss, f"the baseline {self.model.config.name}", progress)
            progress.curves.append((progress.step, progress.epoch, 1.0, holdout_loss, rate, metric))
        if watched < progress.best_loss:
            progress.best_loss, progress.best_epoch, progress.best_metric = watched, progress.epoch, metric
            progress.epochs_without_gain = 0
            progress.best = {name: parameter.detach().cpu().clone() for name, parameter in self.parameters.items()}
        else:
            progress.epochs_without_gain += 1
        seconds = time.monotonic() - began
        progress.seconds += seconds
        self.report(
            {
                "epoch": progress.epoch,
                "step": progress.step,
                "loss": train_loss,
                "holdout_loss": holdout_loss,
                "metric": metric,
                "learning_rate": rate,
                "seconds": seconds,
                "images_per_second": trained / max(seconds, 1e-9),
            }
        )
        progress.epoch, progress.batches = progress.epoch + 1, 0
        progress.finished = (
            progress.epoch >= self.config.max_epochs or progress.epochs_without_gain >= self.config.patience
        )

    @torch.no_grad()
    def _holdout(self) -> tuple[float, float]:
        """Loss and mean accuracy over the thresholds on the held-out images; NaN where there are none.

        Each term of the loss is its mean over all held-out images that it counts, however they fall into batches.
        """
        self.model.eval()
        planned = self._in_order(self.holdout_rows)
        images = self._images([part for rows_B in planned for part in self._micro(rows_B)], None)
        sums, counts, correct = [], [], 0.0
        for rows_B in planned:
            targets_BK = self._targets(rows_B)
            counts.append(self.model.counts(targets_BK))
            for rows_M, crops, sums_T in self._parts(rows_B, targets_BK, images):
                sums.append(sums_T)
                found = self.model.predict(*crops)
                error_km = great_circle_km(
                    found.lat_deg_B.cpu(), found.lon_deg_B.cpu(), self.pairs.lat_deg[rows_M], self.pairs.lon_deg[rows_M]
                )
                correct += float(np.mean([error_km <= threshold for threshold in THRESHOLDS_KM], axis=0).sum())
        if not planned:
            return math.nan, math.nan
        loss = torch.stack(sums).double().sum(dim=0) / torch.stack(counts).sum(dim=0).clamp_min(1)
        return float(loss.sum()), correct / len(self.holdout_rows)

    def _in_order(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[start : start + self.config.batch] for start in range(0, len(rows), self.config.batch)]

    def _known_metrics(self) -> dict[str, Any] | None:
        """The metrics of this very training, where its checkpoint is already written whole."""
        try:
            card = checkpoint.read_card(self.out_dir)
        except CheckpointError:  # none, or not whole: it is written anew
            return None
        metrics: dict[str, Any] | None = card.get("metrics")
        return metrics if card.get("training_fingerprint") == self.progress.fingerprint else None

    def _finish(self) -> dict[str, Any]:
        """Put the best weights back, let the baseline collect, count, and write the checkpoint."""
        progress = self.progress
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(progress.best[name])
            self.model.eval()
            planned = self._micro(self.train_rows)
            self.model.collect(self._images(planned, None), self._targets(self.train_rows))
        _, metric = self._holdout()
        metrics = self._metrics(metric)
        facts = {
            "metrics": metrics,
            "data_fingerprint": self.pairs.fingerprint,
            "training_fingerprint": progress.fingerprint,
        }
        checkpoint.save(self.out_dir, self.model, facts)
        return metrics

    def _metrics(self, metric: float) -> dict[str, Any]:
        progress = self.progress
        return {
            "baseline": self.model.config.name,
            "idea": self.model.config.idea,
            "best_epoch": progress.best_epoch if self.parameters else None,
            "epochs": progress.epoch,
            "steps": progress.step,
            "stopped_on": "holdout" if len(self.holdout_rows) else "train (no held-out images)",
            "best_loss": progress.best_loss if self.parameters else None,
            "holdout_mean_accuracy": None if math.isnan(metric) else metric,
            "train_images": len(self.train_rows),
            "holdout_images": len(self.holdout_rows),
            "images_without_map": len(self.pairs.without_map),
            "images_without_map_first": self.pairs.without_map[:10],
            "trainable_parameters": sum(parameter.numel() for parameter in self.parameters.values()),
        }

    def _diverged(self, rows_B: np.ndarray, value: float) -> None:
        path = self.out_dir / "diverged_batch.json"
        self.out_dir.mkdir(parents=True, exist_ok=True)
        content = {
            "epoch": self.progress.epoch,
            "step": self.progress.step,
            "loss": str(value),
            "image_ids": [str(self.pairs.image_ids[row]) for row in rows_B],
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        raise TrainingDivergedError(
            f"The loss of the baseline {self.model.config.name} is {value} at epoch {self.progress.epoch}, step "
            f"{self.progress.step}; expected a finite number. The ids of the batch are in {path}; the last good state "
            "is kept. Lower training.lr or look at these images, then train again."
        )

    def _fingerprint(self) -> str:
        hierarchy = self.model.known_hierarchy
        facts = [asdict(self.model.config), hierarchy and hierarchy.fingerprint(), self.pairs.fingerprint]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _optimizer(parameters: dict[str, torch.nn.Parameter], lr: float, weight_decay: float) -> torch.optim.AdamW | None:
    """AdamW that decays matrices only; None when there is nothing to train."""
    if not parameters:
        return None
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)
