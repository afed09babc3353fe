"""Training of every baseline: AdamW, the learning rate times gamma per epoch, early stopping.

A baseline without trainable parameters is only filled from the training images. Where there are several workers, each
takes its lanes of the effective batch and its part of the images that fill the baseline. The loop belongs to
`training.loop`, reading to `geosurge.pairs`, images to loss to `step`.

Shapes: B images of an effective batch, M of a micro-batch, N images, K numbers of a target, S of what is remembered, T
terms of a loss, X rows that a batch is compared with.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.baseline import Baseline
from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.baselines.step import BaselineStep
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
from geo_pipeline.training.outcome import Report, TrainingResult
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
    torch.manual_seed(config.training.seed)
    hierarchy = None if hierarchy_table is None else Hierarchy.from_table(pq.read_table(hierarchy_table))
    pairs = TrainingPairs(images, segmentations, config.vision, config.training)
    model = checkpoint.build(config, hierarchy, load_tower(config.vision))
    return train_on(pairs, model, Path(out_dir), report, pick_device(device))


def train_on(
    pairs: TrainingPairs, model: Baseline, out_dir: Path, report: Report, device: torch.device
) -> TrainingResult:
    """What `train` does, over pairs already read."""
    workers = Workers.present()
    task = BaselineTask(model, pairs, device, workers, out_dir)
    return loop.run(task, out_dir, usual_loggers(out_dir, report, Captions(task.name), workers.rank))


class BaselineTask(ImageTask):
    """A baseline on images and class maps; workers exchange what they collect through files in `out_dir`."""

    def __init__(
        self, model: Baseline, pairs: TrainingPairs, device: torch.device, workers: Workers, out_dir: Path
    ) -> None:
        config, rows, cells = model.config.training, pairs.train_rows, model.known_hierarchy
        super().__init__(pairs, config, rows, device, workers)
        self.name = f"the baseline {model.config.name}"
        self.out_dir = out_dir
        model.prepare(pairs.lat_deg[rows], pairs.lon_deg[rows])
        self.targets_NK = model.targets(pairs.lat_deg, pairs.lon_deg).to(device)
        self.model = model.to(device)
        self.parameters = model.trainable()
        self.bare_step = BaselineStep(self.model)
        self.network = workers.wrapped(self.bare_step) if self.parameters else self.bare_step
        self.optimizer = _optimizer(self.parameters, config.lr, config.weight_decay)
        self.fingerprint = fingerprint_of(asdict(model.config), cells and cells.fingerprint(), pairs.fingerprint)

    def loss(self, part: Part, inputs: Crops) -> Tensor:
        """See Task."""
        sums_T = self._sums(self.network, part, inputs)
        return (sums_T / self.counts_T.clamp_min(1)).sum()

    def settle(self) -> None:
        """See Task."""
        self.model.settle()

    def _sums(self, step: nn.Module, part: Part, crops: Crops) -> Tensor:
        """The terms of the loss (T,), summed over the images of a part."""
        if part.start == 0:  # drawn once for all parts of a batch, alike by all workers
            targets_BK = self._targets(part.rows_B)
            self.counts_T, self.compared_XK = self.model.counts(targets_BK), self.model.compared(targets_BK)
        mine_MK = self.compared_XK[part.first : part.first + len(part.rows_M)]
        sums_T: Tensor = step(*crops, mine_MK, self.compared_XK)
        return sums_T

    def _targets(self, rows: np.ndarray) -> Tensor:
        return self.targets_NK[torch.from_numpy(rows).to(self.device)]

    def judge(self) -> tuple[float, float]:
        """Loss and mean accuracy over the thresholds.

        Each term of the loss is its mean over all held-out images that it counts, however they fall into batches.
        """
        sums, counts, correct = [], [], torch.zeros((), dtype=torch.float64, device=self.device)
        for part, crops in self.inputs(self.held_out_parts(), None):
            sums.append(self._sums(self.bare_step, part, crops))
            if part.last:
                counts.append(self.counts_T)
            found, mine = self.model.predict(*crops), part.rows_M
            found_M2 = torch.stack([found.lat_deg_B, found.lon_deg_B], dim=1).cpu().numpy()
            correct += summed_accuracy(found_M2, self.pairs.lat_deg[mine], self.pairs.lon_deg[mine])
        summed_T = self.workers.sum(torch.stack(sums).double().sum(dim=0))
        loss = summed_T / torch.stack(counts).sum(dim=0).clamp_min(1)
        return float(loss.sum()), float(self.workers.sum(correct)) / self.held_out

    def finish(self, progress: Progress) -> dict[str, Any]:
        """Let the baseline collect, and judge what it has become."""
        self.model.collect(self._remembered(), self._targets(self.rows))
        metric = self.judge()[1] if self.held_out else math.nan
        return {
            **self.counts(),
            "baseline": self.model.config.name,
            "idea": self.model.config.idea,
            "holdout_mean_accuracy": None if math.isnan(metric) else metric,
        }

    def _remembered(self) -> Iterator[Tensor]:
        """What the baseline remembers of all training images, in their order (B, S): of this worker's part from the
        network, and of the others' from the files that they write.
        """
        rank, world = self.workers.rank, self.workers.world
        at_once, mine = self.config.micro_batch or self.config.batch, np.array_split(self.rows, world)[rank]
        cut = parts([mine], 0, at_once)
        made = (self.model.remembered(*crops) for _, crops in self.inputs(cut, None))
        if world == 1:
            yield from made
            return
        files = [self.out_dir / f"remembered-{each}.npy" for each in range(world)]
        _written(files[rank], made, len(mine))
        self.workers.wait()
        for file in files:
            stored_NS = np.load(file, mmap_mode="r")
            for start in range(0, len(stored_NS), at_once):
                yield torch.from_numpy(stored_NS[start : start + at_once].copy()).to(self.device)
        self.workers.wait()
        files[rank].unlink()

    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """See Task."""
        checkpoint.save(
            folder, self.model, {**facts, "data_fingerprint": self.pairs.fingerprint, "workers": self.workers.world}
        )


def _written(file: Path, made: Iterable[Tensor], rows: int) -> None:
    """Write vectors (N, S), as float32, as they come."""
    file.parent.mkdir(parents=True, exist_ok=True)
    stored_NS, start = None, 0
    for vectors_BS in made:
        if stored_NS is None:
            stored_NS = np.lib.format.open_memmap(file, "w+", np.float32, (rows, vectors_BS.shape[1]))
        stored_NS[start : start + len(vectors_BS)] = vectors_BS.cpu().numpy()
        start += len(vectors_BS)
    if stored_NS is not None:
        stored_NS.flush()


def _optimizer(parameters: dict[str, torch.nn.Parameter], lr: float, weight_decay: float) -> torch.optim.AdamW | None:
    """AdamW that decays matrices only; None when there is nothing to train."""
    if not parameters:
        return None
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)
