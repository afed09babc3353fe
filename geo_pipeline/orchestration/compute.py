"""Where work runs: in this process, or on Ray. The only module that imports ray, and only inside functions.

Both places run the same worker classes on the same batches with the same number of torch threads, so they give the
same bytes. What is computed belongs to the stages; a worker is named `module:Class` and imported where it runs.
"""

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

import geo_pipeline
from geo_pipeline.profiles.resources import ComputeConfig

Worker = Callable[[pa.Table], pa.Table]
Report = Callable[[dict[str, Any]], None]


class ComputeError(RuntimeError):
    """Work did not come to its end: no progress for too long, rows missing, or a training that failed."""


@dataclass(frozen=True)
class Training:
    """What a training loop gives back: its curves table and its metrics."""

    curves: pa.Table
    metrics: dict[str, Any]


class Compute(Protocol):
    """A place where workers and training loops run."""

    config: ComputeConfig

    def map_batches(self, worker: str, kwargs: Mapping[str, object], batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Call one worker instance per actor on every batch; one result per batch, in the order of the batches."""
        ...

    def train(self, loop: str, kwargs: Mapping[str, object], report: Report) -> Training:
        """Call a training loop `loop(**kwargs, report=...)`.

        It resumes by itself from its `out_dir` when started again.
        """
        ...


class InProcessCompute:
    """The twin without Ray: a plain loop in this process."""

    def __init__(self, config: ComputeConfig) -> None:
        self.config = config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def map_batches(self, worker: str, kwargs: Mapping[str, object], batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """See Compute. The worker is made at the first batch."""
        instance: Worker | None = None
        for batch in batches:
            instance = instance or make_worker(worker, kwargs, self.config.torch_threads)
            yield instance(batch)

    def train(self, loop: str, kwargs: Mapping[str, object], report: Report) -> Training:
        """See Compute."""
        return run_loop(loop, kwargs, report, self.config.train_threads)


class RayCompute:
    """Ray Data for workers, Ray Train for training loops.

    Ray starts at the first use and stops with the context (or `close`).
    """

    def __init__(self, config: ComputeConfig) -> None:
        self.config = config
        self._started = False

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

    def map_batches(self, worker: str, kwargs: Mapping[str, object], batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """See Compute. Input goes to Ray in waves of `wave_mib`.

        A killed actor is replaced and its batch done again.
        """
        self._start()
        for wave in _waves(batches, self.config.wave_mib * 2**20):
            yield from self._map_wave(worker, kwargs, wave)

    def _map_wave(self, worker: str, kwargs: Mapping[str, object], wave: list[pa.Table]) -> Iterator[pa.Table]:
        import ray

        blocks = [
            pa.table({"batch": pa.array([number], pa.int64()), "rows": [_to_bytes(rows)]})
            for number, rows in enumerate(wave)
        ]
        results = ray.data.from_arrow(blocks).map_batches(
            _RayWorker,
            fn_constructor_kwargs={"worker": worker, "kwargs": dict(kwargs), "threads": self.config.torch_threads},
            compute=ray.data.ActorPoolStrategy(size=max(1, min(self.config.actors, len(wave)))),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=0.25,
            num_gpus=self.config.gpus_per_worker or None,
        )
        waiting: dict[int, pa.Table] = {}
        due = 0
        blocks_done = results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
        for block in guarded(blocks_done, self.config.stall_s, worker):
            for number, rows in zip(block["batch"].to_pylist(), block["rows"].to_pylist(), strict=True):
                waiting[number] = _from_bytes(rows)
            while due in waiting:
                yield waiting.pop(due)
                due += 1
        if due != len(wave):
            raise ComputeError(
                f"found results of {due} of {len(wave)} batches of {worker}, expected all; run again, "
                "finished shards are kept"
            )

    def train(self, loop: str, kwargs: Mapping[str, object], report: Report) -> Training:
        """See Compute. The result comes back through a file, so worker and driver share a file system."""
        self._start()
        import ray.train
        from ray.train.torch import TorchConfig, TorchTrainer

        out_dir = Path(str(kwargs["out_dir"]))
        out_dir.mkdir(parents=True, exist_ok=True)
        result_file = out_dir.parent / f".{out_dir.name}.result"
        result_file.unlink(missing_ok=True)
        resources = {"CPU": 1.0} | ({"GPU": self.config.gpus_per_worker} if self.config.gpus_per_worker else {})
        with tempfile.TemporaryDirectory(prefix="geo-pipeline-train-") as scratch:
            trainer = TorchTrainer(
                _ray_loop,
                train_loop_config={
                    "loop": loop,
                    "kwargs": dict(kwargs),
                    "threads": self.config.train_threads,
                    "result": str(result_file),
                },
                torch_config=TorchConfig(backend="nccl" if self.config.gpus_per_worker else "gloo"),
                scaling_config=ray.train.ScalingConfig(
                    num_workers=self.config.train_workers,
                    use_gpu=bool(self.config.gpus_per_worker),
                    resources_per_worker=resources,
                ),
                run_config=ray.train.RunConfig(
                    name=f"train-{uuid.uuid4().hex[:8]}",
                    storage_path=scratch,
                    failure_config=ray.train.FailureConfig(max_failures=2),
                ),
            )
            trainer.fit()
        training = _read_training(result_file)
        for row in training.metrics.pop("reports", []):
            report(row)
        return training

    def _start(self) -> None:
        if self._started:
            return
        address = os.environ.get("RAY_ADDRESS") or self.config.address
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray Data's own actors are warned of on every start
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own 15 starves the work wherever something else runs
        os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
        os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a reader that outlives the run must not start Ray again
        local: dict[str, Any] = {"num_cpus": self.config.cpus, "include_dashboard": False} if not address else {}
        if not address:
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        import logging

        import ray

        with _importable_by_workers():
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        logging.getLogger("ray.train").setLevel(logging.ERROR)
        self._started = True


class _RayWorker:
    """Runs in an actor: unpacks each batch, calls the worker, packs its result."""

    def __init__(self, worker: str, kwargs: Mapping[str, object], threads: int) -> None:
        self.worker = make_worker(worker, kwargs, threads)

    def __call__(self, block: pa.Table) -> pa.Table:
        packed = [_to_bytes(self.worker(_from_bytes(rows))) for rows in block["rows"].to_pylist()]
        return pa.table({"batch": block["batch"], "rows": pa.array(packed, pa.large_binary())})


def make_worker(worker: str, kwargs: Mapping[str, object], threads: int) -> Worker:
    """Import `module:Class`, set torch's threads where the module brings torch, and make one instance."""
    factory = _named(worker)
    _set_threads(threads)
    instance: Worker = factory(**kwargs)
    return instance


def run_loop(loop: str, kwargs: Mapping[str, object], report: Report, threads: int) -> Training:
    """Import `module:function` and run it here."""
    function = _named(loop)
    _set_threads(threads)
    result = function(**kwargs, report=report)
    return Training(result.curves, dict(result.metrics))


def _ray_loop(settings: dict[str, Any]) -> None:
    import ray.train

    rank = ray.train.get_context().get_world_rank()
    reports: list[dict[str, Any]] = []
    training = run_loop(settings["loop"], settings["kwargs"], reports.append, settings["threads"])
    if rank == 0:
        result = Path(settings["result"])
        beside = result.with_name(result.name + ".part")
        metadata = {"metrics": json.dumps({**training.metrics, "reports": reports}, default=float)}
        beside.write_bytes(_to_bytes(training.curves.replace_schema_metadata(metadata)))
        beside.replace(result)


def _read_training(result_file: Path) -> Training:
    if not result_file.is_file():
        raise ComputeError(
            "found no result of the training, expected one from its first worker; read the error above and run again"
        )
    curves = _from_bytes(result_file.read_bytes())
    metrics: dict[str, Any] = json.loads((curves.schema.metadata or {})[b"metrics"])
    result_file.unlink()
    return Training(curves.replace_schema_metadata(None), metrics)


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _set_threads(threads: int) -> None:
    torch, transformers = sys.modules.get("torch"), sys.modules.get("transformers")
    if torch is not None:
        torch.set_num_threads(threads)
    if transformers is not None:
        transformers.logging.disable_progress_bar()


def _to_bytes(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def _from_bytes(packed: bytes) -> pa.Table:
    return pa.ipc.open_stream(pa.BufferReader(packed)).read_all()


def _waves(batches: Iterable[pa.Table], limit: int) -> Iterator[list[pa.Table]]:
    wave: list[pa.Table] = []
    size = 0
    for batch in batches:
        wave.append(batch)
        size += batch.nbytes
        if size >= limit:
            yield wave
            wave, size = [], 0
    if wave:
        yield wave


def guarded(results: Iterable[pa.Table], stall_s: float, worker: str) -> Iterator[pa.Table]:
    """The results, read by a thread, so that silence for `stall_s` becomes an error instead of a hang."""
    done: Any = object()
    following = iter(results)
    reader = ThreadPoolExecutor(1, thread_name_prefix="ray-results")
    try:
        while True:
            waiting = reader.submit(next, following, done)
            try:
                result = waiting.result(timeout=stall_s)
            except TimeoutError:
                if waiting.done():  # the work's own time-out, not ours
                    raise
                raise ComputeError(
                    f"found no result of {worker} for {stall_s:.0f} s; expected one: too few free CPUs or GPUs "
                    "for its actors, or a worker that hangs. "
                    "Free resources, or raise `stall_s` in the profile, and run again; finished shards are kept"
                ) from None
            if result is done:
                return
            yield result
    finally:
        reader.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _importable_by_workers() -> Iterator[None]:
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
