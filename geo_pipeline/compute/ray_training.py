"""Training loops on Ray Train: a group of workers, its metrics, and its restarts, with Train's storage in the home.

The loop's own state in its `out_dir` is what a restart goes on from (one format, the same bytes with Ray or without);
Train's checkpoints are pointers to it, kept so that Train knows how far a run has come.
"""

import contextlib
import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

import geo_pipeline
from geo_pipeline.compute.compute import ComputeError, Loop, run_loop
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.training.outcome import Report, TrainingResult

RESTARTS = 3
"""How often a group of workers is started again after one of them, or its node, is lost."""
ROWS = "reports.jsonl"
RESULT = "result.arrow"
REFUSED = "refused"
"""Where a training's result keeps the reason why there is none."""
POLL_S = 0.5


def train_on_ray(
    loop: Loop, kwargs: Mapping[str, object], report: Report, workers: int, config: ComputeConfig
) -> TrainingResult:
    """See Compute.train. Rows are reported in the caller's thread while the training runs.

    Raises ComputeError with the loop's own words for what it refuses, and when the group was lost too often.
    """
    out_dir = Path(str(kwargs["out_dir"]))
    storage = out_dir.parent / f".{out_dir.name}.ray"
    shutil.rmtree(storage, ignore_errors=True)
    storage.mkdir(parents=True)
    try:
        with _following(storage / ROWS, report) as follow:
            _fit(loop, kwargs, workers, config, storage, follow)
        return _read_training(storage / RESULT)
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def asks_of(config: ComputeConfig) -> dict[str, float]:
    """What each worker of a training asks of Ray."""
    return {"CPU": 1.0} | ({"GPU": config.gpus_per_worker} if config.gpus_per_worker else {})


def _fit(
    loop: Loop,
    kwargs: Mapping[str, object],
    workers: int,
    config: ComputeConfig,
    storage: Path,
    follow: Callable[[], None],
) -> None:
    import ray.train
    from ray import cloudpickle
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        _ray_loop,
        train_loop_config={
            # As bytes: Train's controller would import what they name, which takes seconds, before a worker starts.
            "work": cloudpickle.dumps((loop, dict(kwargs))),
            "threads": config.train_threads,
            "result": str(storage / RESULT),
        },
        torch_config=TorchConfig(backend=_backend(config)),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers,
            use_gpu=bool(config.gpus_per_worker),
            resources_per_worker=asks_of(config),
            placement_strategy="SPREAD",
        ),
        run_config=ray.train.RunConfig(
            name=f"train-{uuid.uuid4().hex[:8]}",
            storage_path=str(storage),
            failure_config=ray.train.FailureConfig(max_failures=RESTARTS),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            callbacks=[_rows_to(storage / ROWS)],
        ),
    )
    fitting = _Fitting(trainer)
    fitting.start()
    while fitting.is_alive():
        fitting.join(POLL_S)
        follow()
    if fitting.error is not None:
        raise _failed(fitting.error)


def _backend(config: ComputeConfig) -> str:
    if config.backend == "auto":
        return "nccl" if config.gpus_per_worker else "gloo"
    return config.backend


class _Fitting(threading.Thread):
    """Waits for a training; a thread of its own, so that the caller's forwards rows and hears an interrupt."""

    def __init__(self, trainer: Any) -> None:
        super().__init__(name="ray-train", daemon=True)
        self.trainer = trainer
        self.error: BaseException | None = None

    def run(self) -> None:
        """Fit, and keep what is raised for the caller."""
        import ray.exceptions
        import ray.train

        try:
            self.trainer.fit()
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            self.error = error


def _failed(error: BaseException) -> ComputeError:
    causes = [error, *getattr(error, "worker_failures", {}).values()]
    words = [line.strip() for line in str(causes[-1]).splitlines() if line.strip()]
    return ComputeError(
        f"the training ended with {type(causes[-1]).__name__}: {words[-1] if words else 'no words'}; expected it to "
        f"end within {RESTARTS} restarts. It goes on where it was when it is run again, once that is mended"
    )


def _rows_to(file: Path) -> Any:
    """Ray Train's callback that keeps what rank 0 reports, in the controller's process."""
    from ray.train import UserCallback

    class Rows(UserCallback):
        def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
            with file.open("a") as rows:
                rows.write(json.dumps(metrics[0], default=float) + "\n")

    return Rows()


@contextlib.contextmanager
def _following(file: Path, report: Report) -> Iterator[Callable[[], None]]:
    """A function that reports the whole lines that a file has got since it was called last; called once more at end."""
    position = 0

    def follow() -> None:
        nonlocal position
        if file.is_file():
            with file.open("rb") as rows:
                rows.seek(position)
                whole = rows.read().rpartition(b"\n")[0]
            for line in whole.splitlines():
                report(json.loads(line))
            position += len(whole) + (1 if whole else 0)

    yield follow
    follow()


def _ray_loop(settings: dict[str, Any]) -> None:
    import ray.train
    from ray import cloudpickle

    first = ray.train.get_context().get_world_rank() == 0
    loop, kwargs = cloudpickle.loads(settings["work"])
    result, out_dir = Path(settings["result"]), kwargs["out_dir"]

    def report(row: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            pointer = ray.train.Checkpoint.from_directory(folder) if first else None
            if first:
                Path(folder, "pointer.json").write_text(json.dumps({"out_dir": str(out_dir), **row}, default=float))
            ray.train.report(row, checkpoint=pointer)

    try:
        training = run_loop(loop, kwargs, report, settings["threads"])
    except (ValueError, RuntimeError) as error:
        # What the loop itself refuses (a diverged loss, another checkpoint) it would refuse again: no second try.
        if not type(error).__module__.startswith(geo_pipeline.__name__):
            raise
        if first:
            _write_result(result, pa.table({}).replace_schema_metadata({REFUSED: str(error)}))
        return
    if first:
        metadata = {"metrics": json.dumps(training.metrics, default=float)}
        _write_result(result, training.curves.replace_schema_metadata(metadata))


def _write_result(file: Path, rows: pa.Table) -> None:
    beside = file.with_name(file.name + ".part")
    with pa.ipc.new_file(str(beside), rows.schema) as writer:
        writer.write_table(rows)
    beside.replace(file)


def _read_training(file: Path) -> TrainingResult:
    if not file.is_file():
        raise ComputeError(
            "found no result of the training, expected one from its first worker: do the nodes share the home's "
            "folder? See docs/deployment/, and run again"
        )
    with pa.ipc.open_file(str(file)) as reader:
        curves = reader.read_all()
    known = curves.schema.metadata or {}
    if REFUSED.encode() in known:
        raise ComputeError(known[REFUSED.encode()].decode())
    return TrainingResult(curves.replace_schema_metadata(None), json.loads(known[b"metrics"]))
