"""The home: one folder with all that a run keeps.

Every table, manifest, checkpoint and report lies there with its fingerprint and content hash.

Everything is written beside and renamed, so a reader sees a whole artifact or none. A table that comes out
as it was keeps its file; only its new fingerprint is noted beside it. Tables pass their contract on write and on read.
What a disk or a hand has damaged counts as missing and is named in a warning, so the next run makes it again.
The DuckDB file over the tables belongs to views.py, what has to be made belongs to lineage.py.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geo_pipeline.contracts.contract import load
from geo_pipeline.home import integrity
from geo_pipeline.home.artifact import ALL, Artifact, checkpoint, manifest, table
from geo_pipeline.home.by_id import rows_by_id
from geo_pipeline.home.halves import row_group_rows, writing_options
from geo_pipeline.home.integrity import SEAL, DamageError, Use, file_state
from geo_pipeline.home.writing import beside, write_whole
from geo_pipeline.training.folder import LAST, NO_CONTENT

LOG = logging.getLogger(__name__)
FORMAT = 1
"""The format of stored tables, manifests and markers, counted in every code version: raise it when bytes change."""
MARKER = "fingerprint.json"
_EARLIER_NO_CONTENT = {"tensorboard"}
"""What was no content of a checkpoint whose marker has no hash per file; today's stands in training.folder."""
_BEFORE_THE_SEAL = {b"fingerprint", b"content_hash", b"ARROW:schema"}
"""The keys in the footer of a table of an earlier version."""
CONFIRMED = ".confirmed"


class MissingArtifactError(RuntimeError):
    """Something that is to be read is not in the home, or is not what was expected there."""


@dataclass(frozen=True)
class Stored:
    """What is known of a stored artifact: `rows` counts table rows, or listed shards, or files."""

    fingerprint: str
    content_hash: str
    rows: int
    sealed: bool = True
    """Whether it carries a hash of its whole file; a table of an earlier version does not."""


