"""Training of every baseline: one loop, AdamW, the learning rate times gamma per epoch, early stopping.

The loop is written for one device. Killed and started again it continues at the last written epoch and ends with the
same weights. A baseline without trainable parameters is only filled from the training images. Reading and its order
belong to `geosurge.pairs` and `geosurge.order`, the state of an unfinished run to `geosurge.resume`.

Shapes: B images of a batch, N images, K numbers of a target.
"""

import hashlib
import json
import math
import shutil
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
from geo_pipeline.geosurge.model import pick_device
from geo_pipeline.geosurge.order import batches, lane_orders
from geo_pipeline.geosurge.pairs import TrainingPairs
from geo_pipeline.geosurge.resume import Progress, load_state, save_state
from geo_pipeline.geosurge.training import NothingToTrainError, TrainingDivergedError, TrainingResult
from geo_pipeline.geosurge.vision import load_tower
from geo_pipeline.scoring.accuracy import THRESHOLDS_KM

Report = Callable[[dict[str, Any]], None]


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

    `hierarchy_table` may be None for a baseline without cells. `report` gets one dictionary per epoch. Raises
    NothingToTrainError, TrainingDivergedError, CheckpointError, NoCellsError.
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
                self._epoch(self.optimizer)
                save_state(last, self.progress, self.parameters, self.optimizer)
        metrics = self._finish()
        checkpoint.save(self.out_dir, self.model, {"metrics": metrics, "data_fingerprint": self.pairs.fingerprint})
        shutil.rmtree(last, ignore_errors=True)
        return TrainingResult(curve_table(self.progress.curves), {**metrics, "seconds": self.progress.seconds})

    def _epoch(self, optimizer: torch.optim.Optimizer) -> None:
        config, progress, began = self.config, self.progress, time.monotonic()
        self.model.train()
        rate = config.lr * config.gamma**progress.epoch
        for group in optimizer.param_groups:
            group["lr"] = rate
        orders_LN = lane_orders(
            self.pairs.groups(self.train_rows), config.lanes, config.shuffle_rows, config.seed, progress.epoch
        )
        planned = [rows_1B[0] for rows_1B in batches(orders_LN, config.batch, 1)]
        losses = []
        for rows_B, (pixels_BCHW, class_map_BHW, targets_BK) in zip(
            planned, self._images(planned, progress.epoch), strict=True
        ):
            optimizer.zero_grad(set_to_none=True)
            loss = self._loss(pixels_BCHW, class_map_BHW, targets_BK)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                self._diverged(rows_B, losses[-1])
            loss.backward()
            optimizer.step()
            progress.step += 1
            progress.curves.append((progress.step, progress.epoch, 0.0, losses[-1], rate, math.nan))
        self._judge(float(np.mean(losses)), rate, began)

    def _loss(self, pixels_BCHW: Tensor, class_map_BHW: Tensor, targets_BK: Tensor) -> Tensor:
        bf16 = self.config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            return self.model.loss(pixels_BCHW, class_map_BHW, targets_BK).float()

    def _images(self, planned: Sequence[np.ndarray], epoch: int | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Pixels, class maps and targets of each batch of rows, on the device; `epoch` None gives centre crops."""
        for rows_B, found in zip(planned, self.pairs.prefetched(planned, epoch), strict=True):
            pixels_BCHW, class_map_BHW = (tensor.to(self.device, non_blocking=True) for tensor in found)
            yield pixels_BCHW, class_map_BHW, self.targets_NK[torch.from_numpy(rows_B).to(self.device)]

    def _judge(self, train_loss: float, rate: float, began: float) -> None:
        """Close an epoch: held-out loss, best weights, early stopping, report."""
        progress = self.progress
        holdout_loss, metric = self._holdout()
        watched = train_loss if math.isnan(holdout_loss) else holdout_loss
        if not math.isnan(holdout_loss):
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
                "images_per_second": len(self.train_rows) / max(seconds, 1e-9),
            }
        )
        progress.epoch += 1
        progress.finished = (
            progress.epoch >= self.config.max_epochs or progress.epochs_without_gain >= self.config.patience
        )

    @torch.no_grad()
    def _holdout(self) -> tuple[float, float]:
        """Mean loss and mean accuracy over the thresholds on the held-out images; NaN where there are none."""
        self.model.eval()
        losses, correct = [], []
        planned = self._in_order(self.holdout_rows)
        for rows_B, (pixels_BCHW, class_map_BHW, targets_BK) in zip(planned, self._images(planned, None), strict=True):
            if self.parameters:
                losses.append(len(rows_B) * float(self._loss(pixels_BCHW, class_map_BHW, targets_BK)))
            found = self.model.predict(pixels_BCHW, class_map_BHW)
            error_km = great_circle_km(
                found.lat_deg_B.cpu(), found.lon_deg_B.cpu(), self.pairs.lat_deg[rows_B], self.pairs.lon_deg[rows_B]
            )
            correct.append(np.mean([error_km <= threshold for threshold in THRESHOLDS_KM], axis=0).sum())
        count = len(self.holdout_rows)
        return (sum(losses) / count if losses else math.nan), (float(sum(correct)) / count if correct else math.nan)

    def _in_order(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[start : start + self.config.batch] for start in range(0, len(rows), self.config.batch)]

    def _finish(self) -> dict[str, Any]:
        """Put the best weights back, let the baseline collect, and count."""
        progress = self.progress
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(progress.best[name])
            self.model.eval()
            self.model.collect(self._images(self._in_order(self.train_rows), None))
        _, metric = self._holdout()
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
