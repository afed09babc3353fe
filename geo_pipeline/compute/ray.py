"""Work on Ray: a local one that starts with the first work, or the cluster of RAY_ADDRESS.

The modules ray*.py of this folder are the only ones that import ray, and only inside functions. What Ray is asked for
belongs to ray_shards.py (actors) and ray_training.py (Ray Train).
"""

import contextlib
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import geo_pipeline
from geo_pipeline.compute.capacity import workers_that_fit
from geo_pipeline.compute.compute import Loop, Notes, ShardJob
from geo_pipeline.compute.ray_address import require_cluster
from geo_pipeline.compute.ray_shards import ShardActors
from geo_pipeline.compute.ray_training import asks_of, train_on_ray
from geo_pipeline.compute.stderr import passing_on_stderr
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.training.outcome import Report, TrainingResult

NETWORK_CPUS = 0.25
"""What an actor with a network asks: its CPU is its GPU's servant, and other work may stand beside it."""
_KEPT = str(1 << 30)
"""Bytes below which glibc keeps freed memory in a worker's heap."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # an actor that was ended is no news
    "RAY_worker_niceness": "0",  # Ray's own 15 starves the work wherever something else runs
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # each look takes one row; at 2 s a short training waits for its rows
    "RAY_DEDUP_LOGS_SKIP_REGEX": "Task ShardActor|A worker died",  # is tried again, and reported by us where it is not
    # A network's large tensors are faulted in anew at each forward otherwise (speed.kept_memory); all three are needed.
    "MALLOC_MMAP_THRESHOLD_": _KEPT,
    "MALLOC_TRIM_THRESHOLD_": _KEPT,
    "MALLOC_ARENA_MAX": "1",  # the heaps of other threads, in which a shard's work runs, are always given back
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a reader that outlives the run must not start Ray again
}

GREETING = re.compile(rb"[^\n]*Set ray log level from environment variable[^\n]*\n")
"""What Ray's C++ says when it reads RAY_BACKEND_LOG_LEVEL."""


class RayCompute:
    """See Compute. Ray starts at the first use and stops with the context (or `close`)."""

    def __init__(self, config: ComputeConfig) -> None:
        self.config = config
        self._started = False
        self._shared: RayCompute | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster; a local one stops. Does nothing when Ray was not used."""
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def configured(self, config: ComputeConfig) -> "RayCompute":
        """See Compute. Both share one Ray, which the first starts and closes."""
        twin = RayCompute(config)
        twin._shared = self
        return twin

    def require(self) -> None:
        """See Compute: within half a minute where nothing answers at the address of a cluster, if there is one."""
        if address := self._address():
            require_cluster(address)

    def map_shards(self, job: ShardJob, keys: Sequence[str], on_cpu: bool = False) -> Iterator[tuple[str, Notes]]:
        """See Compute. At most `actors` workers (`cpu_actors` on CPUs); each opens the job once and ends with the call.

        Raises ComputeError, which names job and shard, when the job raises, when its process dies again and again,
        when nothing moves for `stall_s`, and at once when a Ray of this machine has no room for any worker.
        """
        if not keys:
            return
        self._start()
        config = self.config
        size, cpus, gpus = (
            (config.cpu_actors, 1.0, 0.0) if on_cpu else (config.actors, NETWORK_CPUS, config.gpus_per_worker)
        )
        asks = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
        size = self._fitting(job.name, min(size, len(keys)), asks, together=False)
        yield from ShardActors(job, size, cpus, gpus, config.stall_s).results(keys)

    def train(self, loop: Loop, kwargs: Mapping[str, object], report: Report) -> TrainingResult:
        """See Compute. Workers and driver share the home's folder.

        Raises ComputeError at once when a Ray of this machine has no room for all workers.
        """
        self._start()
        count = self._fitting("the training", self.config.train_workers, asks_of(self.config), together=True)
        return train_on_ray(loop, kwargs, report, count, self.config)

    def _fitting(self, name: str, workers: int, asks: Mapping[str, float], *, together: bool) -> int:
        import ray

        local = self._address() is None
        return workers_that_fit(name, workers, asks, ray.cluster_resources(), local=local, together=together)

    def _address(self) -> str | None:
        return os.environ.get("RAY_ADDRESS") or self.config.address

    def _start(self) -> None:
        if self._shared is not None:
            self._shared._start()
            return
        if self._started:
            return
        address = self._address()
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        if address:
            self.require()
            settings: dict[str, Any] = {"address": address, "runtime_env": {"py_modules": packages()}}
        else:
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
            settings = {"address": "local", "num_cpus": self.config.cpus, "include_dashboard": False}
            settings |= {} if self.config.gpus is None else {"num_gpus": self.config.gpus}
        import ray

        with _importable_by_local_workers(), passing_on_stderr(GREETING), _our_signal_handlers():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
        logging.getLogger("ray.train").setLevel(logging.ERROR)
        self._started = True


def packages() -> list[str]:
    """The folder that a cluster's workers are sent, so that they run the driver's code; the contracts lie in it."""
    return [geo_pipeline.__path__[0]]


@contextlib.contextmanager
def _our_signal_handlers() -> Iterator[None]:
    """Keep the process's own handlers: Ray puts others in their place, which print a stack of C++ at SIGTERM."""
    ours = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in ours:
            signal.signal(number, handler)


@contextlib.contextmanager
def _importable_by_local_workers() -> Iterator[None]:
    """Local Ray workers inherit PYTHONPATH as it is when Ray starts: put this package on it for that moment."""
    before = os.environ.get("PYTHONPATH")
    root = str(Path(geo_pipeline.__path__[0]).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([root, *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