class Home:
    """The folder of one run. Safe to move: nothing inside it names where it lies."""

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

    def location(self, artifact: Artifact) -> Path:
        """Where an artifact lies."""
        if artifact.kind == "table":
            return self.root / "tables" / artifact.name / f"{artifact.key}.parquet"
        if artifact.kind == "manifest":
            return self.root / "manifests" / f"{artifact.name}.json"
        folder = self.root / ("checkpoints" if artifact.kind == "checkpoint" else "reports") / artifact.name
        return folder if artifact.key == ALL else folder / artifact.key

    def building_location(self, artifact: Artifact, fingerprint: str) -> Path:
        """The folder in which a checkpoint or report is being made; it survives a kill, so training resumes there."""
        name = artifact.name if artifact.key == ALL else f"{artifact.name}-{artifact.key}"
        return self.root / "building" / f"{name}-{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}"

    # What is there

    def stored(self, artifact: Artifact) -> Stored | None:
        """Fingerprint, content hash and size of an artifact; None when it is not there or damaged.

        A file is opened once, and a damaged one logged once.
        """
        if artifact not in self._markers:
            location = self.location(artifact)
            marker = str(location if artifact.kind in ("table", "manifest") else location / MARKER)
            self._markers[artifact] = (marker, _confirmation(marker)) if artifact.kind == "table" else (marker,)
        locations = self._markers[artifact]
        state = tuple(part for location in locations for part in file_state(location))
        known = self._known.get(artifact)
        if known is None or known[0] != state:
            known = (state, self._read_stored(artifact, locations[0]) if state[0] else None)
            self._known[artifact] = known
        return known[1]

    def _read_stored(self, artifact: Artifact, location: str) -> Stored | None:
        self._damage.pop(artifact, None)
        try:
            with _telling_damage(location):
                return _read_marker(artifact, location, "look")
        except _DamagedFileError as error:
            self._damage[artifact] = str(error)
            LOG.warning("%s: it counts as missing, and the next run makes %s again", error, artifact.label())
            return None

    def verify(self, artifact: Artifact, use: Use = "whole") -> None:
        """Compare a file's bytes with its hash before they are used, once per process (integrity.py).

        Raises MissingArtifactError for what is not there or is not what was written.
        """
        with self._reading(artifact) as location:
            if artifact.kind == "table" and integrity.is_sound(str(location)):
                return
            if _read_marker(artifact, str(location), use) is None:
                raise DamageError(str(location), "its footer does not say what was written")

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
                    f"delete {self.location(artifact).relative_to(self.root)} and run again"
                )
        return found

    def write_table(self, name: str, key: str, data: pa.Table, fingerprint: str) -> Stored:
        """Conform to the contract, write beside, rename. The same rows and fingerprint always give the same bytes.

        Where the home holds the very same rows already, the file stays untouched and the fingerprint is noted beside.
        """
        location = self.location(table(name, key))
        conformed = load(name).conform(data).combine_chunks()
        location.parent.mkdir(parents=True, exist_ok=True)
        with beside(location) as part:
            content, sha256 = _write_parquet(part, conformed, fingerprint)
            confirmation = Path(_confirmation(str(location)))
            before = self.stored(table(name, key))
            if before is not None and before.content_hash == content and before.sealed:
                if before.fingerprint != fingerprint:
                    write_whole(confirmation, f"{content} {fingerprint}")
            else:
                integrity.stamp(str(part), sha256)
                part.replace(location)
                integrity.stamp(str(location), sha256)
                confirmation.unlink(missing_ok=True)
        return Stored(fingerprint, content, conformed.num_rows)

    def first_rows(self, artifact: Artifact, rows: int) -> pa.Table:
        """The first rows of a table as they lie in the home, for a preview; reads no more than it must."""
        self.verify(artifact, "part")
        with self._reading(artifact) as location, pq.ParquetFile(location) as file:
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
        with self._reading(artifact) as location:
            return dict(json.loads(location.read_text())["shards"])

    def write_manifest(self, name: str, shards: Mapping[str, str], fingerprint: str) -> Stored:
        """Write the list of shards with their content hashes."""
        location = self.location(manifest(name))
        content = _json_hash(dict(shards))
        location.parent.mkdir(parents=True, exist_ok=True)
        known = {"fingerprint": fingerprint, "content_hash": content, "rows": len(shards), "shards": dict(shards)}
        write_whole(location, json.dumps(known, indent=1))
        return Stored(fingerprint, content, len(shards))

    # Folders: checkpoints and reports

    def checkpoint(self, name: str, key: str = ALL) -> Path:
        """The folder of a finished checkpoint."""
        artifact = checkpoint(name, key)
        self.opened(artifact)
        self.verify(artifact)
        return self.location(artifact)

    def finished_building(self, artifact: Artifact, fingerprint: str) -> bool:
        """Whether a folder was made to its end but not yet put where it belongs (a run killed in between)."""
        marker = self.building_location(artifact, fingerprint) / MARKER
        try:
            with _telling_damage(str(marker)):
                return marker.is_file() and _stored_folder(str(marker), "whole").fingerprint == fingerprint
        except _DamagedFileError:
            return False

    def commit_folder(self, artifact: Artifact, fingerprint: str) -> Stored:
        """Mark the built folder as whole and swap it to where it belongs; the one that was there is removed."""
        built, location = self.building_location(artifact, fingerprint), self.location(artifact)
        shutil.rmtree(built / LAST, ignore_errors=True)
        if not self.finished_building(artifact, fingerprint):
            for leftover in built.rglob(".*.part"):  # of a run that was killed while it wrote the marker
                leftover.unlink()
            content, files = integrity.folder_content(built, {*NO_CONTENT, MARKER})
            known = {"fingerprint": fingerprint, "content_hash": content, "rows": len(files), "files": files}
            write_whole(built / MARKER, json.dumps({**known, "digest": _json_hash(known)}, indent=1))
            for name, sha256 in files.items():
                integrity.stamp(str(built / name), sha256)
        location.parent.mkdir(parents=True, exist_ok=True)
        retired = location.with_name(f".{location.name}.retired")
        shutil.rmtree(retired, ignore_errors=True)
        if location.exists():
            location.rename(retired)
        built.rename(location)
        shutil.rmtree(retired, ignore_errors=True)
        known_now = self.stored(artifact)
        if known_now is None:
            raise MissingArtifactError(
                f"found no marker in {location.name} after writing it; is another run writing to this home?"
            )
        return known_now

    def opened(self, artifact: Artifact) -> None:
        """Called with every artifact that is read; a recording home overrides it to see what is really read."""

    def _read_parquet(self, artifact: Artifact, columns: Sequence[str] | None, ids: Sequence[str] | None) -> pa.Table:
        self.verify(artifact, "whole" if columns is None and ids is None else "part")
        with self._reading(artifact) as location:
            if ids is not None:
                return rows_by_id(location, columns, ids)
            return pq.read_table(location, columns=None if columns is None else list(columns), partitioning=None)

    @contextmanager
    def _reading(self, artifact: Artifact) -> Iterator[Path]:
        """The file of an artifact, or its marker. Raises MissingArtifactError when it is not there or damaged."""
        location = self.location(artifact)
        if artifact.kind in ("checkpoint", "report"):
            location /= MARKER
        if not location.is_file():
            what = f"{artifact.kind} " if artifact.kind == "checkpoint" else ""
            raise MissingArtifactError(
                f"found no {what}{artifact.label()}, expected it in the home; materialize `{artifact.name}` first"
            )
        try:
            with _telling_damage(str(location)):
                yield location
        except _DamagedFileError as error:
            raise MissingArtifactError(
                f"found that {error}, expected {artifact.label()} whole; materialize "
                f"`{artifact.name}` again (or everything: `geo-pipeline run`)"
            ) from error


