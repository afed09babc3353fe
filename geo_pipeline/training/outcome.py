"""How a training ends: with a result, or with one of two errors. Torch-free; the loop itself is `loop`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

Report = Callable[[dict[str, Any]], None]
"""Gets one dictionary per epoch."""


class TrainingDivergedError(RuntimeError):
    """The loss is not finite. The last good state is kept; the ids of a training batch are written down."""


class NothingToTrainError(ValueError):
    """There are too few usable training images."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves beside its checkpoint: its curves (the training_curves table) and its metrics."""

    curves: pa.Table
    metrics: dict[str, Any]
