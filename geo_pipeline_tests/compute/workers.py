"""Jobs, workers and training loops for tests of where work runs. Everything in it is sent to Ray's workers by name."""

import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from geo_pipeline.compute.shard_job import TableJob
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.compute.nodes import note_node

BATCH_ROWS = 3


def numbers_in(reads, key):
    return reads.table("features", key)


def images_in(reads, key):
    return reads.table("images", key, ["image_id", "jpeg"])


def no_arguments(reads):
    return {}


def home_of_numbers(folder, shards):
    """A home with a table of features, a whole number below 100 a row, for each shard of a mapping."""
    home = Home(folder)
    for key, values in shards.items():
        home.write_table("features", key, numbers_of(values), "f")
    return home


def numbers_of(values):
    """A table of features that holds these numbers."""
    ids = pa.array([str(position) for position in range(len(values))], pa.string())
    column = pa.array([[value / 100] for value in values], pa.list_(pa.float32()))
    return pa.table({"image_id": ids, "feature": column})


def values_of(rows):
    """The numbers of rows of such a table."""
    return [round(100 * value) for (value,) in rows["feature"].to_pylist()]


def job_of(home, keys, worker, arguments=no_arguments, read=numbers_in, output="training_curves", profile=None, **more):
    """The job that makes `output` of these keys."""
    return TableJob(
        home=home,
        profile=profile or sample(0),
        worker=worker,
        read=read,
        arguments=arguments,
        outputs={key: (table(output, key),) for key in keys},
        fingerprints=dict.fromkeys(keys, "g"),
        batch_rows=BATCH_ROWS,
        **more,
    )


def curves(losses):
    """Rows of the curves table with these losses."""
    count = len(losses)
    return pa.table(
        {
            "step": pa.array(range(count), pa.int64()),
            "epoch": pa.array([0] * count, pa.int64()),
            "split": ["train"] * count,
            "loss": pa.array(losses, pa.float64()),
            "learning_rate": pa.array([0.1] * count, pa.float64()),
            "metric": pa.nulls(count, pa.float64()),
        }
    )


@dataclass
class Watched:
    """Arguments of PidWorker, sent with the job."""

    folder: Path
    deadly: int | None = None
    deaths: int = 1
    pause_s: float = 0.0

    def __call__(self, reads):
        return vars(self)


