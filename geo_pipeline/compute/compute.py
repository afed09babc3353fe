"""Where work runs: in this process, or on Ray. The only module that imports ray, and only inside functions.

Both places run the same worker classes on the same batches with the same number of torch threads, so they give the
same bytes. What is computed belongs to the stages; a worker is named `module:Class` and imported where it runs.
"""

import contextlib
import importlib
import itertools
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

import geo_pipeline
from geo_pipeline.compute.actor_pool import ActorLostError, ActorPool, ComputeError
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.training.outcome import Report, TrainingResult

Worker = Callable[[pa.Table], pa.Table]
REFUSED = "refused"
"""Where a training's result keeps the reason why there is none."""


class Compute(Protocol):
    """A place where workers and training loops run."""

    config: ComputeConfig

    def map_batches(
        self, worker: str, kwargs: Mapping[str, object], batches: Iterable[pa.Table], on_cpu: bool = False
    ) -> Iterator[pa.Table]:
        """Call one worker instance per actor on every batch; one result per batch, in the order of the batches.

        `on_cpu`: the worker runs no network, so it gets a CPU of its own and never a GPU.
        """
        ...

    def train(
        self, loop: str, kwargs: Mapping[str, object], report: Report, workers: int | None = None
    ) -> TrainingResult:
        """Call a training loop `loop(**kwargs, report=...)`, on `workers` workers (None: as the place has it).

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

    def map_batches(
        self, worker: str, kwargs: Mapping[str, object], batches: Iterable[pa.Table], on_cpu: bool = False
    ) -> Iterator[pa.Table]:
        """See Compute. The worker is made at the first batch."""
        instance: Worker | None = None
        for batch in batches:
            instance = instance or make_worker(worker, kwargs, self.config.torch_threads)
            yield instance(batch)

    def train(
        self, loop: str, kwargs: Mapping[str, object], report: Report, workers: int | None = None
    ) -> TrainingResult:
        """See Compute. There is one worker: this process."""
        return run_loop(loop, kwargs, report, self.config.train_threads)


class RayCompute:
    """Plain Ray actors for workers, Ray Train for training loops.

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

    def map_batches(
        self, worker: str, kwargs: Mapping[str, object], batches: Iterable[pa.Table], on_cpu: bool = False
    ) -> Iterator[pa.Table]:
        """See Compute. One pool of actors for the whole call: each makes its worker once, however many the batches.

        An actor that dies is replaced and its batch done again. Raises ComputeError when that does not help, when the
        worker raises, and when nothing comes for `stall_s`.
        """
        following = iter(batches)
        first = next(following, None)
        if first is None:
            return
        self._start()
        settings = {"worker": worker, "kwargs": dict(kwargs), "threads": self.config.torch_threads}
        size = self.config.cpu_actors if on_cpu else self.config.actors
        place = _RayActors(settings, 1.0, 0.0) if on_cpu else _RayActors(settings, 0.25, self.config.gpus_per_worker)
        pool = ActorPool(place, size, self.config.stall_s, worker)
        try:
            yield from pool.results(itertools.chain([first], following))
        finally:
            pool.close()

    def train(
        self, loop: str, kwargs: Mapping[str, object], report: Report, workers: int | None = None
    ) -> TrainingResult:
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
                    num_workers=workers or self.config.train_workers,
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
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # an actor that was ended is no news
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
        logging.getLogger("ray.train").setLevel(logging.ERROR)
        self._started = True


class _RayWorker:
    """Lives in an actor: makes its worker once, and calls it on each batch."""

    def load(self, settings: Mapping[str, Any]) -> None:
        self.worker = make_worker(settings["worker"], settings["kwargs"], settings["threads"])

    def work(self, packed: pa.Buffer) -> pa.Buffer:
        return _pack(self.worker(_unpack(packed)))


