"""Trains GeoRouter on the georouting table (sections 3.3 and 4.1): AdamW on LoRA and head, DisPO's soft labels.

Where there are several workers, each batch is split by rank. The loop belongs to `training.loop`, reading the table to
`lessons`, files to `checkpoint`.

Legend: B samples of a batch, M of a micro-batch.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geo_pipeline.georouter.checkpoint import backbone_fingerprint, save_router
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.lessons import Lesson, read_lessons
from geo_pipeline.georouter.model import GeoRouter, preference_loss
from geo_pipeline.georouter.queries import query_prompt
from geo_pipeline.imagery.ahead import Ahead
from geo_pipeline.lvlm.model import load
from geo_pipeline.lvlm.prompts import PromptBatch, encode
from geo_pipeline.routing.decision import decide
from geo_pipeline.training import loop
from geo_pipeline.training.curve_page import Captions
from geo_pipeline.training.curves import epoch_loss
from geo_pipeline.training.device import pick_device
from geo_pipeline.training.loggers import usual_loggers
from geo_pipeline.training.order import Part
from geo_pipeline.training.outcome import Report, TrainingResult
from geo_pipeline.training.state import Progress, fingerprint_of
from geo_pipeline.training.task import Plan, Task
from geo_pipeline.training.workers import Workers

WINDOW_BATCHES = 8
"""Prompts are sorted by length within windows of this many batches: little padding, still well shuffled."""
PROMPTS_AHEAD = 2
"""Parts whose images are read and whose prompts are made, each in a thread, while the network is at another."""

Asked = tuple[PromptBatch, Tensor]
"""Prompts of M lessons and their targets (M,)."""


def train(
    georouting: Path,
    images: Path,
    config: RouterConfig,
    out_dir: Path,
    report: Report,
    labels: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a router and write its checkpoint to `out_dir`; resumes an interrupted training of the same inputs.

    `images` is the file with the queries and their top-1 references that `gather_images` wrote before the workers
    began. `report` gets one dictionary per epoch.
    `labels` says in the card how the table's labels were made.
    Raises `LessonsError`, `LvlmNotFoundError`, TrainingDivergedError, CheckpointError.
    """
    workers = Workers.present()
    return train_on(RouterTask(georouting, images, config, workers, labels), Path(out_dir), report)


def train_on(task: "RouterTask", out_dir: Path, report: Report) -> TrainingResult:
    """What `train` does, with a table already read and a network already loaded."""
    captions = Captions(
        task.name, "cross-entropy on soft labels", "Nearer paradigm chosen, held out", "%", task.plan.keep_best
    )
    return loop.run(task, out_dir, usual_loggers(out_dir, report, captions, task.workers.rank))


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


