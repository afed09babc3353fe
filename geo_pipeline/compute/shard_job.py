"""The job of an asset whose shards are tables: read a shard from the home, run a worker over it, write it to the home.

Where it runs belongs to in_process.py and ray.py. The same rows are cut into the same batches everywhere, so the bytes
do not depend on where that is.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from geo_pipeline.compute.compute import Notes, set_threads
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.artifact import Artifact
from geo_pipeline.home.home import Home
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.imagery.ahead import Ahead
from geo_pipeline.profiles.profile import Profile

Worker = Callable[[pa.Table], pa.Table]
Tables = Mapping[str, pa.Table]


@runtime_checkable
class PreparingWorker(Protocol):
    """A worker whose calls have two halves, so that a thread can read and decode ahead of the network."""

    def prepare(self, batch: pa.Table) -> Any:
        """What `compute` needs of a batch, on the CPU. Called in threads beside it: see `Ahead`."""
        ...

    def compute(self, prepared: Any) -> pa.Table:
        """The results of a prepared batch, one after the other and in order."""
        ...


@dataclass(frozen=True)
class TableJob:
    """Tables from tables, shard by shard. Functions and classes in it are sent by name: define them in modules.

    - `read(reads, key)`: the rows of a shard, read where the worker runs; `arguments(reads)`: the arguments of
      `worker`, made there too, once in each process, at its first row.
    - `outputs[key]`: the tables to write; the first is written last and says that the shard is done.
      `fingerprints[key]` is written with them.
    - `batch_rows`: rows that the worker gets at once; `ahead`: batches that are prepared ahead, each in a thread of its
      own, by a worker that has `prepare` and `compute`.
    - `network`: the worker imports torch only where it is made, so torch gets its `torch_threads` (CPU threads) ahead
      of that. Where the worker's module has imported torch it gets them anyway.
    - `finish(rows, parts)`: the tables of a shard from the rows that were read and the results of its batches; by
      default the results are the only table. `notes(tables)`: what to report of a shard besides its rows.
    """

    home: Home
    profile: Profile
    worker: Callable[..., Worker | PreparingWorker]
    read: Callable[[HomeReads[Profile], str], pa.Table]
    arguments: Callable[[HomeReads[Profile]], Mapping[str, object]]
    outputs: Mapping[str, tuple[Artifact, ...]]
    fingerprints: Mapping[str, str]
    batch_rows: int
    network: bool = False
    torch_threads: int = 1
    ahead: int = 2
    finish: Callable[[pa.Table, list[pa.Table]], Tables] | None = None
    notes: Callable[[Tables], Notes] | None = None

    @property
    def name(self) -> str:
        """What messages call it: the worker's name."""
        return getattr(self.worker, "__name__", repr(self.worker))

    def open(self) -> "OpenTableJob":
        """The job in this process."""
        return OpenTableJob(self)


@dataclass
class OpenTableJob:
    """A job in the process that works on it; it loads its worker once, however many the shards."""

    job: TableJob
    batches_done: int = field(default=0, init=False)

    def __call__(self, key: str) -> Notes:
        """Read, compute and write one shard. Raises what reading, the worker or a contract raises."""
        job, written = self.job, self.job.outputs[key]
        rows = job.read(self._reads, key)
        parts = list(self._results(rows))
        if job.finish is not None:
            tables = job.finish(rows, parts)
        else:
            tables = {written[0].name: pa.concat_tables(parts) if parts else load(written[0].name).empty()}
        for artifact in reversed(written):
            job.home.write_table(artifact.name, artifact.key, tables[artifact.name], job.fingerprints[key])
        notes = {} if job.notes is None else dict(job.notes(tables))
        return {"rows": tables[written[0].name].num_rows, **notes}

    @cached_property
    def _reads(self) -> HomeReads[Profile]:
        return HomeReads(self.job.home, self.job.profile)

    @cached_property
    def _worker(self) -> Worker | PreparingWorker:
        if self.job.network or "torch" in sys.modules:
            set_threads(self.job.torch_threads)
        return self.job.worker(**self.job.arguments(self._reads))

    @cached_property
    def _ahead(self) -> Ahead:
        return Ahead(self.job.ahead)

    def _results(self, rows: pa.Table) -> Iterator[pa.Table]:
        batches = in_batches(rows, self.job.batch_rows)
        if not rows.num_rows:
            return
        worker = self._worker
        if isinstance(worker, PreparingWorker):
            results = (worker.compute(prepared) for prepared in self._ahead.made(worker.prepare, batches))
        else:
            results = (worker(batch) for batch in batches)
        for result in results:
            self.batches_done += 1
            yield result


def in_batches(data: pa.Table, rows: int) -> Iterator[pa.Table]:
    """A table in pieces of `rows`; nothing for an empty one."""
    for start in range(0, data.num_rows, rows):
        yield data.slice(start, rows).combine_chunks()
