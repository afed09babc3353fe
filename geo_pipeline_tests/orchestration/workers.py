"""Workers and a training loop for tests of where work runs."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


class PidWorker:
    """Squares numbers and says in which process; meeting `deadly`, it kills itself once."""

    def __init__(self, folder, deadly=None, pause_s=0.0):
        self.folder, self.deadly, self.pause_s = Path(folder), deadly, pause_s
        (self.folder / f"pid-{os.getpid()}").touch()

    def __call__(self, rows):
        time.sleep(self.pause_s)
        values = rows["x"].to_pylist()
        mark = self.folder / "killed"
        if self.deadly in values and not mark.exists():
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return pa.table({"x": values, "square": [value * value for value in values]})


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
