"""TensorBoard event files of a training, written while it runs: `tensorboard --logdir <folder>` shows them live.

They are for looking at. The curves that count, and that a resumed run restores, are in `resume.Progress`; event files
hold times and host names and are no part of a checkpoint's content.
"""

import logging
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from geo_pipeline.geosurge.resume import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOGS_FOLDER = "tensorboard"
_FLUSH_S = 10


class EventLog:
    """Scalars of one run, by optimiser step. Without a folder (ranks other than 0) it writes nothing.

    A resumed run goes on in a file of its own, and tells TensorBoard to forget the steps after the state from which it
    resumes: it takes them again.
    """

    def __init__(self, folder: Path | None, progress: Progress) -> None:
        self._writer = _writer(folder, progress) if folder is not None else None
        if progress.batches:  # an epoch may have been judged at this very step, and will be again
            step, _, _, loss, rate, _ = progress.curves[-1]
            self._write(int(step), {"loss/train": loss, "learning_rate": rate})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def trained(self, step: int, loss: float, rate: float, images: int, seconds: float, waited: float) -> None:
        """One optimiser step on so many images; `waited` are the seconds in which the device had no images."""
        self._write(
            step,
            {
                "loss/train": loss,
                "learning_rate": rate,
                "speed/images_per_second": images / max(seconds, 1e-9),
                "speed/loader_wait_share": waited / max(seconds, 1e-9),
            },
        )

    def judged(self, step: int, loss: float, metric: float) -> None:
        """The end of an epoch: loss and mean accuracy on the held-out images."""
        self._write(step, {"loss/holdout": loss, "accuracy/holdout_mean": metric})

    def flush(self) -> None:
        """Put everything on disk: called before a state is written, so that no step it counts is missing here."""
        if self._writer is not None:
            self._writer.flush()

    def _write(self, step: int, scalars: dict[str, float]) -> None:
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)


def _writer(folder: Path, progress: Progress) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logging.getLogger(__name__).warning(
            "Found no tensorboard here, so no event files are written; training goes on. Install tensorboard to watch "
            "the next one."
        )
        return None
    forgotten = progress.step + (1 if progress.step and not progress.batches else 0)
    return SummaryWriter(str(folder), purge_step=forgotten, flush_secs=_FLUSH_S)
