"""Training of GeoSURGE (sections III-C and IV).

AdamW, the learning rate times gamma per epoch, early stopping on the held-out images.

The loop is written for one device. Where torch.distributed is initialised, DDP wraps the step and each rank takes its
lanes of the effective batch; rank 0 writes. A run that is killed and started again continues at its last written state
(every epoch and every few steps) and ends with the same weights. The order of images belongs to `order`, reading to
`pairs`, the state of an unfinished run to `resume`, the finished model to `checkpoint`, what is shown of a training to
`event_log` (while it runs) and `curve_page` (after it).

Shapes: B images of an effective batch, M of a micro-batch, P partitions, D width.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.config import GeoSurgeConfig
from geo_pipeline.geosurge.curve_page import CURVES_PAGE, curve_page
from geo_pipeline.geosurge.event_log import LOGS_FOLDER, EventLog
from geo_pipeline.geosurge.holdout import summed_accuracy
from geo_pipeline.geosurge.model import GeoSurge, pick_device
from geo_pipeline.geosurge.order import batches, lane_orders
from geo_pipeline.geosurge.pairs import TrainingPairs
from geo_pipeline.geosurge.resume import Progress, load_state, save_state
from geo_pipeline.geosurge.step import TrainingStep

Report = Callable[[dict[str, Any]], None]


class TrainingDivergedError(RuntimeError):
    """The loss is not finite. The last good state is kept; the ids of a training batch are written down."""


class NothingToTrainError(ValueError):
    """There are too few usable training images."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves: its curves (columns of the training_curves table) and its metrics."""

    curves: pa.Table
    metrics: dict[str, Any]


