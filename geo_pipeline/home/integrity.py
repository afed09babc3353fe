"""Whether a file still holds the bytes that were written: SHA-256 of every file, compared before its first use.

Neither polars nor DuckDB compares anything when it reads a table, and a network takes whatever weights it is given. A
table carries the SHA-256 of its file in its own footer (the seal), a checkpoint or report those of its files in its
marker. So that a run with nothing to do need not read what it does not use, the microseconds of a file's time are
taken from its hash (the stamp): a file that anybody has written since carries another one, and is read to the end
before it counts as there. A file whose stamp is right is read to the end at its first use in a process; disks lose
bits without touching the time. What counts as a use, and what becomes of a damaged file, belongs to home.py.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path
from typing import BinaryIO, Literal

SEAL = "file_sha256"
"""Key of a table's footer."""
UNSEALED = "0" * 64
"""What stands there while the file is hashed."""
LARGE_BYTES = 256 * 2**20
"""Of larger tables that carry their stamp a part is read without the rest: hashing would cost more than the reading."""
_PIECE_BYTES = 2**20
_TAIL_BYTES = 8
"""The end of a Parquet file: the length of its footer, and its magic."""
_MICROSECOND_NS, _SECOND_NS = 1_000, 1_000_000_000
_NO_FILE = (0, 0, 0, 0)
_SOUND: dict[str, tuple[int, ...]] = {}
"""Files that this process (not the one that it was forked from) has hashed, with the state in which it did."""
os.register_at_fork(after_in_child=_SOUND.clear)


Use = Literal["look", "part", "whole"]
"""What a file is wanted for: to know that it is there, to read some of it, or all."""


class DamageError(ValueError):
    """A file does not hold the bytes that were written."""

    def __init__(self, location: str, problem: str) -> None:
        super().__init__(problem)
        self.location = location

    def __reduce__(self) -> tuple[type["DamageError"], tuple[str, str]]:
        """Made again from its parts where a worker's error reaches the driver."""
        return type(self), (self.location, str(self))


class HashingSink:
    """A file that hashes what is written to it. Not a codec: bytes pass through unchanged."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._hash = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        """See `BinaryIO`."""
        self._hash.update(data)
        self._handle.write(data)
        return len(data)

    def flush(self) -> None:
        """See `BinaryIO`."""
        self._handle.flush()

    def close(self) -> None:
        """The handle stays open: its owner seals it."""
        self.closed = True

    def content_hash(self, schema: str) -> str:
        """SHA-256 (32 hex digits) of what was written so far and of the schema: of rows, before any footer."""
        final = self._hash.copy()
        final.update(schema.encode())
        return final.hexdigest()[:32]

    def seal(self) -> str:
        """Write the SHA-256 of the whole file, taken with `UNSEALED` in its location, into the footer; return it."""
        sha256 = self._hash.hexdigest()
        self._handle.flush()
        with open(self._handle.name, "rb") as file:  # noqa: PTH123 - the name may be a descriptor
            offset = _seal_offset(file, UNSEALED)
        self._handle.seek(offset)
        self._handle.write(sha256.encode())
        return sha256


def check_table(location: str, sha256: str, use: Use) -> None:
    """Raise DamageError when a table does not have the SHA-256 of its seal.

    With its stamp it is believed by who only looks, and a large one by who reads a part.
    """
    believed = stamped(location, sha256) and (
        use == "look" or (use == "part" and file_state(location)[1] > LARGE_BYTES)
    )
    if not believed:
        _check(location, lambda: _sealed_hash(location, sha256) == sha256, sha256)


def check_rows(location: str, content_hash: str, schema: str) -> None:
    """Raise DamageError when the rows of a table without a seal are not what was written; `schema` is its text."""
    _check(location, lambda: _rows_hash(location, schema) == content_hash, None)


def check_file(location: str, sha256: str, use: Use) -> None:
    """Raise DamageError when a file is gone or has another SHA-256; with its stamp, who only looks believes it."""
    if file_state(location) == _NO_FILE:
        raise DamageError(location, "the file is gone")
    if use != "look" or not stamped(location, sha256):
        _check(location, lambda: file_sha256(Path(location)) == sha256, sha256)


def check_folder(folder: Path, marker: str, content_hash: str, without: Iterable[Set[str]]) -> None:
    """Raise DamageError when a folder without hashes per file has changed, whichever of its entries count."""
    _check(marker, lambda: any(folder_content(folder, each)[0] == content_hash for each in without), None)


def is_sound(location: str) -> bool:
    """Whether this process has hashed the file as it lies there now."""
    return location in _SOUND and _SOUND[location] == file_state(location)


def forget() -> None:
    """Hash every file again at its next use, as a new process would."""
    _SOUND.clear()


def stamp(location: str, sha256: str) -> None:
    """Put a file's hash into the microseconds of its time, where the file can be written to."""
    status = os.stat(location)  # noqa: PTH116
    time_ns = status.st_mtime_ns // _SECOND_NS * _SECOND_NS + _microseconds(sha256) * _MICROSECOND_NS
    with contextlib.suppress(OSError):  # a home that may only be read: then it is hashed once per process
        os.utime(location, ns=(status.st_atime_ns, time_ns))
    _SOUND[location] = file_state(location)


