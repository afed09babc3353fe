"""The one training loop: epochs, the held-out images, early stopping, divergence, resume, the end.

A run that is killed and started again continues at its last written state (every epoch and every few steps) and ends
with the same weights. What is trained is a `task.Task`; what is shown of it goes to `logger.Logger`s; the state is
`state`. Where torch.distributed is initialised, each worker computes its parts of every batch and rank 0 writes.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, Generic, NoReturn

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from geo_pipeline.training.curves import CurveRow, curve_table, epoch_loss
from geo_pipeline.training.ended import has_ended, note_ended
from geo_pipeline.training.folder import CARD, DIVERGED, LAST
from geo_pipeline.training.logger import Logger
from geo_pipeline.training.order import Part, parts
from geo_pipeline.training.outcome import TrainingDivergedError, TrainingResult
from geo_pipeline.training.state import Progress, load_state, save_state
from geo_pipeline.training.task import Inputs, Task


def run(task: Task[Inputs], out_dir: Path, loggers: Sequence[Logger]) -> TrainingResult:
    """Train to the end, from the last written state in `out_dir` if there is one, and write the checkpoint there.

    A training whose checkpoint is already there whole is not done again; a state or a checkpoint that was damaged is
    not gone on from, but made anew. Raises TrainingDivergedError, and CheckpointError for the state of another
    training.
    """
    return _Loop(task, out_dir, loggers).run()


class _Loop(Generic[Inputs]):
    def __init__(self, task: Task[Inputs], out_dir: Path, loggers: Sequence[Logger]) -> None:
        self.task, self.out_dir, self.loggers, self.workers = task, out_dir, loggers, task.workers
        self.progress = Progress(task.fingerprint, finished=task.optimizer is None)
        self.waited_s = 0.0

    def run(self) -> TrainingResult:
        optimizer = self.task.optimizer
        with ExitStack() as ending:
            for logger in self.loggers:
                ending.callback(logger.close)
            if optimizer is not None:
                found = load_state(self.out_dir / LAST, self.task.fingerprint, self.task.parameters, optimizer)
                self.progress = found or self.progress
                last = self.progress.curves[-1]._asdict() if self.progress.batches else None
                for logger in () if self.progress.finished else self.loggers:
                    logger.begin(self.progress.step, last)
                while not self.progress.finished:
                    began = time.monotonic()
                    self.waited_s = 0.0
                    self._judge(self._epoch(optimizer), began)
                    self._write_state(optimizer)
            curves = curve_table(self.progress.curves)
            metrics = self._known_metrics()
            self.workers.wait()  # until all have looked: the first would write the card that the others look for
            metrics = metrics or self._finish(curves)
        return TrainingResult(curves, {**metrics, "seconds": self.progress.seconds})

    def _epoch(self, optimizer: torch.optim.Optimizer) -> int:
        """What is left of an epoch; returns its images."""
        task, progress = self.task, self.progress
        task.network.train()
        planned = task.batches(progress.epoch)[progress.batches :]
        cut = chain.from_iterable(
            parts(shares, self.workers.rank, task.plan.micro_batch, step)
            for step, shares in enumerate(planned, progress.step)
        )
        began, waited_s, total = time.monotonic(), self.waited_s, torch.zeros((), device=task.device)
        for part, inputs in self._waiting(task.inputs(cut, progress.epoch)):
            total += self._backward(part, inputs)
            if part.last:
                facts = self._step(part, float(self.workers.sum(total)), optimizer)
                facts |= _speed(len(part.rows_B), time.monotonic() - began, self.waited_s - waited_s)
                for logger in self.loggers:
                    logger.step(facts)
                if progress.step % task.plan.checkpoint_steps == 0:
                    self._write_state(optimizer)
                began, waited_s, total = time.monotonic(), self.waited_s, torch.zeros((), device=task.device)
        return sum(len(rows) for shares in planned for rows in shares)

    def _waiting(self, inputs: Iterator[tuple[Part, Inputs]]) -> Iterator[tuple[Part, Inputs]]:
        """The same, noting how long each was waited for."""
        while True:
            began = time.monotonic()
            found = next(inputs, None)
            self.waited_s += time.monotonic() - began
            if found is None:
                return
            yield found

    def _backward(self, part: Part, inputs: Inputs) -> Tensor:
        """Add this part to the gradient of its batch; returns its share of the loss."""
        network = self.task.network
        # Workers exchange their gradients once a batch.
        alone = network.no_sync() if isinstance(network, DistributedDataParallel) and not part.last else nullcontext()
        with alone:
            loss = self.task.loss(part, inputs)
            (loss * self._factor()).backward()
        return loss.detach()

    def _factor(self) -> int:
        """DDP takes the mean of the workers' gradients, and their parts of the loss add up; a loss that is whole on
        every worker is its own mean.
        """
        return 1 if self.task.whole_loss else self.workers.world

    def _step(self, part: Part, summed: float, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """One optimiser step with the gradient of a whole batch; returns its facts."""
        progress = self.progress
        loss = summed * self._factor() / self.workers.world
        if not math.isfinite(loss):
            self._diverged(part.rows_B, loss)
        rate = self.task.rate(progress.epoch, progress.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        self.task.settle()
        optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.batches += 1
        progress.curves.append(CurveRow(progress.step, progress.epoch, 0.0, loss, rate))
        return {"step": progress.step, "epoch": progress.epoch, "loss": loss, "learning_rate": rate}

    def _judge(self, images: int, began: float) -> None:
        """Close an epoch of so many images: held-out loss, best weights, early stopping."""
        task, progress = self.task, self.progress
        rate = task.rate(progress.epoch, progress.step - 1)
        train_loss, holdout_loss, metric = epoch_loss(progress.curves, progress.epoch), math.nan, math.nan
        if task.held_out:
            task.network.eval()
            with torch.no_grad():
                holdout_loss, metric = task.judge()
            if not math.isfinite(holdout_loss):  # no epoch could be the best
                raise TrainingDivergedError(
                    f"found that the loss of {task.name} on the held-out images is {holdout_loss} at epoch "
                    f"{progress.epoch}, step {progress.step}; expected a finite number. The last steps of the epoch "
                    "spoilt the weights, or a held-out image is beyond them. Lower the learning rate, then train "
                    f"again; the state in {LAST}, where there is one, belongs to the present rate: delete it, or train "
                    "into another folder."
                )
            progress.curves.append(CurveRow(progress.step, progress.epoch, 1.0, holdout_loss, rate, metric))
        self._compare(holdout_loss if task.held_out else train_loss, metric)
        seconds = time.monotonic() - began
        progress.seconds += seconds
        facts = {"epoch": progress.epoch, "step": progress.step, "loss": train_loss, "holdout_loss": holdout_loss}
        facts |= {"metric": metric, "learning_rate": rate, "seconds": seconds}
        facts |= _speed(images, seconds, self.waited_s)
        for logger in self.loggers:
            logger.epoch(facts)
        progress.epoch, progress.batches = progress.epoch + 1, 0
        patience = task.plan.patience
        progress.finished = progress.epoch >= task.plan.max_epochs or (
            patience is not None and progress.epochs_without_gain >= patience
        )

    def _compare(self, watched: float, metric: float) -> None:
        """Keep the weights of the best epoch so far."""
        progress = self.progress
        progress.epochs_without_gain += 1
        if watched < progress.best_loss:
            progress.best_loss, progress.best_epoch, progress.best_metric = watched, progress.epoch, metric
            progress.epochs_without_gain = 0
            if self.task.plan.keep_best:
                progress.best = {name: value.detach().cpu().clone() for name, value in self.task.parameters.items()}

    def _write_state(self, optimizer: torch.optim.Optimizer) -> None:
        if self.workers.rank == 0:
            for logger in self.loggers:
                logger.flush()
            save_state(self.out_dir / LAST, self.progress, self.task.parameters, optimizer)
        self.workers.wait()

    def _known_metrics(self) -> dict[str, Any] | None:
        """The metrics of this very training, where its checkpoint is already written and still what was written."""
        if not has_ended(self.out_dir, self.task.fingerprint):
            return None
        return dict(json.loads((self.out_dir / CARD).read_text(encoding="utf-8"))["metrics"])

    def _finish(self, curves: pa.Table) -> dict[str, Any]:
        """Put the kept weights back, count, and write the checkpoint."""
        task, progress, trained = self.task, self.progress, self.task.optimizer is not None
        task.network.eval()
        with torch.no_grad():
            for name, value in progress.best.items():
                task.parameters[name].copy_(value)
            own = task.finish(progress)
        stopped_on = "holdout" if task.held_out else "train (no held-out images)"
        metrics = {
            "best_epoch": progress.best_epoch if trained else None,
            "epochs": progress.epoch,
            "steps": progress.step,
            "stopped_on": stopped_on if task.plan.patience is not None else "number of epochs",
            "best_loss": progress.best_loss if trained else None,
            "trainable_parameters": sum(parameter.numel() for parameter in task.parameters.values()),
            **own,
        }
        for logger in self.loggers:
            logger.end(curves)
        if self.workers.rank == 0:
            (self.out_dir / DIVERGED).unlink(missing_ok=True)
            task.save(self.out_dir, {"metrics": metrics, "training_fingerprint": task.fingerprint})
            note_ended(self.out_dir, task.fingerprint)
        self.workers.wait()
        return metrics

    def _diverged(self, rows_B: np.ndarray, loss: float) -> NoReturn:
        """Refuse a batch whose loss is not finite, and write down its images."""
        path, progress = self.out_dir / DIVERGED, self.progress
        if self.workers.rank == 0:
            self.out_dir.mkdir(parents=True, exist_ok=True)
            where = {"epoch": progress.epoch, "step": progress.step, "loss": str(loss)}
            content = {**where, "image_ids": self.task.image_ids(rows_B)}
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        raise TrainingDivergedError(
            f"found that the loss of {self.task.name} is {loss} at epoch {progress.epoch}, step {progress.step}; "
            f"expected a finite number. The ids of the batch are in {path}; the last good state is kept. Lower the "
            "learning rate or look at these images, then train again."
        )


def _speed(images: int, seconds: float, waited_s: float) -> dict[str, float]:
    seconds = max(seconds, 1e-9)
    return {"images_per_second": images / seconds, "loader_wait_share": waited_s / seconds}
