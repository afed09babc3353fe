"""What the loop asks of a training: what is a batch, its loss, how the held-out images are judged, what is saved.

GeoSURGE, the baselines and the router are one `Task` each; the loop that they share is `loop`. A task is written for
one device.

Shapes: B rows of an effective batch, M of a micro-batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from geo_pipeline.training.order import Part, Shares
from geo_pipeline.training.state import Progress
from geo_pipeline.training.workers import Workers

Inputs = TypeVar("Inputs")


@dataclass(frozen=True)
class Plan:
    """How long a training goes on.

    - `patience`: it stops after so many epochs without a better loss (held-out, or of training where nothing is held
      out); None goes on to the last epoch.
    - `micro_batch`: rows per forward, None for the worker's whole share.
    - `checkpoint_steps`: a state is written every so many steps, and after every epoch.
    - `keep_best`: the result is the best epoch, not the last.
    """

    max_epochs: int
    checkpoint_steps: int
    micro_batch: int | None = None
    patience: int | None = None
    keep_best: bool = True


class Task(ABC, Generic[Inputs]):
    """One training.

    - `name`: as messages call it; `fingerprint`: of settings and data, a state of another one is refused.
    - `network`: wrapped for several workers where there are several; `parameters`: those that are trained, by name.
    - `optimizer`: None where nothing is trained. `held_out`: how many images judge an epoch.
    - `workers`: those that share it; `whole_loss`: each computes the loss of the whole batch, instead of a part of it.
    """

    name: str
    fingerprint: str
    plan: Plan
    device: torch.device
    network: nn.Module
    parameters: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    held_out: int
    whole_loss: bool = False
    workers: Workers = Workers()

    @abstractmethod
    def rate(self, epoch: int, step: int) -> float:
        """The learning rate of a step, both counted from 0."""

    @abstractmethod
    def batches(self, epoch: int) -> Sequence[Shares]:
        """The batches of an epoch in their order, each divided among the workers."""

    @abstractmethod
    def inputs(self, parts: Iterable[Part], epoch: int | None) -> Iterator[tuple[Part, Inputs]]:
        """Each part with what the network sees of it, read ahead; `epoch` None as held-out images are seen."""

    @abstractmethod
    def loss(self, part: Part, inputs: Inputs) -> Tensor:
        """This part's share of the loss of its batch: over all parts and workers they add up to it."""

    def settle(self) -> None:
        """Bring parameters back to their bounds, in place, after each step of the optimiser; most have none."""

    @abstractmethod
    def judge(self) -> tuple[float, float]:
        """Loss and metric on the held-out images, without gradients; only called where there are some."""

    @abstractmethod
    def image_ids(self, rows_B: np.ndarray) -> list[str]:
        """The images of these rows."""

    @abstractmethod
    def finish(self, progress: Progress) -> dict[str, Any]:
        """The metrics of the network with the weights that were kept, once it has what it needs beside them."""

    @abstractmethod
    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write the checkpoint, the card last; `facts` (metrics, fingerprint of the training) go into the card."""