class _RayActors:
    """Actors on Ray; batches and results travel through its object store, as Arrow's own bytes."""

    def __init__(self, settings: Mapping[str, Any], cpus: float, gpus: float) -> None:
        import ray

        self._ray = ray
        self._worker = settings["worker"]
        self._settings = ray.put(settings)
        self._class = ray.remote(num_cpus=cpus, num_gpus=gpus or None, scheduling_strategy="SPREAD")(_RayWorker)

    def start(self) -> tuple[Any, Any]:
        """See Actors."""
        actor = self._class.remote()
        return actor, actor.load.remote(self._settings)

    def put(self, rows: pa.Table) -> Any:
        """See Actors."""
        return self._ray.put(_pack(rows))

    def call(self, actor: Any, batch: Any) -> Any:
        """See Actors."""
        return actor.work.remote(batch)

    def finished(self, references: list[Any], timeout_s: float) -> list[Any]:
        """See Actors."""
        done: list[Any] = self._ray.wait(references, num_returns=1, timeout=timeout_s)[0]
        return done

    def result(self, reference: Any) -> pa.Table | None:
        """See Actors. A result is copied out of the object store, which is then free of it."""
        lost = (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError)
        try:
            packed = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(getattr(error, "cause", None), BaseException) else error
            raise ComputeError(
                f"{self._worker} failed: {type(cause).__name__}: {cause}; finished shards are kept, run again once "
                "that is mended"
            ) from cause
        except lost as error:
            raise ActorLostError(_cause_of_death(str(error))) from error
        return None if packed is None else _unpack(pa.py_buffer(packed.to_pybytes()))

    def kill(self, actor: Any) -> None:
        """See Actors."""
        if self._ray.is_initialized():
            self._ray.kill(actor, no_restart=True)


def _cause_of_death(words: str) -> str:
    """What Ray's many lines say of the cause, in one."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = [line for line in lines if "exit type" in line.lower() or "exit detail" in line.lower()] or lines[-1:]
    return " ".join(told)[:400].rstrip(". ")


def make_worker(worker: str, kwargs: Mapping[str, object], threads: int) -> Worker:
    """Import `module:Class`, set torch's threads where the module brings torch, and make one instance."""
    factory = _named(worker)
    _set_threads(threads)
    instance: Worker = factory(**kwargs)
    return instance


def run_loop(loop: str, kwargs: Mapping[str, object], report: Report, threads: int) -> TrainingResult:
    """Import `module:function` and run it here."""
    function = _named(loop)
    _set_threads(threads)
    result = function(**kwargs, report=report)
    return TrainingResult(result.curves, dict(result.metrics))


def _ray_loop(settings: dict[str, Any]) -> None:
    import ray.train

    first = ray.train.get_context().get_world_rank() == 0
    reports: list[dict[str, Any]] = []
    result = Path(settings["result"])
    try:
        training = run_loop(settings["loop"], settings["kwargs"], reports.append, settings["threads"])
    except (ValueError, RuntimeError) as error:
        # What the loop itself refuses (a diverged loss, another checkpoint) it would refuse again: no second try.
        if not type(error).__module__.startswith(geo_pipeline.__name__):
            raise
        if first:
            _write_result(result, pa.table({}).replace_schema_metadata({REFUSED: str(error)}))
        return
    if first:
        metadata = {"metrics": json.dumps({**training.metrics, "reports": reports}, default=float)}
        _write_result(result, training.curves.replace_schema_metadata(metadata))


def _write_result(place: Path, rows: pa.Table) -> None:
    beside = place.with_name(place.name + ".part")
    beside.write_bytes(_pack(rows))
    beside.replace(place)


def _read_training(result_file: Path) -> TrainingResult:
    if not result_file.is_file():
        raise ComputeError(
            "found no result of the training, expected one from its first worker; read the error above and run again"
        )
    curves = _unpack(pa.py_buffer(result_file.read_bytes()))
    result_file.unlink()
    known = curves.schema.metadata or {}
    if REFUSED.encode() in known:
        raise ComputeError(known[REFUSED.encode()].decode())
    metrics: dict[str, Any] = json.loads(known[b"metrics"])
    return TrainingResult(curves.replace_schema_metadata(None), metrics)


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _set_threads(threads: int) -> None:
    torch, transformers = sys.modules.get("torch"), sys.modules.get("transformers")
    if torch is not None:
        torch.set_num_threads(threads)
    if transformers is not None:
        transformers.logging.disable_progress_bar()


def _pack(rows: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def _unpack(packed: pa.Buffer) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()


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
