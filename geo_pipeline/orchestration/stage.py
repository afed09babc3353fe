"""A stage of the lineage: what it is called, what it reads, what it writes, and the function that makes it.

No Dagster here.

The stages themselves stand in assets/, the graph over them in lineage.py, their Dagster side in definition.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.home.artifact import ALL, Artifact, manifest, table
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.methods.joining import with_column
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.code_versions import code_version
from geo_pipeline.profiles.profile import Profile

if TYPE_CHECKING:
    from geo_pipeline.compute.compute import Compute

Metadata = Mapping[str, object]
GALLERY_COLUMNS = ("image_id", "author", "lat_deg", "lon_deg", "sha256", "phash")


@dataclass(frozen=True)
class Made:
    """What a stage made for one key: its tables, or a manifest; a folder stage has written its folder.

    `notes` go to the asset's metadata.
    """

    key: str
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    shards: Mapping[str, str] | None = None
    notes: Metadata = field(default_factory=dict)


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


class Step:
    """One execution of a stage.

    Its view of the home (the interface `methods.method.Reads`), and the place where it computes.
    """

    def __init__(
        self,
        stage: Stage,
        profile: Profile,
        home: Home,
        compute: "Compute",
        fingerprints: Mapping[str, str],
        log: Callable[[str], None],
    ) -> None:
        self.stage = stage
        self.profile = profile
        self.home = home
        self.compute = compute
        self.log = log
        self._fingerprints = fingerprints

    def table(self, name: str, key: str = ALL, columns: Sequence[str] | None = None) -> pa.Table:
        """One key of a table, all columns (checked against the contract) or some."""
        return self.home.read_table(name, key, columns)

    def path(self, name: str, key: str = ALL) -> Path:
        """The file of one key of a table, for a loop that reads it itself."""
        artifact = table(name, key)
        self.home.opened(artifact)
        place = self.home.place(artifact)
        if not place.is_file():
            raise MissingArtifactError(
                f"found no {artifact.label()}, expected it in the home; materialize `{name}` first"
            )
        self.home.verify(artifact)
        return place

    def predictions(self, method: str, query_set: str) -> pa.Table:
        """A method's answers to a query set."""
        return self.table("predictions", f"{method}/{query_set}")

    def checkpoint(self, name: str, key: str = ALL) -> Path:
        """The folder of a finished checkpoint."""
        return self.home.checkpoint(name, key)

    def building(self, key: str = ALL) -> Path:
        """The folder in which this stage makes the checkpoint or report of a key.

        Kept after a kill, so that training resumes.
        """
        place = self.home.building_place(self.stage.outputs(key)[0], self._fingerprints[key])
        place.mkdir(parents=True, exist_ok=True)
        return place

    def listed(self, manifest_name: str, table_name: str) -> list[str]:
        """The keys of a table that a manifest lists.

        Raises when one of them is not what it was when the manifest was made.
        """
        keys = []
        for label, version in self.home.read_manifest(manifest_name).items():
            name, _, key = label.partition("/")
            if name == table_name:
                if self.home.version(table(name, key)) != version:
                    raise MissingArtifactError(
                        f"{manifest_name} lists another version of {name} [{key}] than the home holds; "
                        f"materialize `{manifest_name}` again"
                    )
                keys.append(key)
        return keys

    def listed_paths(self, manifest_name: str, table_name: str) -> list[Path]:
        """The files of a table that a manifest lists."""
        return [self.path(table_name, key) for key in self.listed(manifest_name, table_name)]

    def reference_features(self) -> pa.Table:
        """The reference gallery: image_id, author, lat_deg, lon_deg, sha256, phash, feature."""
        parts = []
        self.listed("reference_gallery", "images")
        for key in self.listed("reference_gallery", "features"):
            images = self.table("images", key, GALLERY_COLUMNS)
            parts.append(with_column(images, self.table("features", key), "feature"))
        return pa.concat_tables(parts).combine_chunks()

    def reference_images(self, image_ids: Sequence[str]) -> pa.Table:
        """image_id and jpeg of some reference images."""
        parts = [
            self.home.read_table("images", key, ["image_id", "jpeg"], ids=image_ids)
            for key in self.listed("image_manifest", "images")
        ]
        return pa.concat_tables(parts)


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


def in_batches(data: pa.Table, rows: int) -> Iterator[pa.Table]:
    """A table in pieces of `rows`; nothing for an empty one."""
    for start in range(0, data.num_rows, rows):
        yield data.slice(start, rows).combine_chunks()


def mapped_shards(
    step: Step,
    keys: Sequence[str],
    read: Callable[[str], pa.Table],
    worker: str,
    kwargs: Mapping[str, object],
    compute: "Compute | None" = None,
    batch_rows: int | None = None,
    on_cpu: bool = False,
) -> Iterator[tuple[str, list[pa.Table]]]:
    """Send all shards through one pool of workers, batch by batch (of `batch_rows`, else as the place has it).

    `on_cpu` is for workers that run no network. Give each shard's results as soon as its last batch is done.
    """
    place = compute or step.compute
    size = batch_rows or place.config.batch_rows
    owners: list[tuple[str, bool]] = []

    def batches() -> Iterator[pa.Table]:
        for key in keys:
            rows = read(key)
            for number, piece in enumerate(in_batches(rows, size), 1):
                owners.append((key, number * size >= rows.num_rows))
                yield piece

    waiting = list(keys)
    parts: list[pa.Table] = []
    for number, result in enumerate(place.map_batches(worker, kwargs, batches(), on_cpu)):
        key, last = owners[number]
        while waiting[0] != key:  # shards without a row
            yield waiting.pop(0), []
        parts.append(result)
        if last:
            yield waiting.pop(0), parts
            parts = []
    for key in waiting:
        yield key, []
