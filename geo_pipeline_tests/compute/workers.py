"""Workers and a training loop for tests of where work runs."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


class PidWorker:
    """Squares numbers and notes in which process it was loaded; meeting `deadly`, it kills itself so many times."""

    def __init__(self, folder, deadly=None, deaths=1, pause_s=0.0):
        self.folder, self.deadly, self.deaths, self.pause_s = Path(folder), deadly, deaths, pause_s
        with (self.folder / f"pid-{os.getpid()}").open("a") as loads:
            loads.write("loaded\n")

    def __call__(self, rows):
        time.sleep(self.pause_s)
        values = rows["x"].to_pylist()
        dead = len(list(self.folder.glob("killed-*")))
        if self.deadly in values and dead < self.deaths:
            (self.folder / f"killed-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return pa.table({"x": values, "square": [value * value for value in values]})


class Refusing:
    """Raises at a number it does not like, or when it is made."""

    def __init__(self, folder, at_once=False):
        if at_once:
            raise FileNotFoundError("no weights here")

    def __call__(self, rows):
        if 7 in rows["x"].to_pylist():
            raise ValueError("seven is not allowed")
        return rows


class Silent:
    """Never answers."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, rows):
        (self.folder / "asked").touch()
        time.sleep(600)


def loads(folder):
    """How often a worker was loaded, per process."""
    return {int(path.name[4:]): path.read_text().count("loaded") for path in Path(folder).glob("pid-*")}


@dataclass
class Result:
    curves: pa.Table
    metrics: dict


def loop(start, out_dir, report):
    """A training loop that writes a file and says two things."""
    values = [start / (epoch + 1) for epoch in range(2)]
    for epoch, value in enumerate(values):
        report({"epoch": epoch, "loss": value})
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


def train_watched(images, segmentations, hierarchy_table, config, out_dir, notes, deadly, report):
    """GeoSURGE's training, noting the epoch of each batch ahead of it; rank 1 kills itself once, after `deadly`."""
    from torch import distributed

    from geo_pipeline_tests.geosurge.tiny_geosurge import train_watched as train_geosurge

    rank = distributed.get_rank()
    note = Path(notes) / f"rank-{rank}-{os.getpid()}"

    def before(epoch):
        mark, done = Path(notes) / "killed", note.read_text().split() if note.exists() else []
        if rank == 1 and len(done) == deadly and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        note.write_text(" ".join([*done, str(epoch)]))

    return train_geosurge((images[0], segmentations[0], hierarchy_table), config, Path(out_dir), report, before)
