"""Trains GeoRouter on the georouting table (sections 3.3 and 4.1): AdamW on LoRA and head, DisPO's soft labels.

Written for one device; where torch.distributed is initialised the network is wrapped in DDP and each batch is split by
rank. One worker gives the same bytes however often the run is killed and started again. Reading the table is `lessons`,
files are `checkpoint`.

Legend: B samples.
"""

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.georouter.checkpoint import (
    Progress,
    backbone_fingerprint,
    drop_state,
    load_state,
    save_router,
    save_state,
)
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.lessons import Lesson, read_lessons
from geo_pipeline.georouter.model import GeoRouter, preference_loss
from geo_pipeline.georouter.queries import query_prompt
from geo_pipeline.lvlm.model import LoadedLvlm, choose_device, load
from geo_pipeline.lvlm.prompts import encode
from geo_pipeline.routing.decision import decide

Report = Callable[[dict[str, Any]], None]
WINDOW_BATCHES = 8
"""Prompts are sorted by length within windows of this many batches: little padding, still well shuffled."""


@dataclass(frozen=True)
class TrainingResult:
    """Curves by the training_curves contract, and plain numbers about the training."""

    curves: pa.Table
    metrics: dict[str, float]


def train(georouting: Path, images: list[Path], config: RouterConfig, out_dir: Path, report: Report) -> TrainingResult:
    """Train a router and write its checkpoint to `out_dir`; resumes an interrupted training of the same inputs.

    `images` are Parquet files with the queries and their top-1 references. `report` receives a small dictionary
    per epoch, on the first worker. Raises `LessonsError`, `LvlmNotFoundError`.
    """
    return _Trainer(georouting, images, config, out_dir, report).run()


