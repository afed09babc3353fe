"""Time and memory of each asset of a run: peak of the run's processes together, pages that they share counted once."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from geo_pipeline.commands.run import ProgressDisplay
from geo_pipeline.orchestration.recipe import Asset

EVERY_S = 2.0


@dataclass(frozen=True)
class Cost:
    """What one asset took: shards and rows made, seconds, and the most memory of all processes at one time, in MiB."""

    asset: str
    shards: int
    rows: int
    seconds: float
    peak_mib: float


class MeasuredDisplay(ProgressDisplay):
    """The progress of a run, with a thread that looks at the memory of its processes."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.costs: list[Cost] = []
        self._peak = 0.0
        self._began = time.perf_counter()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="memory", daemon=True).start()

    def asset_begins(self, asset: Asset, keys: Sequence[str]) -> None:
        """See Progress."""
        super().asset_begins(asset, keys)
        self._peak, self._began = memory_mib(), time.perf_counter()

    def asset_ends(self, asset: Asset, seconds: float) -> None:
        """See Progress."""
        super().asset_ends(asset, seconds)
        peak = max(self._peak, memory_mib())
        self.costs.append(Cost(asset.name, self.needed, self.rows, round(seconds, 1), round(peak)))

    def close(self) -> None:
        """End the thread."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._peak = max(self._peak, memory_mib())


def memory_mib() -> float:
    """Memory of this process and all below it in MiB; a page that several share counts as its part for each."""
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:  # it has ended
            continue
    return total / 2**20