def unstamp(location: str, sha256: str) -> None:
    """Take the stamp from a file that was found damaged, so that every later run sees that it is."""
    _SOUND.pop(location, None)
    if stamped(location, sha256):
        status = os.stat(location)  # noqa: PTH116
        with contextlib.suppress(OSError):
            os.utime(location, ns=(status.st_atime_ns, status.st_mtime_ns - _SECOND_NS // 2))


def stamped(location: str, sha256: str) -> bool:
    """Whether a file's time carries this hash."""
    return file_state(location)[0] // _MICROSECOND_NS % 1_000_000 == _microseconds(sha256)


def file_state(location: str) -> tuple[int, ...]:
    """What changes when a file is replaced; zeros when there is none.

    Its time (nanoseconds), size, inode, and the time of its last change of any kind, which no copy takes along: a copy
    in the place of a deleted one may have the three others.
    """
    try:
        status = os.stat(location)  # noqa: PTH116 - asked tens of thousands of times; a Path costs more than the answer
    except (FileNotFoundError, NotADirectoryError):
        return _NO_FILE
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)


def folder_files(folder: Path, without: Set[str]) -> list[Path]:
    """The files of a folder in order; `without` are names of its entries that are no content."""
    files = (item for item in folder.rglob("*") if item.is_file())
    return sorted(item for item in files if item.relative_to(folder).parts[0] not in without)


def folder_content(folder: Path, without: Set[str]) -> tuple[str, dict[str, str]]:
    """The content hash (32 hex digits) of a folder, and the SHA-256 of each of its files by its path inside."""
    hasher, files = hashlib.sha256(), {}
    for path in folder_files(folder, without):
        name = path.relative_to(folder).as_posix()
        hasher.update(f"{name}:{path.stat().st_size}:".encode())
        own = hashlib.sha256()
        for piece in _pieces(path):
            hasher.update(piece)
            own.update(piece)
        files[name] = own.hexdigest()
    return hasher.hexdigest()[:32], files


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    hasher = hashlib.sha256()
    for piece in _pieces(path):
        hasher.update(piece)
    return hasher.hexdigest()


def _check(location: str, holds: Callable[[], bool], sha256: str | None) -> None:
    state = file_state(location)
    if is_sound(location):
        return
    if not holds():
        if sha256 is not None:
            unstamp(location, sha256)
        raise DamageError(location, "its content is not what was written")
    if sha256 is None:
        _SOUND[location] = state
    elif file_state(location) == state:  # else somebody has just replaced it
        stamp(location, sha256)


def _sealed_hash(location: str, sha256: str) -> str:
    """SHA-256 of a table's file as it was before its seal was written."""
    with open(location, "rb") as file:  # noqa: PTH123 - a text, as everywhere here
        offset = _seal_offset(file, sha256)
        hasher = hashlib.sha256()
        file.seek(0)
        _hash_next(file, hasher, offset)
        hasher.update(UNSEALED.encode())
        file.seek(len(UNSEALED), os.SEEK_CUR)
        _hash_next(file, hasher, None)
    return hasher.hexdigest()


def _seal_offset(file: BinaryIO, value: str) -> int:
    """Where the seal with this value stands. Raises DamageError when it is not there."""
    file.seek(-_TAIL_BYTES, os.SEEK_END)
    footer_bytes = int.from_bytes(file.read(4), "little")
    start = file.seek(-_TAIL_BYTES - footer_bytes, os.SEEK_END)
    footer = file.read(footer_bytes)
    key = footer.rfind(SEAL.encode())
    found = footer.find(value.encode(), key) if key >= 0 else -1
    if found < 0:
        raise DamageError(file.name, "its footer has lost the seal")
    return start + found


def _rows_hash(location: str, schema: str) -> str:
    with open(location, "rb") as file:  # noqa: PTH123
        size = file.seek(-_TAIL_BYTES, os.SEEK_END)
        rows_bytes = size - int.from_bytes(file.read(4), "little")
        file.seek(0)
        hasher = hashlib.sha256()
        _hash_next(file, hasher, rows_bytes)
    hasher.update(schema.encode())
    return hasher.hexdigest()[:32]


def _hash_next(file: BinaryIO, hasher: "hashlib._Hash", count: int | None) -> None:
    """Hash the next bytes of a file, all that are left when `count` is None."""
    while piece := file.read(_PIECE_BYTES if count is None else min(_PIECE_BYTES, count)):
        hasher.update(piece)
        count = None if count is None else count - len(piece)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE_BYTES):
            yield piece


def _microseconds(sha256: str) -> int:
    return int(sha256[:12], 16) % 1_000_000
