"""Names of stored things, and fingerprints of how they were made.

An *artifact* is one file or folder of the home: one key of a table, a manifest, a checkpoint, the report. A
*fingerprint* says from what an artifact was made (code version, configuration, content of what it read); a *content
hash* says what is in it. Reading and writing belongs to storage.py, what each stage reads belongs to stage.py.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geo_pipeline.sample_world.weights import WEIGHTS

ArtifactKind = Literal["table", "manifest", "checkpoint", "report"]
ALL = "all"
SMALL_WEIGHTS_BYTES = 64 * 2**20


@dataclass(frozen=True, order=True)
class Artifact:
    """One stored thing."""

    kind: ArtifactKind
    name: str
    key: str = ALL

    def label(self) -> str:
        """How messages name it, for example `images [reference-000]`."""
        return self.name if self.key == ALL else f"{self.name} [{self.key}]"


def table(name: str, key: str = ALL) -> Artifact:
    """The artifact of one key of one table."""
    return Artifact("table", name, key)


def manifest(name: str) -> Artifact:
    """The artifact of one manifest (a list of shards with their content hashes)."""
    return Artifact("manifest", name)


def checkpoint(name: str, key: str = ALL) -> Artifact:
    """The artifact of one checkpoint folder."""
    return Artifact("checkpoint", name, key)


def report(name: str) -> Artifact:
    """The artifact of one report folder."""
    return Artifact("report", name)


def digest(value: object) -> str:
    """SHA-256 (32 hex digits) of a value of plain data, dataclasses, paths and tuples.

    Independent of where weights folders lie.

    A string or path that names an existing absolute folder stands for that folder's files, not for its place on this
    machine; so does `sample:<name>`, the shipped weights.
    """
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def canonical(value: object) -> object:
    """A value as plain JSON data. Raises TypeError for a value that has no stable text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: canonical(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(str(item) for item in value)
    if isinstance(value, Path | str):
        folder = weights_folder(str(value))
        return str(value) if folder is None else folder_identity(folder)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(
        f"found {type(value).__name__} in a configuration, expected plain data; use numbers, text, tuples "
        "and dataclasses"
    )


def weights_folder(text: str) -> Path | None:
    """The folder that a configuration value names: `sample:<name>` (shipped), `local-dir:<path>` or an absolute path.

    None for any other text.
    """
    if text.startswith("sample:"):
        folder = WEIGHTS / text.removeprefix("sample:")
    else:
        folder = Path(text.removeprefix("local-dir:"))
    return folder if folder.is_absolute() and folder.is_dir() else None


def folder_identity(folder: Path) -> str:
    """What a weights folder holds: names, sizes and content (of files over 64 MiB the first and last MiB)."""
    hasher = hashlib.sha256()
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        size = path.stat().st_size
        hasher.update(f"{path.relative_to(folder).as_posix()}:{size}:".encode())
        with path.open("rb") as handle:
            if size <= SMALL_WEIGHTS_BYTES:
                hasher.update(handle.read())
            else:
                hasher.update(handle.read(2**20))
                handle.seek(-(2**20), 2)
                hasher.update(handle.read())
    return f"folder:{hasher.hexdigest()[:32]}"


def fingerprint(code_version: str, inputs: Mapping[str, str]) -> str:
    """The fingerprint of an artifact made by this code version from inputs with these content hashes."""
    return digest({"code_version": code_version, "inputs": dict(inputs)})
