"""The home: one folder with all that a run keeps.

Every table, manifest, checkpoint and report lies there with its fingerprint and content hash.

Everything is written beside its place and renamed, so a reader sees a whole artifact or none. A table that comes out
as it was keeps its file; only its new fingerprint is noted beside it. Tables pass their contract on write and on read.
What a disk or a hand has damaged counts as missing and is named in a warning, so the next run makes it again.
The DuckDB file over the tables belongs to views.py, what has to be made belongs to lineage.py.
"""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geo_pipeline.contracts.contract import load
from geo_pipeline.home.artifact import ALL, Artifact, checkpoint, manifest, table

LOG = logging.getLogger(__name__)
MARKER = "fingerprint.json"
RESUME_FOLDER = "last"
LOGS_FOLDER = "tensorboard"
"""Event files in a checkpoint. They hold times and host names, so they are no part of its content."""
CONFIRMED = ".confirmed"
ROW_GROUP_ROWS = 2**20
BINARY_ROW_GROUP_ROWS = 512
"""Rows of a row group where rows hold pictures: a reader then needs memory for these, not for the whole shard."""


class MissingArtifactError(RuntimeError):
    """Something that a stage reads is not in the home, or is not what was expected there."""


@dataclass(frozen=True)
class Stored:
    """What is known of a stored artifact without reading it: `rows` counts table rows, or listed shards, or files."""

    fingerprint: str
    content_hash: str
    rows: int