class PidWorker:
    """Squares numbers and notes in which process it was loaded; meeting `deadly`, it kills itself so many times."""

    def __init__(self, folder, deadly=None, deaths=1, pause_s=0.0):
        self.folder, self.deadly, self.deaths, self.pause_s = Path(folder), deadly, deaths, pause_s
        with (self.folder / f"pid-{os.getpid()}").open("a") as loaded:
            loaded.write("loaded\n")
        note_node(self.folder)

    def __call__(self, rows):
        time.sleep(self.pause_s)
        values = values_of(rows)
        dead = len(list(self.folder.glob("killed-*")))
        if self.deadly in values and dead < self.deaths:
            (self.folder / f"killed-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (self.folder / f"done-{os.getpid()}").open("a") as done:
            done.write(f"{rows.num_rows}\n")
        return curves([value * value for value in values])


class Refusing:
    """Raises at a number it does not like."""

    def __call__(self, rows):
        if 7 in values_of(rows):
            raise ValueError("seven is not allowed")
        return curves([0.0] * rows.num_rows)


class Threads:
    """How many CPU threads torch has where the worker is made, and where it works. Imports torch as a network does."""

    def __init__(self):
        import torch

        self.torch = torch
        self.at_first = torch.get_num_threads()

    def __call__(self, rows):
        return curves([self.at_first, self.torch.get_num_threads()])


class Faults:
    """How many pages the kernel has to give arrays of 8 and of 64 MiB, after as many were freed."""

    def __call__(self, rows):
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            held = [np.ones(numbers << 20) for numbers in (1, 8) for _ in range(8)]
            held.clear()
        return curves([float(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)])


class UntravelledError(ValueError):
    """Cannot be made again from its message."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Untravelled:
    """Raises what cannot reach the driver as it is."""

    def __call__(self, rows):
        raise UntravelledError("seven", "eight")


class Untouched:
    """Gives back what it is given."""

    def __call__(self, rows):
        return rows


class Unmade:
    """Cannot be made."""

    def __init__(self):
        raise FileNotFoundError("no weights here")


class Silent:
    """Never answers."""

    def __call__(self, rows):
        time.sleep(600)


class Brightness:
    """image_id and jpeg to the mean brightness of each photograph; decodes ahead of `compute`."""

    def prepare(self, rows):
        return [decode_rgb(jpeg) for jpeg in rows["jpeg"].to_pylist()]

    def compute(self, prepared):
        return curves([float(image.mean()) for image in prepared])


@dataclass
class SegmentsFor:
    """Arguments of NotingSegmenter, sent with the job."""

    notes: Path

    def __call__(self, reads):
        return {"config": reads.profile.segmentation, "notes": self.notes}


class NotingSegmenter:
    """The sample's segmentation worker, noting its node. Loads torch only where it works."""

    def __init__(self, config, notes):
        from geo_pipeline.segmentation.worker import SegmentationWorker

        self.worker = SegmentationWorker(config)
        self.prepare, self.compute = self.worker.prepare, self.worker.compute
        note_node(notes)
        (Path(notes) / f"loaded-{os.getpid()}").touch()


@dataclass(frozen=True)
class Plain:
    """A job without a home: `do(key)` for every key."""

    do: Callable
    name: str = "Plain"

    def open(self):
        return self.do


def loads(folder):
    """How often a worker was loaded, per process."""
    return {int(path.name[4:]): path.read_text().count("loaded") for path in Path(folder).glob("pid-*")}


@dataclass
class Result:
    curves: pa.Table
    metrics: dict


def loop(start, out_dir, heard, report):
    """A training loop that writes a file and reports twice, the second time only once the first was heard of."""
    values = [start / (epoch + 1) for epoch in range(2)]
    for epoch, value in enumerate(values):
        report({"epoch": epoch, "loss": value})
        given_up = time.monotonic() + 120
        while not Path(heard).exists():
            if time.monotonic() > given_up:
                raise RefusedError("nobody heard of the first epoch")
            time.sleep(0.1)
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    (Path(out_dir) / "weights").write_text(str(values))
    return Result(pa.table({"loss": values}), {"best": min(values)})


class RefusedError(RuntimeError):
    """What a loop of this package says itself."""


def refusing_loop(out_dir, report):
    """A training loop that counts its tries and refuses to go on."""
    tries = Path(out_dir).parent / "tries"
    tries.write_text(tries.read_text() + "1" if tries.exists() else "1")
    raise RefusedError("The loss is nan: lower the rate.")


def failing_loop(out_dir, report):
    """A training loop that ends with an error of somebody else's, however often it is started."""
    tries = Path(out_dir).parent / "tries"
    tries.write_text(tries.read_text() + "1" if tries.exists() else "1")
    raise OSError("the disk is gone")


def train_watched(images, segmentations, hierarchy_table, config, out_dir, notes, deadly, report, pause_s=0.0):
    """GeoSURGE's training, noting the epoch of each batch ahead of it; rank 1 kills itself once, after `deadly`."""
    from torch import distributed

    from geo_pipeline_tests.geosurge.tiny_geosurge import train_watched as train_geosurge

    rank = distributed.get_rank()
    note = Path(notes) / f"rank-{rank}-{os.getpid()}"

    def before(epoch):
        time.sleep(pause_s)
        mark, done = Path(notes) / "killed", note.read_text().split() if note.exists() else []
        if rank == 1 and len(done) == deadly and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        note.write_text(" ".join([*done, str(epoch)]))

    return train_geosurge((images[0], segmentations[0], hierarchy_table), config, Path(out_dir), report, before)


def tiny_training(folder, clip, notes, **more):
    """Arguments of `train_watched` for a training of nine batches in three epochs, a state after each."""
    from geo_pipeline_tests.geosurge import tiny_geosurge

    files = tiny_geosurge.write_tables(folder)
    config = tiny_geosurge.config(clip, lanes=2, max_epochs=3, checkpoint_steps=1)
    return {
        "images": [files[0]],
        "segmentations": [files[1]],
        "hierarchy_table": files[2],
        "config": config,
        "notes": notes,
        "deadly": None,
        **more,
    }
