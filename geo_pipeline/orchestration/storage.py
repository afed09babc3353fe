"""The home: one folder with all that a run keeps.

Every table, manifest, checkpoint and report lies there with its fingerprint and content hash.

Everything is written beside its place and renamed, so a reader sees a whole artifact or none. Tables pass their
contract on write and on read. The DuckDB file over the tables belongs to views.py, what has to be made belongs to
staleness.py.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geo_pipeline.contracts.contract import load
from geo_pipeline.orchestration.artifacts import Artifact, checkpoint, manifest, table

MARKER = "fingerprint.json"
RESUME_FOLDER = "last"


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

    # Places

    def place(self, artifact: Artifact) -> Path:
        """Where an artifact lies."""
        if artifact.kind == "table":
            return self.root / "tables" / artifact.name / f"{artifact.key}.parquet"
        if artifact.kind == "manifest":
            return self.root / "manifests" / f"{artifact.name}.json"
        return self.root / ("checkpoints" if artifact.kind == "checkpoint" else "reports") / artifact.name

    def building_place(self, artifact: Artifact, fingerprint: str) -> Path:
        """The folder in which a checkpoint or report is being made; it survives a kill, so training resumes there."""
        return self.root / "building" / f"{artifact.name}-{fingerprint[:16]}"

    # What is there

    def stored(self, artifact: Artifact) -> Stored | None:
        """Fingerprint, content hash and size of an artifact; None when it is not there."""
        place = self.place(artifact)
        if artifact.kind == "table":
            return _stored_table(place)
        marker = place if artifact.kind == "manifest" else place / MARKER
        if not marker.is_file():
            return None
        known = json.loads(marker.read_text())
        return Stored(known["fingerprint"], known["content_hash"], known["rows"])

    def version(self, artifact: Artifact) -> str | None:
        """Content hash of an artifact, or of its narrowed rows; None when it is not there."""
        stored = self.stored(artifact.whole())
        if stored is None or artifact.where is None:
            return stored.content_hash if stored else None
        return content_hash(self._read_parquet(artifact, None, None))

    # Tables

    def read_table(
        self,
        name: str,
        key: str,
        columns: Sequence[str] | None = None,
        where: tuple[str, str] | None = None,
        ids: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read one key of a table through its contract.

        All columns or some, all rows, those `where` column == value, or some image ids.
        """
        artifact = table(name, key, where)
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
        """Conform to the contract, write beside, rename. The same rows and fingerprint always give the same bytes."""
        place = self.place(table(name, key))
        conformed = load(name).conform(data).combine_chunks()
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(f".{place.name}.{os.getpid()}.part")
        with beside.open("wb") as handle:
            sink = _HashingSink(handle)
            with pq.ParquetWriter(sink, conformed.schema, compression="zstd") as writer:
                writer.write_table(conformed)
                content = sink.hexdigest(str(conformed.schema))
                writer.add_key_value_metadata({"fingerprint": fingerprint, "content_hash": content})
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(place)
        return Stored(fingerprint, content, conformed.num_rows)

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
        self.opened(manifest(name))
        place = self.place(manifest(name))
        if not place.is_file():
            raise MissingArtifactError(f"found no {name}, expected it in the home; materialize `{name}` first")
        shards: dict[str, str] = json.loads(place.read_text())["shards"]
        return shards

    def write_manifest(self, name: str, shards: Mapping[str, str], fingerprint: str) -> Stored:
        """Write the list of shards with their content hashes."""
        place = self.place(manifest(name))
        content = hashlib.sha256(json.dumps(dict(shards), sort_keys=True).encode()).hexdigest()[:32]
        place.parent.mkdir(parents=True, exist_ok=True)
        known = {"fingerprint": fingerprint, "content_hash": content, "rows": len(shards), "shards": dict(shards)}
        _write_beside(place, json.dumps(known, indent=1))
        return Stored(fingerprint, content, len(shards))

    # Folders: checkpoints and reports

    def checkpoint(self, name: str) -> Path:
        """The folder of a finished checkpoint."""
        self.opened(checkpoint(name))
        place = self.place(checkpoint(name))
        if not (place / MARKER).is_file():
            raise MissingArtifactError(
                f"found no checkpoint {name}, expected one in the home; materialize `{name}` first"
            )
        return place

    def finished_building(self, artifact: Artifact, fingerprint: str) -> bool:
        """Whether a folder was made to its end but not yet put in its place (a run killed in between)."""
        return (self.building_place(artifact, fingerprint) / MARKER).is_file()

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
        place = self.place(artifact)
        if not place.is_file():
            raise MissingArtifactError(
                f"found no {artifact.label()}, expected it in the home; materialize `{artifact.name}` first"
            )
        condition = None if artifact.where is None else pc.field(artifact.where[0]) == artifact.where[1]
        if ids is not None:
            named = pc.field("image_id").isin(pa.array(list(ids), pa.string()))
            condition = named if condition is None else condition & named
        return pq.read_table(
            place, columns=None if columns is None else list(columns), filters=condition, partitioning=None
        )


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


def content_hash(rows: pa.Table) -> str:
    """SHA-256 (32 hex digits) of a table's schema and values, whatever its chunks."""
    sink = pa.BufferOutputStream()
    fields = [pa.field(field.name, field.type) for field in rows.schema]
    plain = pa.table([rows[field.name].combine_chunks() for field in fields], schema=pa.schema(fields))
    pq.write_table(plain, sink, compression="none")
    return hashlib.sha256(sink.getvalue()).hexdigest()[:32]


def _stored_table(place: Path) -> Stored | None:
    if not place.is_file():
        return None
    footer = pq.read_metadata(place)
    known = footer.metadata or {}
    if b"fingerprint" not in known or b"content_hash" not in known:
        return None
    return Stored(known[b"fingerprint"].decode(), known[b"content_hash"].decode(), footer.num_rows)


def _folder_content(folder: Path) -> tuple[str, int]:
    hasher, count = hashlib.sha256(), 0
    for path in sorted(item for item in folder.rglob("*") if item.is_file() and item.name != MARKER):
        hasher.update(f"{path.relative_to(folder).as_posix()}:{path.stat().st_size}:".encode())
        with path.open("rb") as handle:
            while piece := handle.read(2**20):
                hasher.update(piece)
        count += 1
    return hasher.hexdigest()[:32], count


def _write_beside(place: Path, text: str) -> None:
    beside = place.with_name(f".{place.name}.{os.getpid()}.part")
    beside.write_text(text)
    beside.replace(place)