class Home:
    """The folder of one run. Safe to move: nothing inside it names its own place."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self._forget()

    def _forget(self) -> None:
        self._known: dict[Artifact, tuple[tuple[int, ...], Stored | None]] = {}
        self._damage: dict[Artifact, str] = {}
        self._markers: dict[Artifact, tuple[str, ...]] = {}

    def __getstate__(self) -> dict[str, object]:
        """What a worker in another process is sent: everything but what this process remembers of the files."""
        return {name: value for name, value in vars(self).items() if name not in ("_known", "_damage", "_markers")}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._forget()

    # Places

    def place(self, artifact: Artifact) -> Path:
        """Where an artifact lies."""
        if artifact.kind == "table":
            return self.root / "tables" / artifact.name / f"{artifact.key}.parquet"
        if artifact.kind == "manifest":
            return self.root / "manifests" / f"{artifact.name}.json"
        folder = self.root / ("checkpoints" if artifact.kind == "checkpoint" else "reports") / artifact.name
        return folder if artifact.key == ALL else folder / artifact.key

    def building_place(self, artifact: Artifact, fingerprint: str) -> Path:
        """The folder in which a checkpoint or report is being made; it survives a kill, so training resumes there."""
        name = artifact.name if artifact.key == ALL else f"{artifact.name}-{artifact.key}"
        return self.root / "building" / f"{name}-{fingerprint[:16]}"

    # What is there

    def stored(self, artifact: Artifact) -> Stored | None:
        """Fingerprint, content hash and size of an artifact; None when it is not there or damaged.

        A file is opened once, and a damaged one told once.
        """
        if artifact not in self._markers:
            place = self.place(artifact)
            marker = str(place if artifact.kind in ("table", "manifest") else place / MARKER)
            self._markers[artifact] = (marker, _confirmation(marker)) if artifact.kind == "table" else (marker,)
        places = self._markers[artifact]
        state = tuple(part for place in places for part in _file_state(place))
        known = self._known.get(artifact)
        if known is None or known[0] != state:
            known = (state, self._read_stored(artifact, places[0]) if state[0] else None)
            self._known[artifact] = known
        return known[1]

    def _read_stored(self, artifact: Artifact, place: str) -> Stored | None:
        self._damage.pop(artifact, None)
        read = {"table": _stored_table, "manifest": _stored_manifest}.get(artifact.kind, _stored_folder)
        try:
            with _telling_damage(place):
                return read(place)
        except _DamagedFileError as error:
            self._damage[artifact] = str(error)
            LOG.warning("%s: it counts as missing, and the next run makes %s again", error, artifact.label())
            return None

    def damage(self, artifact: Artifact) -> str | None:
        """Which file of an artifact cannot be read, and why; None when it is whole or not there at all."""
        return self._damage.get(artifact) if self.stored(artifact) is None else None

    def version(self, artifact: Artifact) -> str | None:
        """Content hash of an artifact; None when it is not there."""
        stored = self.stored(artifact)
        return stored.content_hash if stored else None

    # Tables

    def read_table(
        self,
        name: str,
        key: str,
        columns: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read one key of a table through its contract: all columns or some, all rows or those of some image ids."""
        artifact = table(name, key)
        self.opened(artifact)
        found = self._read_parquet(artifact, columns, ids)
        if columns is None:
            return load(name).conform(found)
        expected = load(name).arrow_schema
        for column in found.schema:
            if column.type != expected.field(column.name).type:
                raise MissingArtifactError(
                    f"found {artifact.label()} column {column.name} as {column.type}, expected "
                    f"{expected.field(column.name).type}; "
                    f"delete {self.place(artifact).relative_to(self.root)} and run again"
                )
        return found

    def write_table(self, name: str, key: str, data: pa.Table, fingerprint: str) -> Stored:
        """Conform to the contract, write beside, rename. The same rows and fingerprint always give the same bytes.

        Where the home holds the very same rows already, the file stays untouched and the fingerprint is noted beside.
        """
        place = self.place(table(name, key))
        conformed = load(name).conform(data).combine_chunks()
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = _beside(place)
        pictures = any(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) for kind in conformed.schema.types)
        with beside.open("wb") as handle:
            sink = _HashingSink(handle)
            with pq.ParquetWriter(sink, conformed.schema, compression="zstd") as writer:
                writer.write_table(conformed, BINARY_ROW_GROUP_ROWS if pictures else ROW_GROUP_ROWS)
                content = sink.hexdigest(str(conformed.schema))
                writer.add_key_value_metadata({"fingerprint": fingerprint, "content_hash": content})
            handle.flush()
            os.fsync(handle.fileno())
        confirmation = Path(_confirmation(str(place)))
        before = self.stored(table(name, key))
        if before is not None and before.content_hash == content:
            beside.unlink()
            if before.fingerprint != fingerprint:
                _write_beside(confirmation, f"{content} {fingerprint}")
        else:
            beside.replace(place)
            confirmation.unlink(missing_ok=True)
        return Stored(fingerprint, content, conformed.num_rows)

    def first_rows(self, artifact: Artifact, rows: int) -> pa.Table:
        """The first rows of a table as they lie in the home, for a preview; reads no more than it must."""
        with self._reading(artifact) as place, pq.ParquetFile(place) as file:
            batch = next(file.iter_batches(batch_size=rows), None)
            return pa.table(batch) if batch is not None else file.schema_arrow.empty_table()

    def examined(self, artifact: Artifact) -> pa.Table:
        """A table as it lies in the home, for checks and previews.

        Not through its contract, and not counted as a read of the lineage.
        """
        return self._read_parquet(artifact, None, None)

    def examined_column(self, name: str, key: str, column: str) -> list[object]:
        """One column of a table, for checks and previews."""
        values: list[object] = self._read_parquet(table(name, key), [column], None)[column].to_pylist()
        return values

    # Manifests

    def read_manifest(self, name: str) -> dict[str, str]:
        """The shards that a manifest lists, with the content hash that each had."""
        artifact = manifest(name)
        self.opened(artifact)
        with self._reading(artifact) as place:
            return dict(json.loads(place.read_text())["shards"])

    def write_manifest(self, name: str, shards: Mapping[str, str], fingerprint: str) -> Stored:
        """Write the list of shards with their content hashes."""
        place = self.place(manifest(name))
        content = hashlib.sha256(json.dumps(dict(shards), sort_keys=True).encode()).hexdigest()[:32]
        place.parent.mkdir(parents=True, exist_ok=True)
        known = {"fingerprint": fingerprint, "content_hash": content, "rows": len(shards), "shards": dict(shards)}
        _write_beside(place, json.dumps(known, indent=1))
        return Stored(fingerprint, content, len(shards))

    # Folders: checkpoints and reports

    def checkpoint(self, name: str, key: str = ALL) -> Path:
        """The folder of a finished checkpoint."""
        artifact = checkpoint(name, key)
        self.opened(artifact)
        with self._reading(artifact) as marker:
            _stored_folder(str(marker))
            return marker.parent

    def finished_building(self, artifact: Artifact, fingerprint: str) -> bool:
        """Whether a folder was made to its end but not yet put in its place (a run killed in between)."""
        marker = self.building_place(artifact, fingerprint) / MARKER
        try:
            with _telling_damage(str(marker)):
                return marker.is_file() and _stored_folder(str(marker)).fingerprint == fingerprint
        except _DamagedFileError:
            return False

    def commit_folder(self, artifact: Artifact, fingerprint: str) -> Stored:
        """Mark the built folder as whole and swap it into its place; the one that was there is removed."""
        built, place = self.building_place(artifact, fingerprint), self.place(artifact)
        if not self.finished_building(artifact, fingerprint):
            shutil.rmtree(built / RESUME_FOLDER, ignore_errors=True)
            content, count = _folder_content(built)
            known = {"fingerprint": fingerprint, "content_hash": content, "rows": count}
            _write_beside(built / MARKER, json.dumps(known, indent=1))
        place.parent.mkdir(parents=True, exist_ok=True)
        retired = place.with_name(f".{place.name}.retired")
        shutil.rmtree(retired, ignore_errors=True)
        if place.exists():
            place.rename(retired)
        built.rename(place)
        shutil.rmtree(retired, ignore_errors=True)
        known_now = self.stored(artifact)
        if known_now is None:
            raise MissingArtifactError(
                f"found no marker in {place.name} after writing it; is another run writing to this home?"
            )
        return known_now

    def opened(self, artifact: Artifact) -> None:
        """Called with every artifact that is read; a recording home overrides it to see what is really read."""

    def _read_parquet(self, artifact: Artifact, columns: Sequence[str] | None, ids: Sequence[str] | None) -> pa.Table:
        condition = None if ids is None else pc.field("image_id").isin(pa.array(list(ids), pa.string()))
        with self._reading(artifact) as place:
            return pq.read_table(
                place, columns=None if columns is None else list(columns), filters=condition, partitioning=None
            )

    @contextmanager
    def _reading(self, artifact: Artifact) -> Iterator[Path]:
        """The file of an artifact, or its marker. Raises MissingArtifactError when it is not there or damaged."""
        place = self.place(artifact)
        if artifact.kind in ("checkpoint", "report"):
            place /= MARKER
        if not place.is_file():
            what = f"{artifact.kind} " if artifact.kind == "checkpoint" else ""
            raise MissingArtifactError(
                f"found no {what}{artifact.label()}, expected it in the home; materialize `{artifact.name}` first"
            )
        try:
            with _telling_damage(str(place)):
                yield place
        except _DamagedFileError as error:
            raise MissingArtifactError(
                f"found that {error}, expected {artifact.label()} whole; delete this file and materialize "
                f"`{artifact.name}` again (or everything: `geo-pipeline run`)"
            ) from error