class _DamagedFileError(ValueError):
    """A file is there and is not what was written."""


@contextmanager
def _telling_damage(location: str) -> Iterator[None]:
    """Turn what a reader says of a damaged file into _DamagedFileError.

    An error of the system (no permission, a disk that is gone) stays what it is: the file may be whole.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError, pa.ArrowNotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        damaged = error.location if isinstance(error, DamageError) else location
        raise _DamagedFileError(f"{damaged} is damaged ({' '.join(str(error).split())})") from error


def _confirmation(location: str) -> str:
    """Where the later fingerprint of a table stands that came out as it was: beside it."""
    folder, name = os.path.split(location)
    return f"{folder}/.{name}{CONFIRMED}"


def _read_marker(artifact: Artifact, location: str, use: Use) -> Stored | None:
    """What a file or marker says of itself, once its bytes are found to be what was written."""
    if artifact.kind == "table":
        return _stored_table(artifact, location, use)
    return _stored_manifest(location) if artifact.kind == "manifest" else _stored_folder(location, use)


def _stored_table(artifact: Artifact, location: str, use: Use) -> Stored | None:
    footer = pq.read_metadata(location)
    known = footer.metadata or {}
    if b"fingerprint" not in known or b"content_hash" not in known:
        return None
    fingerprint, content = known[b"fingerprint"].decode(), known[b"content_hash"].decode()
    seal = known.get(SEAL.encode())
    if seal is not None:
        integrity.check_table(location, seal.decode(), use)
    elif known.keys() - _BEFORE_THE_SEAL:
        raise DamageError(location, "its footer has lost the seal")
    else:
        integrity.check_rows(location, content, str(load(artifact.name).arrow_schema))
    confirmation = Path(_confirmation(location))
    if confirmation.is_file():
        confirmed_content, _, later = confirmation.read_text(errors="replace").partition(" ")
        fingerprint = later if confirmed_content == content else fingerprint
    return Stored(fingerprint, content, footer.num_rows, seal is not None)


def _stored_manifest(location: str) -> Stored:
    known = json.loads(Path(location).read_text())
    found = Stored(known["fingerprint"], known["content_hash"], known["rows"])
    if (found.content_hash, found.rows) != (_json_hash(known["shards"]), len(known["shards"])):
        raise DamageError(location, "its list is not what was written")
    return found


def _stored_folder(marker: str, use: Use) -> Stored:
    known = json.loads(Path(marker).read_text())
    found = Stored(known["fingerprint"], known["content_hash"], known["rows"])
    folder = Path(marker).parent
    if "files" not in known:
        counted = ({*NO_CONTENT, MARKER}, {*_EARLIER_NO_CONTENT, MARKER})
        integrity.check_folder(folder, marker, found.content_hash, counted)
        return found
    if known.pop("digest") != _json_hash(known):
        raise DamageError(marker, "its content is not what was written")
    for name, sha256 in known["files"].items():
        integrity.check_file(str(folder / name), sha256, use)
    return found


def _json_hash(known: object) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]


def _write_parquet(location: Path, rows: pa.Table, fingerprint: str) -> tuple[str, str]:
    """Write a table and wait for the disk; return the hash of its rows and schema, and that of the whole file."""
    with location.open("wb") as handle:
        sink = integrity.HashingSink(handle)
        with pq.ParquetWriter(sink, rows.schema, **writing_options(rows.schema)) as writer:
            writer.write_table(rows, row_group_rows(rows.schema))
            content = sink.content_hash(str(rows.schema))
            known = {"fingerprint": fingerprint, "content_hash": content, SEAL: integrity.UNSEALED}
            writer.add_key_value_metadata(known)
        sha256 = sink.seal()
        handle.flush()
        os.fsync(handle.fileno())
    return content, sha256