def train(
    images: Sequence[Path],
    segmentations: Sequence[Path],
    hierarchy_table: Path,
    config: GeoSurgeConfig,
    out_dir: Path,
    report: Callable[[dict[str, Any]], None],
    device: str | None = None,
    threads: int | None = None,
) -> TrainingResult:
    """Train on the rows of sets `train` and `holdout` and write the best epoch's checkpoint to `out_dir`.

    `report` gets one dictionary per epoch, with the same values on every rank. `out_dir` also gets event files for
    TensorBoard and a page of the curves, and keeps the last state in `last`: called again with the same arguments, an
    unfinished training goes on and a finished one returns at once. Raises NothingToTrainError, TrainingDivergedError,
    CheckpointError.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(config.training.seed)
    hierarchy = Hierarchy.from_table(pq.read_table(hierarchy_table))
    pairs = TrainingPairs(images, segmentations, config.vision, config.training)
    model = GeoSurge(config, hierarchy).to(pick_device(device))
    return Trainer(model, pairs, Path(out_dir), report).run()


class Images:
    """The batches that the loader makes ahead, and how long the device waited for them."""

    def __init__(self, prefetched: Iterator[tuple[Tensor, Tensor]]) -> None:
        self._prefetched = prefetched
        self.waited_s = 0.0

    def following(self) -> tuple[Tensor, Tensor]:
        """The next micro-batch: pixels (M, 3, H, W) and class maps (M, H, W)."""
        began = time.monotonic()
        found = next(self._prefetched)
        self.waited_s += time.monotonic() - began
        return found


class Trainer:
    """One training run over pairs already read; `train` builds it from files."""

    def __init__(self, model: GeoSurge, pairs: TrainingPairs, out_dir: Path, report: Report) -> None:
        self.model, self.pairs, self.out_dir, self.report = model, pairs, out_dir, report
        self.config = model.config.training
        self.device = next(model.geography.parameters()).device
        started = distributed.is_available() and distributed.is_initialized()
        self.rank, self.world = (distributed.get_rank(), distributed.get_world_size()) if started else (0, 1)
        if self.config.lanes % self.world:
            raise NothingToTrainError(
                f"Found {self.world} workers for training.lanes {self.config.lanes}; expected a divisor of the lanes: "
                "choose lanes as a multiple of the workers."
            )
        self.targets_NP = torch.from_numpy(model.hierarchy.assign(pairs.lat_deg, pairs.lon_deg)).long().to(self.device)
        self.train_rows = self._wanted_rows()
        if len(self.train_rows) < max(2, self.config.lanes):
            raise NothingToTrainError(
                f"Found {len(self.train_rows)} training images with a class map ({len(pairs.without_map)} without); "
                f"expected at least {max(2, self.config.lanes)}. Add photographs, or segment those that have no map."
            )
        self.bare_step = TrainingStep(model)
        self.step: nn.Module = self.bare_step
        if self.world > 1:
            self.step = DistributedDataParallel(self.bare_step, broadcast_buffers=False)
        self.parameters = model.trainable()
        self.optimizer = torch.optim.AdamW(_groups(self.parameters, self.config.weight_decay), lr=self.config.lr)
        self.progress = Progress(fingerprint=self._fingerprint())
        self.events = EventLog(None, self.progress)

    def run(self) -> TrainingResult:
        """Train to the end, from the last written state if there is one, and write the checkpoint."""
        last = self.out_dir / "last"
        self.progress = load_state(last, self.progress.fingerprint, self.parameters, self.optimizer) or self.progress
        logs = self.out_dir / LOGS_FOLDER if self.rank == 0 and not self.progress.finished else None
        with EventLog(logs, self.progress) as self.events:
            while not self.progress.finished:
                began = time.monotonic()
                trained, waited = self._epoch(self.progress.epoch, last)
                self._judge(began, trained, waited)
                self._write_state(last)
        curves = self.progress.curve_table()
        return TrainingResult(curves, self._finish(curves))

    def _wanted_rows(self) -> np.ndarray:
        rows = self.pairs.train_rows
        if self.config.uncovered == "mask":
            return rows
        return rows[(self.targets_NP[torch.from_numpy(rows).to(self.device)] >= 0).all(dim=1).cpu().numpy()]

    def _epoch(self, epoch: int, last: Path) -> tuple[int, float]:
        """What is left of an epoch; returns its images and the seconds in which the device waited for them."""
        self.step.train()
        rate = self.config.lr * self.config.gamma**epoch
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        config, done = self.config, self.progress.batches
        orders_LN = lane_orders(
            self.pairs.groups(self.train_rows), config.lanes, config.shuffle_rows, config.seed, epoch
        )
        planned = list(batches(orders_LN, config.batch, self.world))[done:]
        images = Images(self.pairs.prefetched((rows for part in planned for rows in self._micro(part)), epoch))
        for part_WB in planned:
            began, waited = time.monotonic(), images.waited_s
            loss = self._optimize(part_WB, images, epoch)
            self.progress.step += 1
            self.progress.batches += 1
            self.progress.curves.append((self.progress.step, epoch, 0.0, loss, rate, math.nan))
            seconds, waited = time.monotonic() - began, images.waited_s - waited
            self.events.trained(self.progress.step, loss, rate, part_WB.size, seconds, waited)
            if self.progress.step % config.checkpoint_steps == 0:
                self._write_state(last)
        return sum(part_WB.size for part_WB in planned), images.waited_s

    def _write_state(self, last: Path) -> None:
        if self.rank == 0:
            self.events.flush()
            save_state(last, self.progress, self.parameters, self.optimizer)
        self._barrier()

    def _optimize(self, rows_WB: np.ndarray, images: "Images", epoch: int) -> float:
        """One optimizer step on an effective batch; returns its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        micro = list(self._micro(rows_WB))
        # DDP takes the mean of the workers' gradients; their parts of the loss add up, but a symmetric loss is whole
        # on every worker, and the exchange of features has already added up what each sent.
        factor = 1 if self.config.symmetric else self.world
        for index, mine in enumerate(micro):
            hold = (
                self.step.no_sync()
                if isinstance(self.step, DistributedDataParallel) and index < len(micro) - 1
                else nullcontext()
            )
            with hold:
                loss, _ = self._forward(mine, rows_WB, images, training=True)
                (loss * factor).backward()
            total += loss.detach()
        value = float(self._sum(total)) * factor / self.world
        if not math.isfinite(value):
            self._diverged(rows_WB.reshape(-1), epoch, value)
        self.optimizer.step()
        return value

    def _micro(self, rows_WB: np.ndarray) -> Iterator[np.ndarray]:
        mine = rows_WB[self.rank]
        size = self.config.micro_batch or len(mine)
        for start in range(0, len(mine), size):
            yield mine[start : start + size]

    def _forward(
        self, mine: np.ndarray, rows_WB: np.ndarray, images: "Images", training: bool
    ) -> tuple[Tensor, Tensor]:
        pixels_MCHW, class_map_MHW = (tensor.to(self.device, non_blocking=True) for tensor in images.following())
        rows_M, rows_B = (torch.from_numpy(rows).to(self.device) for rows in (mine, rows_WB.reshape(-1)))
        step = self.step if training else self.bare_step
        return step(pixels_MCHW, class_map_MHW, self.targets_NP[rows_M], self.targets_NP[rows_B])

    def _judge(self, began: float, trained: int, waited: float) -> None:
        """Close an epoch: held-out loss, best weights, early stopping, report."""
        progress, rows = self.progress, self._holdout_rows()
        train_loss = float(np.mean([row[3] for row in progress.curves if row[1] == progress.epoch]))
        holdout_loss, metric = self._holdout() if len(rows) else (math.nan, math.nan)
        if len(rows):
            demand_finite(holdout_loss, "GeoSURGE", progress)
        watched = holdout_loss if len(rows) else train_loss
        rate = self.optimizer.param_groups[0]["lr"]
        if len(rows):
            progress.curves.append((progress.step, progress.epoch, 1.0, holdout_loss, rate, metric))
            self.events.judged(progress.step, holdout_loss, metric)
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
                "loader_wait_share": waited / max(seconds, 1e-9),
            }
        )
        progress.epoch, progress.batches = progress.epoch + 1, 0
        progress.finished = (
            progress.epoch >= self.config.max_epochs or progress.epochs_without_gain >= self.config.patience
        )

    @torch.no_grad()
    def _holdout(self) -> tuple[float, float]:
        """Loss on the held-out images by the training objective, in a fixed order, and mean accuracy over the
        thresholds.
        """
        self.step.eval()
        losses, correct = [], torch.zeros((), dtype=torch.float64, device=self.device)
        rows_all = self._holdout_rows()
        planned = [rows_all[start : start + self.config.batch] for start in range(0, len(rows_all), self.config.batch)]
        parts = [np.stack(np.split(rows, self.world)) for rows in planned]
        images = Images(self.pairs.prefetched((rows for part in parts for rows in self._micro(part)), None))
        for rows_WB in parts:
            total = torch.zeros((), device=self.device)
            for mine in self._micro(rows_WB):
                loss, features_MD = self._forward(mine, rows_WB, images, training=False)
                total += loss / self.world if self.config.symmetric else loss
                correct += summed_accuracy(self.model, features_MD, self.pairs.lat_deg[mine], self.pairs.lon_deg[mine])
            losses.append(float(self._sum(total)))
        return float(np.mean(losses)), float(self._sum(correct)) / len(rows_all)

    def _holdout_rows(self) -> np.ndarray:
        """The held-out images, as many as the workers can share evenly."""
        rows = self.pairs.holdout_rows
        return rows[: len(rows) // self.world * self.world]

    def _finish(self, curves: pa.Table) -> dict[str, Any]:
        progress, pairs = self.progress, self.pairs
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(progress.best[name])
        uncovered_P = (self.targets_NP[torch.from_numpy(self.train_rows).to(self.device)] < 0).float().mean(dim=0)
        metrics = {
            "best_epoch": progress.best_epoch,
            "epochs": progress.epoch,
            "steps": progress.step,
            "stopped_on": "holdout" if len(self._holdout_rows()) else "train (no held-out images)",
            "best_loss": progress.best_loss,
            "holdout_mean_accuracy": None if math.isnan(progress.best_metric) else progress.best_metric,
            "train_images": len(self.train_rows),
            "train_images_left_out": len(pairs.train_rows) - len(self.train_rows),
            "holdout_images": len(self._holdout_rows()),
            "images_without_map": len(pairs.without_map),
            "images_without_map_first": pairs.without_map[:10],
            "uncovered_share_finest": float(uncovered_P[-1]),
            "trainable_parameters": sum(parameter.numel() for parameter in self.parameters.values()),
            "temperatures": self.model.geography.temperatures(),
        }
        if self.rank == 0:
            self.out_dir.mkdir(parents=True, exist_ok=True)
            (self.out_dir / CURVES_PAGE).write_text(curve_page(curves), encoding="utf-8")
            self.model.save_pretrained(
                self.out_dir, {"metrics": metrics, "data_fingerprint": pairs.fingerprint, "workers": self.world}
            )
        self._barrier()
        return {**metrics, "seconds": progress.seconds}

    def _diverged(self, rows: np.ndarray, epoch: int, value: float) -> None:
        path = self.out_dir / "diverged_batch.json"
        if self.rank == 0:
            self.out_dir.mkdir(parents=True, exist_ok=True)
            content = {
                "epoch": epoch,
                "step": self.progress.step,
                "loss": str(value),
                "image_ids": [str(self.pairs.image_ids[row]) for row in rows],
            }
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        raise TrainingDivergedError(
            f"The loss is {value} at epoch {epoch}, step {self.progress.step}; expected a finite number. The ids of "
            f"the batch are in {path}; the last good state is kept. Lower training.lr or look at these images, then "
            "train again."
        )

    def _fingerprint(self) -> str:
        config = asdict(self.model.config)
        facts = [config, self.model.hierarchy.fingerprint(), self.pairs.fingerprint, self.world]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _sum(self, value: Tensor) -> Tensor:
        if self.world > 1:
            distributed.all_reduce(value)
        return value

    def _barrier(self) -> None:
        if self.world > 1:
            distributed.barrier()


def demand_finite(holdout_loss: float, model: str, progress: Progress) -> None:
    """Raise TrainingDivergedError for a held-out loss that is not finite: no epoch could be the best."""
    if not math.isfinite(holdout_loss):
        raise TrainingDivergedError(
            f"The loss of {model} on the held-out images is {holdout_loss} at epoch {progress.epoch}, step "
            f"{progress.step}; expected a finite number. The last steps of the epoch spoilt the weights, or a held-out "
            "image is beyond them. Lower training.lr, then train again; the state in last, where there is one, belongs "
            "to the present rate: delete it, or train into another folder."
        )


def _groups(parameters: dict[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Temperatures are not decayed: decay would pull them to 1."""
    scales = [parameter for name, parameter in parameters.items() if name.endswith("log_scale_P")]
    others = [parameter for name, parameter in parameters.items() if not name.endswith("log_scale_P")]
    return [{"params": others, "weight_decay": weight_decay}, {"params": scales, "weight_decay": 0.0}]