class _DamagedFileError(ValueError):
    """A file is there and is not what was written."""


@contextmanager
def _telling_damage(place: str) -> Iterator[None]:
    """Turn what a reader says of a damaged file into _DamagedFileError.

    An error of the system (no permission, a disk that is gone) stays what it is: the file may be whole.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError, pa.ArrowNotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _DamagedFileError(f"{place} is damaged ({' '.join(str(error).split())})") from error


class _HashingSink:
    """A file that hashes what is written to it. Not a codec: bytes pass through unchanged."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._hash = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self._handle.write(data)
        return len(data)

    def flush(self) -> None:
        self._handle.flush()

    def close(self) -> None:
        self.closed = True

    def hexdigest(self, schema: str) -> str:
        final = self._hash.copy()
        final.update(schema.encode())
        return final.hexdigest()[:32]


def _file_state(place: str) -> tuple[int, ...]:
    """What changes when a file is replaced; zeros when there is none."""
    try:
        status = os.stat(place)  # noqa: PTH116 - asked tens of thousands of times; a Path costs more than the answer
    except (FileNotFoundError, NotADirectoryError):
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _confirmation(place: str) -> str:
    """Where the later fingerprint of a table stands that came out as it was: beside it."""
    folder, name = os.path.split(place)
    return f"{folder}/.{name}{CONFIRMED}"


def _stored_table(place: str) -> Stored | None:
    footer = pq.read_metadata(place)
    known = footer.metadata or {}
    if b"fingerprint" not in known or b"content_hash" not in known:
        return None
    fingerprint, content = known[b"fingerprint"].decode(), known[b"content_hash"].decode()
    confirmation = Path(_confirmation(place))
    if confirmation.is_file():
        confirmed_content, _, later = confirmation.read_text(errors="replace").partition(" ")
        fingerprint = later if confirmed_content == content else fingerprint
    return Stored(fingerprint, content, footer.num_rows)


def _stored_manifest(place: str) -> Stored:
    dict(json.loads(Path(place).read_text())["shards"])
    return _stored_folder(place)


def _stored_folder(marker: str) -> Stored:
    known = json.loads(Path(marker).read_text())
    return Stored(known["fingerprint"], known["content_hash"], known["rows"])


def _folder_content(folder: Path) -> tuple[str, int]:
    hasher, count = hashlib.sha256(), 0
    files = (item for item in folder.rglob("*") if item.is_file() and item.name != MARKER)
    for path in sorted(item for item in files if item.relative_to(folder).parts[0] != LOGS_FOLDER):
        hasher.update(f"{path.relative_to(folder).as_posix()}:{path.stat().st_size}:".encode())
        with path.open("rb") as handle:
            while piece := handle.read(2**20):
                hasher.update(piece)
        count += 1
    return hasher.hexdigest()[:32], count


def _beside(place: Path) -> Path:
    """A new name beside a file. Processes of several machines may write the same file, so their ids are not enough."""
    return place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}.part")


def _write_beside(place: Path, text: str) -> None:
    beside = _beside(place)
    beside.write_text(text)
    beside.replace(place)
