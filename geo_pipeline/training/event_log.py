"""TensorBoard event files of a training, written while it runs: `tensorboard --logdir <folder>` shows them live.

They are for looking at. The curves that count, and that a resumed run restores, are in `state.Progress`; event files
hold times and host names and are no part of a checkpoint's content.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geo_pipeline.training.logger import Logger

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FLUSH_S = 10
_OF_A_STEP = {
    "loss": "loss/train",
    "learning_rate": "learning_rate",
    "images_per_second": "speed/images_per_second",
    "loader_wait_share": "speed/loader_wait_share",
}
_OF_AN_EPOCH = {"holdout_loss": "loss/holdout", "metric": "accuracy/holdout_mean"}


class EventLog(Logger):
    """Scalars of one run, by optimiser step.

    A resumed run goes on in a file of its own, and tells TensorBoard to forget the steps after the state from which it
    resumes: it takes them again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def begin(self, step: int, last: Mapping[str, Any] | None) -> None:
        """Open the file. An epoch may have been judged at this very step, and will be again."""
        self._writer = _writer(self._folder, step + (1 if step and last is None else 0))
        if last is not None:
            self._write(step, _OF_A_STEP, last)

    def step(self, facts: Mapping[str, Any]) -> None:
        """Loss, rate and speed."""
        self._write(facts["step"], _OF_A_STEP, facts)

    def epoch(self, facts: Mapping[str, Any]) -> None:
        """Loss and metric on the held-out images."""
        self._write(facts["step"], _OF_AN_EPOCH, facts)

    def flush(self) -> None:
        """Put everything on disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, step: int, names: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        if self._writer is not None:
            for name, tag in names.items():
                if name in facts and not math.isnan(facts[name]):
                    self._writer.add_scalar(tag, facts[name], step)


def _writer(folder: Path, forgotten: int) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logging.getLogger(__name__).warning(
            "found no tensorboard here, so no event files are written; training goes on. Install tensorboard to watch "
            "the next one."
        )
        return None
    return SummaryWriter(str(folder), purge_step=forgotten, flush_secs=_FLUSH_S)
