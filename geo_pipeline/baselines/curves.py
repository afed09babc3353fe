"""The curves of a training as columns of the training_curves table; the loop that makes them belongs to `training`."""

import math

import pyarrow as pa


def curve_table(curves: list[tuple[float, ...]]) -> pa.Table:
    """Columns of the training_curves table; no row for a baseline that trains nothing."""
    step, epoch, holdout, loss, rate, metric = zip(*curves, strict=True) if curves else ((),) * 6
    return pa.table(
        {
            "step": pa.array([int(value) for value in step], pa.int64()),
            "epoch": pa.array([int(value) for value in epoch], pa.int64()),
            "split": pa.array(["holdout" if value else "train" for value in holdout], pa.string()),
            "loss": pa.array(loss, pa.float64()),
            "learning_rate": pa.array(rate, pa.float64()),
            "metric": pa.array([None if math.isnan(value) else value for value in metric], pa.float64()),
        }
    )
