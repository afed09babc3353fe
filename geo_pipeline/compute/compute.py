"""Where work runs: the interface that in_process.py and ray.py implement, and what both share.

Both run the same jobs and training loops with the same number of torch threads, so they give the same bytes. What a job
does with a shard belongs to shard_job.py, what is computed to the workers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.training.outcome import Report, TrainingResult

Loop = Callable[..., Any]
"""A training loop, importable by its name. It resumes by itself from its `out_dir` when it is started again.

It calls its argument `report` equally often on every rank of a distributed training, and its result has `curves` (a
table) and `metrics`.
"""
Notes = Mapping[str, object]
"""What is known of a finished shard: numbers and words for a person, never its rows."""


class ComputeError(RuntimeError):
    """Work did not come to its end: no progress for too long, a worker that failed or died, a training that failed.

    Where a worker raised, `__cause__` is what it raised.
    """


class ShardJob(Protocol):
    """What is done with each shard of an asset. It travels to other processes, so it holds settings and no rows."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def open(self) -> Callable[[str], Notes]:
        """Called once in each process that works; what it returns reads, computes and writes the shard of a key.

        An attribute `batches_done` that it may have counts up while it works, so that a long shard is no standstill.
        """
        ...


class Compute(Protocol):
    """A place where jobs and training loops run."""

    config: ComputeConfig

    def configured(self, config: ComputeConfig) -> "Compute":
        """The same machines, used in another way."""
        ...

    def require(self) -> None:
        """Raise ComputeError when the machines that the configuration names are not there; starts nothing."""
        ...

    def map_shards(self, job: ShardJob, keys: Sequence[str], on_cpu: bool = False) -> Iterator[tuple[str, Notes]]:
        """Do the job for every key; each key with its notes as soon as it is done, in any order.

        `on_cpu`: the job runs no network, so each worker gets a CPU of its own and never a GPU.
        """
        ...

    def train(self, loop: Loop, kwargs: Mapping[str, object], report: Report) -> TrainingResult:
        """Call `loop(**kwargs, report=...)` on as many workers as the configuration has.

        `report` gets what the loop reports (of rank 0), while it trains. `kwargs` has `out_dir`, a folder in the home.
        """
        ...


def run_loop(loop: Loop, kwargs: Mapping[str, object], report: Report, threads: int) -> TrainingResult:
    """Run a training loop in this process."""
    set_threads(threads)
    result = loop(**kwargs, report=report)
    return TrainingResult(result.curves, dict(result.metrics))


def set_threads(threads: int) -> None:
    """Import torch and set its CPU threads, which decide the order of its sums, before any operator of it runs."""
    import torch

    torch.set_num_threads(threads)
