"""What an asset's function reads, computes and writes with: an IO manager of Dagster has one partition at a time.

No Dagster here. Every shard that is written is committed at once; `done` is told of each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from geo_pipeline.compute.compute import Compute
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.compute.shard_job import TableJob
from geo_pipeline.home.artifact import Artifact
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.orchestration.partitions import ALL, Scope, Shards
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.profiles.profile import Profile

Notes = Mapping[str, object]
ShardReads = HomeReads[Profile]
Done = Callable[[str, Notes], None]


class Work(HomeReads[Profile]):
    """One execution of an asset's function: `keys` are what it has to make."""

    def __init__(
        self,
        asset: Asset,
        keys: Sequence[str],
        home: Home,
        compute: Compute,
        fingerprints: Mapping[str, str],
        done: Done = lambda key, notes: None,
        log: Callable[[str], None] = lambda line: None,
        epoch: Callable[[str, Mapping[str, Any]], None] = lambda key, row: None,
    ) -> None:
        super().__init__(home, asset.scope.profile)
        self.asset = asset
        self.keys = tuple(keys)
        self.compute = compute
        self.log = log
        self._fingerprints = fingerprints
        self._done = done
        self._epoch = epoch

    @property
    def scope(self) -> Scope:
        """Profile, shards and registries."""
        return self.asset.scope

    @property
    def shards(self) -> Shards:
        """The shards of the profile."""
        return self.scope.shards

    def write(self, key: str = ALL, notes: Notes | None = None, **tables: pa.Table) -> None:
        """Write and commit one key: its tables by name. What was built in `folder(key)` is committed with them.

        `notes` (numbers and words) go to the asset's metadata.
        """
        fingerprint = self._fingerprints[key]
        for artifact in reversed(self.asset.outputs(key)):
            if artifact.kind == "table":
                self.home.write_table(artifact.name, artifact.key, tables[artifact.name], fingerprint)
            else:
                self.home.commit_folder(artifact, fingerprint)
        self._done(key, notes or {})

    def folder(self, key: str = ALL) -> Path:
        """The folder in which the checkpoint or report of a key is built; it survives a kill."""
        folder = self.home.building_location(self.asset.outputs(key)[0], self._fingerprints[key])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def list_inputs(self) -> None:
        """Write a manifest of everything that the asset reads, and commit it."""
        listed = {}
        for artifact in (read.artifact for read in self.asset.inputs(ALL)):
            self.home.opened(artifact)
            version = self.home.version(artifact)
            if version is None:
                raise MissingArtifactError(
                    f"found no {artifact.label()}, expected it in the home; materialize `{artifact.name}` first"
                )
            listed[f"{artifact.name}/{artifact.key}"] = version
        self.home.write_manifest(self.asset.outputs(ALL)[0].name, listed, self._fingerprints[ALL])
        self._done(ALL, {"shards": len(listed)})

    def map_shards(
        self,
        worker: Callable[..., Callable[[pa.Table], pa.Table]],
        read: Callable[[ShardReads, str], pa.Table],
        arguments: Callable[[ShardReads], Mapping[str, object]],
        *,
        keys: Sequence[str] | None = None,
        finish: Callable[[pa.Table, list[pa.Table]], Mapping[str, pa.Table]] | None = None,
        notes: Callable[[Mapping[str, pa.Table]], Notes] | None = None,
        batch_rows: int | None = None,
        ahead: int = 2,
        on_cpu: bool = False,
        in_this_process: bool = False,
    ) -> None:
        """Make every key (or some) with a worker, where the work runs: it reads a shard there and writes it there.

        See compute.shard_job. `on_cpu`: the worker runs no network; `in_this_process`: it is too cheap to be sent away
        (torch, where it needs it, comes with its module).
        """
        wanted = self.keys if keys is None else tuple(keys)
        config = self.profile.compute
        job = TableJob(
            home=self.home,
            profile=self.profile,
            worker=worker,
            read=read,
            arguments=arguments,
            outputs={key: self.asset.outputs(key) for key in wanted},
            fingerprints={key: self._fingerprints[key] for key in wanted},
            batch_rows=batch_rows or config.batch_rows,
            network=not (on_cpu or in_this_process),
            torch_threads=config.torch_threads,
            ahead=ahead,
            finish=finish,
            notes=notes,
        )
        where = InProcessCompute(config) if in_this_process else self.compute
        for key, made in where.map_shards(job, wanted, on_cpu):
            self._done(key, {name: value for name, value in made.items() if name != "rows"})

    def train(self, loop: Callable[..., Any], key: str = ALL, **arguments: Any) -> None:
        """Run a training loop into the checkpoint of a key, write its curves, and commit both.

        A loop that was stopped goes on where it was.
        """

        def report(row: Mapping[str, Any]) -> None:
            self.log(("" if key == ALL else f"{key}: ") + epoch_line(row))
            self._epoch(key, row)

        training = self.compute.train(loop, {**arguments, "out_dir": self.folder(key)}, report)
        self.write(key, training.metrics, training_curves=training.curves)

    def read_all(self, name: str, keys: Iterable[str], columns: Sequence[str] | None = None) -> pa.Table:
        """Several keys of a table, one below the other."""
        return pa.concat_tables([self.table(name, key, columns) for key in keys])

    def inputs_of(self, key: str, table_name: str) -> list[Artifact]:
        """The declared inputs of a key that are keys of one table."""
        return [read.artifact for read in self.asset.inputs(key) if read.artifact.name == table_name]


def epoch_line(row: Mapping[str, object]) -> str:
    """What a training loop reported, as one line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
    )
