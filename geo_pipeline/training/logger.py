"""What may listen to a training: one dictionary per step and per epoch. Nothing here decides a byte of a checkpoint.

Event files are `event_log`, the page of the curves `curve_page`; which of them a training has is `loggers`.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from geo_pipeline.training.outcome import Report


class Logger:
    """A listener; each method does nothing until it is overridden.

    Facts of a step: step, epoch, loss, learning_rate, images_per_second, loader_wait_share (of the step's time, in
    which the device had nothing to work on). Facts of an epoch: these, over the epoch, with holdout_loss and metric
    (NaN where nothing is held out) and seconds.
    """

    def begin(self, step: int, last: Mapping[str, Any] | None) -> None:
        """Training goes on after `step`; `last` are loss and rate of that step where its epoch is not yet judged."""

    def step(self, facts: Mapping[str, Any]) -> None:
        """An optimiser step is done."""

    def epoch(self, facts: Mapping[str, Any]) -> None:
        """An epoch is judged."""

    def flush(self) -> None:
        """A state is about to be written: no step that it counts may be missing from what is on disk."""

    def end(self, curves: pa.Table) -> None:
        """The last epoch is over; its checkpoint is about to be written."""

    def close(self) -> None:
        """Nothing follows; called after an error too."""


class EpochReport(Logger):
    """Hands the facts of each epoch to a function."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def epoch(self, facts: Mapping[str, Any]) -> None:
        """See Logger."""
        self._report(dict(facts))
