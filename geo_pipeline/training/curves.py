"""The curves of a training: one row per optimiser step and one per judged epoch, and the training_curves table.

How they are drawn belongs to `curve_page` and `event_log`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from geo_pipeline.contracts.contract import load


class CurveRow(NamedTuple):
    """One row; `holdout` is 1 for held-out images and 0 for a batch of training, `metric` NaN where there is none."""

    step: float
    epoch: float
    holdout: float
    loss: float
    learning_rate: float
    metric: float = math.nan


def curve_table(rows: Sequence[CurveRow]) -> pa.Table:
    """The training_curves table; without rows for a training that has no step."""
    step, epoch, holdout, loss, rate, metric = zip(*rows, strict=True) if rows else ((),) * 6
    columns = {
        "step": [int(value) for value in step],
        "epoch": [int(value) for value in epoch],
        "split": ["holdout" if value else "train" for value in holdout],
        "loss": loss,
        "learning_rate": rate,
        "metric": [None if math.isnan(value) else value for value in metric],
    }
    return pa.table(columns, schema=load("training_curves").arrow_schema)


def epoch_loss(rows: Sequence[CurveRow], epoch: int) -> float:
    """The mean loss of an epoch's batches."""
    return float(np.mean([row.loss for row in rows if row.epoch == epoch and not row.holdout]))