def learning_rate(config: RouterConfig, step: int, steps: int) -> float:
    """Rate of a 0-based step: linear warm-up, then constant or cosine to zero."""
    warm = math.ceil(config.warmup_share * steps)
    if step < warm:
        return config.lr * (step + 1) / warm
    if not config.cosine:
        return config.lr
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def epoch_batches(lengths: list[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers of an epoch's batches: shuffled by seed and epoch, of like length within a batch."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), batch * WINDOW_BATCHES):
        window = sorted(order[start : start + batch * WINDOW_BATCHES].tolist(), key=lambda row: lengths[row])
        batches += [window[at : at + batch] for at in range(0, len(window), batch)]
    return [batches[at] for at in rng.permutation(len(batches))]


class _Trainer:
    def __init__(
        self, georouting: Path, images: list[Path], config: RouterConfig, out_dir: Path, report: Report
    ) -> None:
        self.config, self.out_dir, self.report = config, out_dir, report
        lessons = read_lessons(georouting, images, config)
        self.lessons = [lesson for lesson in lessons if not lesson.held_out]
        self.held_out = [lesson for lesson in lessons if lesson.held_out]
        self.lengths = [lesson.query.text_length() for lesson in self.lessons]
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.lvlm: LoadedLvlm = load(config.lvlm, choose_device(config.lvlm))
        backbone = backbone_fingerprint(self.lvlm)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.router = GeoRouter(self.lvlm.model, config)
        self.router.to(self.lvlm.device)
        self.parameters = self.router.trainable()
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=config.lr, weight_decay=config.weight_decay)
        self.network: nn.Module = self.router
        if self.world > 1:
            self.network = DistributedDataParallel(self.router)
        self.per_epoch = math.ceil(len(self.lessons) / config.batch)
        self.steps = self.per_epoch * config.epochs
        facts = {"config": config.to_json(), "table": _file_hash(georouting), "backbone": backbone}
        self.card: dict[str, Any] = {
            "config": config.to_json(),
            "backbone_fingerprint": backbone,
            "table_sha256": facts["table"],
            "lessons": len(self.lessons),
            "held_out": len(self.held_out),
            "steps": self.steps,
            "trainable_parameters": sum(parameter.numel() for parameter in self.parameters.values()),
        }
        self.progress = Progress(hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest())
        self.best: dict[str, Tensor] = {}

    def run(self) -> TrainingResult:
        self._resume()
        began, first_step = time.monotonic(), self.progress.step
        for epoch in range(first_step // self.per_epoch, self.config.epochs):
            batches = epoch_batches(self.lengths, self.config.batch, self.config.seed, epoch)
            for position in range(self.progress.step - epoch * self.per_epoch, self.per_epoch):
                self._step([self.lessons[row] for row in batches[position]])
                if self.progress.step % self.config.checkpoint_steps == 0 and position + 1 < self.per_epoch:
                    self._save_state()
            self._end_epoch(epoch)
        seconds = time.monotonic() - began
        return self._finish(seconds, (self.progress.step - first_step) * self.config.batch)

    def _step(self, batch: list[Lesson]) -> None:
        # Dropout's randomness depends on seed and step alone: a resumed run draws what the unbroken one drew.
        torch.manual_seed(self.config.seed * 1_000_003 + self.progress.step * 64 + self.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.progress.step, self.steps)
        self.router.train()
        total = 0.0
        parts = list(self._parts(batch))
        for number, (part, weight) in enumerate(parts):
            last = number + 1 == len(parts)
            quiet = self.network.no_sync() if isinstance(self.network, DistributedDataParallel) and not last else None
            with quiet or contextlib.nullcontext():
                losses_B = self._losses(part)
                # DDP averages over workers; times their number it is the mean over the whole batch.
                (losses_B.sum() * weight * self.world / len(batch)).backward()
            total += float(losses_B.detach().sum()) * weight
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.running_loss += self._sum_over_workers(total)
        self.progress.running_count += len(batch)
        self.progress.step += 1

    def _parts(self, batch: list[Lesson]) -> Iterator[tuple[list[Lesson], float]]:
        """This worker's share in micro-batches with weight 1; one lesson of weight 0 where its share is empty."""
        share = batch[self.rank :: self.world]
        size = self.config.micro_batch or max(1, len(share))
        # Every worker makes the same number of forwards, so that gradients meet in the same places.
        forwards = math.ceil(math.ceil(len(batch) / self.world) / size)
        for number in range(forwards):
            part = share[number * size : (number + 1) * size]
            yield (part, 1.0) if part else (batch[:1], 0.0)

    def _losses(self, part: list[Lesson]) -> Tensor:
        prompts = encode(self.lvlm, [query_prompt(lesson.query, self.config) for lesson in part]).to(self.lvlm.device)
        scores_B: Tensor = self.network(prompts)
        targets_B = torch.tensor([lesson.target for lesson in part], dtype=torch.float32, device=self.lvlm.device)
        return preference_loss(scores_B, targets_B)

    @torch.no_grad()
    def _hold_out(self) -> tuple[float, float]:
        """Mean loss of the held-out lessons, and the share that the router sends to the nearer paradigm."""
        self.router.eval()
        losses, right = 0.0, 0
        for start in range(0, len(self.held_out), self.config.lvlm.batch):
            part = self.held_out[start : start + self.config.lvlm.batch]
            prompts = encode(self.lvlm, [query_prompt(lesson.query, self.config) for lesson in part]).to(
                self.lvlm.device
            )
            scores_B = self.router(prompts).cpu()
            losses += float(preference_loss(scores_B, torch.tensor([lesson.target for lesson in part])).sum())
            choices = [decide(score) == "generation" for score in scores_B.tolist()]
            right += sum(choice == bool(lesson.label) for choice, lesson in zip(choices, part, strict=True))
        return losses / len(self.held_out), right / len(self.held_out)

    def _end_epoch(self, epoch: int) -> None:
        progress = self.progress
        rate = learning_rate(self.config, progress.step - 1, self.steps)
        row: dict[str, Any] = {
            "step": progress.step,
            "epoch": epoch,
            "split": "train",
            "learning_rate": rate,
            "metric": None,
        }
        row["loss"] = progress.running_loss / max(1, progress.running_count)
        progress.running_loss, progress.running_count = 0.0, 0
        progress.curves.append(row)
        if self.held_out:
            loss, metric = self._hold_out()
            progress.curves.append({**row, "split": "holdout", "loss": loss, "learning_rate": None, "metric": metric})
            if self.config.keep == "best" and (progress.best_loss is None or loss < progress.best_loss):
                progress.best_loss = loss
                self.best = {name: value.detach().clone() for name, value in self.parameters.items()}
        for told in progress.curves[-2:] if self.held_out else progress.curves[-1:]:
            self.report({**told, "epochs": self.config.epochs, "steps": self.steps})
        self._save_state()

    def _finish(self, seconds: float, samples: int) -> TrainingResult:
        if self.best:
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(self.best[name])
        if self.rank == 0:
            save_router(self.router, self.out_dir, self.card)
            drop_state(self.out_dir)
        if self.world > 1:
            dist.barrier()
        metrics = {
            "lessons": float(len(self.lessons)),
            "held_out": float(len(self.held_out)),
            "steps": float(self.steps),
            "trainable_parameters": float(self.card["trainable_parameters"]),
            "seconds": seconds,
            "samples_per_second": samples / seconds if samples else 0.0,
        }
        for told in self.progress.curves[-2:]:
            metrics[f"{told['split']}_loss"] = float(told["loss"])
            if told["metric"] is not None:
                metrics["holdout_routed_right"] = float(told["metric"])
        schema = load_contract("training_curves").arrow_schema
        return TrainingResult(pa.Table.from_pylist(self.progress.curves, schema=schema), metrics)

    def _save_state(self) -> None:
        if self.rank == 0:
            tensors: dict[str, torch.Tensor] = {f"parameter.{name}": value for name, value in self.parameters.items()}
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
            for name, parameter in self.parameters.items():
                moments = self.optimizer.state[parameter]
                tensors |= {f"adamw.{key}.{name}": moments[key] for key in ("step", "exp_avg", "exp_avg_sq")}
            save_state(self.out_dir, tensors, self.progress)
        if self.world > 1:
            dist.barrier()

    def _resume(self) -> None:
        stored = load_state(self.out_dir, self.progress.fingerprint)
        if stored is None:
            return
        tensors, self.progress = stored
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"parameter.{name}"])
                self.optimizer.state[parameter] = {
                    key: tensors[f"adamw.{key}.{name}"].to("cpu" if key == "step" else parameter.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
                if f"best.{name}" in tensors:
                    self.best[name] = tensors[f"best.{name}"].to(parameter.device)
        self.report({"resumed_at_step": self.progress.step, "steps": self.steps})

    def _sum_over_workers(self, value: float) -> float:
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.lvlm.device)
        dist.all_reduce(total)
        return float(total)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
