"""The twin of Ray without Ray: shards and training loops one after the other in this process."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from geo_pipeline.compute.compute import Loop, Notes, ShardJob, run_loop
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.training.outcome import Report, TrainingResult


class InProcessCompute:
    """See Compute. What a worker raises is raised as it is."""

    def __init__(self, config: ComputeConfig) -> None:
        self.config = config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def configured(self, config: ComputeConfig) -> "InProcessCompute":
        """See Compute."""
        return InProcessCompute(config)

    def require(self) -> None:
        """See Compute. This process is there."""

    def map_shards(self, job: ShardJob, keys: Sequence[str], on_cpu: bool = False) -> Iterator[tuple[str, Notes]]:
        """See Compute. Keys are done in their order."""
        if keys:
            work = job.open()
            for key in keys:
                yield key, work(key)

    def train(self, loop: Loop, kwargs: Mapping[str, object], report: Report) -> TrainingResult:
        """See Compute. There is one worker: this process."""
        return run_loop(loop, kwargs, report, self.config.train_threads)