class RouterTask(Task[Asked]):
    """GeoRouter on lessons."""

    def __init__(
        self,
        georouting: Path,
        images: Path,
        config: RouterConfig,
        workers: Workers,
        labels: Mapping[str, Any] | None = None,
    ) -> None:
        self.config, self.workers = config, workers
        self.name = f"the router ({config.variant})"
        lessons = read_lessons(georouting, images, config)
        self.lessons = [lesson for lesson in lessons if not lesson.held_out]
        self.lessons_held_out = [lesson for lesson in lessons if lesson.held_out]
        self.held_out = len(self.lessons_held_out)
        self.lengths = [lesson.query.text_length() for lesson in self.lessons]
        self.ahead = Ahead(PROMPTS_AHEAD)
        self.lvlm = load(config.lvlm, pick_device(config.lvlm.device))
        self.device = self.lvlm.device
        backbone = backbone_fingerprint(self.lvlm)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.router = GeoRouter(self.lvlm.model, config)
        self.router.to(self.device)
        self.network = workers.wrapped(self.router)
        self.parameters = self.router.trainable()
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=config.lr, weight_decay=config.weight_decay)
        self.steps = math.ceil(len(self.lessons) / config.batch) * config.epochs
        keep_best = config.keep == "best" and bool(self.lessons_held_out)
        self.plan = Plan(config.epochs, config.checkpoint_steps, config.micro_batch, keep_best=keep_best)
        with georouting.open("rb") as file:
            table = hashlib.file_digest(file, "sha256").hexdigest()
        self.fingerprint = fingerprint_of(config.to_json(), table, backbone)
        self.card = {
            "config": config.to_json(),
            "labels": dict(labels or {}),
            "backbone_fingerprint": backbone,
            "table_sha256": table,
        }

    def rate(self, epoch: int, step: int) -> float:
        """See Task."""
        return learning_rate(self.config, step, self.steps)

    def batches(self, epoch: int) -> Sequence[Sequence[np.ndarray]]:
        """See Task; the last worker may have a lesson less."""
        rows = epoch_batches(self.lengths, self.config.batch, self.config.seed, epoch)
        world = self.workers.world
        return [[np.asarray(batch[rank::world], np.int64) for rank in range(world)] for batch in rows]

    def inputs(self, parts: Iterable[Part], epoch: int | None) -> Iterator[tuple[Part, Asked]]:
        """See Task; a part without a lesson gets one of the batch's, so that every worker computes as often."""

        def asked(part: Part) -> tuple[Part, Asked]:
            rows = part.rows_M if len(part.rows_M) else part.rows_B[:1]
            return part, self._asked([self.lessons[row] for row in rows])

        for part, (prompts, targets_M) in self.ahead.made(asked, parts):
            yield part, (prompts.to(self.device), targets_M.to(self.device))

    def _asked(self, lessons: list[Lesson]) -> Asked:
        """The lessons as the network is asked, on the CPU."""
        prompts = encode(self.lvlm, [query_prompt(lesson.query, self.config) for lesson in lessons])
        return prompts, torch.tensor([lesson.target for lesson in lessons], dtype=torch.float32)

    def loss(self, part: Part, inputs: Asked) -> Tensor:
        """See Task."""
        if part.start == 0:
            # Dropout's randomness depends on seed and step alone: a resumed run draws what the unbroken one drew.
            torch.manual_seed(self.config.seed * 1_000_003 + part.step * 64 + self.workers.rank)
        prompts, targets_M = inputs
        losses_M = preference_loss(self.network(prompts), targets_M)
        return losses_M.sum() * float(len(part.rows_M) > 0) / len(part.rows_B)

    def judge(self) -> tuple[float, float]:
        """Mean loss, and the share that the router sends to the nearer paradigm; every worker judges all."""
        loss, right, batch = 0.0, 0, self.config.lvlm.batch
        parts = [self.lessons_held_out[start : start + batch] for start in range(0, self.held_out, batch)]
        asked = self.ahead.made(self._asked, parts)
        for lessons, (prompts, targets_M) in zip(parts, asked, strict=True):
            scores_M, targets_M = self.router(prompts.to(self.device)), targets_M.to(self.device)
            loss += float(preference_loss(scores_M, targets_M).sum())
            choices = [decide(score) == "generation" for score in scores_M.tolist()]
            right += sum(choice == bool(lesson.label) for choice, lesson in zip(choices, lessons, strict=True))
        return loss / self.held_out, right / self.held_out

    def image_ids(self, rows_B: np.ndarray) -> list[str]:
        """See Task."""
        return [self.lessons[row].query.image_id for row in rows_B]

    def finish(self, progress: Progress) -> dict[str, Any]:
        """See Task."""
        metrics = {"lessons": len(self.lessons), "held_out": self.held_out}
        last = progress.curves[-1]
        judged = {"holdout_loss": last.loss, "holdout_routed_right": last.metric} if last.holdout else {}
        return {**metrics, "train_loss": epoch_loss(progress.curves, progress.epoch - 1), **judged}

    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """See Task."""
        save_router(self.router, folder, {**self.card, **facts})
