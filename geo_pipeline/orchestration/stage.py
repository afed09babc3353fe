"""A stage of the lineage: what it is called, what it reads, what it writes, and the function that makes it.

No Dagster here.

The stages themselves stand in assets/, the graph over them in lineage.py, their Dagster side in definition.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from geo_pipeline.compute.shard_job import TableJob
from geo_pipeline.home.artifact import ALL, Artifact, manifest, table
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.code_versions import code_version
from geo_pipeline.profiles.profile import Profile

if TYPE_CHECKING:
    from geo_pipeline.compute.compute import Compute

Metadata = Mapping[str, object]


@dataclass(frozen=True)
class Made:
    """What a stage made for one key: its tables, or a manifest; a folder stage has written its folder.

    `notes` go to the asset's metadata. `written`: the tables lie in the home already.
    """

    key: str
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    shards: Mapping[str, str] | None = None
    notes: Metadata = field(default_factory=dict)
    written: bool = False


@dataclass(frozen=True)
class Stage:
    """One asset.

    - `keys`: its shards, or ("all",) when it is not partitioned; `partitioned` says which.
    - `inputs(key)`, `outputs(key)`: the artifacts it reads and writes; the first output carries the commit and is
      written last.
    - `rooms`, `settings`: the modules and the configuration that decide its bytes; they make its code version.
    - `outside()`: digest of what it reads from outside the home (the listing of the photographs), else None. It stands
      in the fingerprint of every key; a key that comes out as it was keeps its file (storage.py).
    - `make(step, keys)`: yields one Made per key, in the order of the keys, as soon as each is done.
    - `on_demand`: only made when somebody asks for it by name or by its job; a plain run passes it over.
    """

    name: str
    title: str
    description: str
    group: str
    kinds: tuple[str, ...]
    keys: tuple[str, ...]
    partitioned: bool
    inputs: Callable[[str], tuple[Artifact, ...]]
    outputs: Callable[[str], tuple[Artifact, ...]]
    make: Callable[["Step", Sequence[str]], Iterator[Made]]
    rooms: tuple[str, ...]
    settings: object = None
    outside: Callable[[], str] | None = None
    heavy: bool = False
    on_demand: bool = False

    @cached_property
    def code_version(self) -> str:
        """Changes when the code or the settings that decide this stage's bytes change."""
        return code_version((*self.rooms, "home.home"), self.settings, self.make)

    def version(self, home: Home, key: str) -> str | None:
        """Content hash over everything this stage wrote for the key; None when something of it is not there."""
        return self.joined_version([home.version(output) for output in self.outputs(key)])

    @staticmethod
    def joined_version(versions: Sequence[str | None]) -> str | None:
        """One version of several outputs."""
        if any(version is None for version in versions):
            return None
        return versions[0] if len(versions) == 1 else "-".join(str(version)[:16] for version in versions)


class Step(HomeReads[Profile]):
    """One execution of a stage: its view of the home, and where it computes."""

    def __init__(
        self,
        stage: Stage,
        profile: Profile,
        home: Home,
        compute: "Compute",
        fingerprints: Mapping[str, str],
        log: Callable[[str], None],
    ) -> None:
        super().__init__(home, profile)
        self.stage = stage
        self.compute = compute
        self.log = log
        self._fingerprints = fingerprints

    def building(self, key: str = ALL) -> Path:
        """The folder in which this stage makes the checkpoint or report of a key.

        Kept after a kill, so that training resumes.
        """
        place = self.home.building_place(self.stage.outputs(key)[0], self._fingerprints[key])
        place.mkdir(parents=True, exist_ok=True)
        return place

    def job(
        self,
        keys: Sequence[str],
        worker: Callable[..., Any],
        read: Callable[[HomeReads[Profile], str], pa.Table],
        arguments: Callable[[HomeReads[Profile]], Mapping[str, object]],
        **options: Any,
    ) -> TableJob:
        """The job that makes the tables of these keys; `options` are those of TableJob."""
        config = self.profile.compute
        settings = {"batch_rows": config.batch_rows, "torch_threads": config.torch_threads} | options
        outputs = {key: self.stage.outputs(key) for key in keys}
        return TableJob(self.home, self.profile, worker, read, arguments, outputs, self._fingerprints, **settings)


def same_key(*names: str) -> Callable[[str], tuple[Artifact, ...]]:
    """Inputs or outputs that have the stage's own key: one table of each name."""
    return lambda key: tuple(table(name, key) for name in names)


def prediction(method: Method, query_set: str) -> Artifact:
    """The artifact of a method's answers to a query set."""
    return table("predictions", f"{method.name}/{query_set}")


def manifest_stage(
    name: str,
    title: str,
    description: str,
    group: str,
    tables: tuple[str, ...],
    shards: tuple[str, ...],
    more: tuple[Artifact, ...] = (),
) -> Stage:
    """A cheap unpartitioned stage that lists the versions of many shards.

    What needs them all then depends on one asset.

    (Dagster never marks an unpartitioned asset stale that has 100 or more upstream partitions.)
    """
    inputs = (*(table(each, key) for each in tables for key in shards), *more)

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        listed = {}
        for artifact in inputs:
            step.home.opened(artifact)
            version = step.home.version(artifact)
            if version is None:
                raise MissingArtifactError(
                    f"found no {artifact.label()}, expected it in the home; materialize `{artifact.name}` first"
                )
            listed[f"{artifact.name}/{artifact.key}"] = version
        yield Made(ALL, shards=listed, notes={"shards": len(listed)})

    return Stage(
        name=name,
        title=title,
        description=description,
        group=group,
        kinds=("json",),
        keys=(ALL,),
        partitioned=False,
        inputs=lambda key: inputs,
        outputs=lambda key: (manifest(name),),
        make=make,
        rooms=(),
    )


def written_shards(
    step: Step, job: TableJob, keys: Sequence[str], compute: "Compute | None" = None, on_cpu: bool = False
) -> Iterator[Made]:
    """Do a job that writes its shards itself, on `compute` or on the step's own; each shard as soon as it is done."""
    for key, notes in (compute or step.compute).map_shards(job, keys, on_cpu):
        yield Made(key, written=True, notes={name: value for name, value in notes.items() if name != "rows"})
