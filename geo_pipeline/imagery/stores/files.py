"""The files below one root, on this machine or behind any fsspec URL: what is there, and their bytes.

How a local folder is walked and read belongs to `local`, object stores and web servers to `remote`, what both answer to
`store`; what a file holds belongs to the readers.
"""

import fnmatch
import hashlib
import io
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from geo_pipeline.imagery.source import MissingImageError, SourceError
from geo_pipeline.imagery.stores.store import FOUND, FoundFile, Span, Store, WholeFilesError

IMAGE_SUFFIXES = tuple(
    f".{ending}"
    for group in (
        "jpg jpeg jpe jfif jif pjpeg mpo",
        "png apng webp gif",
        "tif tiff bmp ppm pgm",
        "heic heif hif avif jp2 j2k",
    )
    for ending in group.split()
)
"""Endings of files that are taken for photographs; other files of a folder are passed over."""
LARGEST_READ = 16 << 20
"""Neighbouring ranges of one file are read together up to this many bytes."""
LARGEST_GAP = 256 << 10
"""Ranges of one file that are no further apart than this are neighbours; what lies between is read and dropped."""
_ROWS = 65_536


@dataclass(frozen=True)
class Files:
    """The files below `root` whose names end in one of `suffixes` (any letter case; none given: all files).

    `root` is a folder or one file, a local path or an fsspec URL (`s3://`, `gs://`, `https://`, `memory://`); its last
    part may be a pattern (`images-{00..18}.tar`, `*.tar`), which is the way to name the files of a server that lists
    none. Hidden files are passed over. Links that lead out of a local root are refused unless `follow_links`. Holds no
    open file, so that it can be sent to another process.
    """

    root: str
    suffixes: tuple[str, ...] = ()
    follow_links: bool = False

    def walk(self) -> Iterator[FoundFile]:
        """Every file, in no order, as it is met; `SourceError` when the root is not there or cannot be listed."""
        names = self._placed[1]
        if names is None:
            yield from (file for file in self.store.walk() if self._wanted(file.name))
        elif any("*" in name for name in names):
            for file in self.store.walk():
                if any(fnmatch.fnmatchcase(file.name, name) for name in names) and self._wanted(file.name):
                    yield file
        else:
            yield from self.store.stated(names)

    def table(self) -> pa.Table:
        """The files as a table of FOUND in order of name."""
        waiting, batches = self.walk(), []
        while piece := list(islice(waiting, _ROWS)):
            columns = dict(zip(FOUND.names, map(list, zip(*piece, strict=True)), strict=True))
            batches.append(pa.RecordBatch.from_pydict(columns, schema=FOUND))
        return pa.Table.from_batches(batches, schema=FOUND).sort_by("name")

    def found(self) -> list[FoundFile]:
        """The files in order of name."""
        return sorted(self.walk())

    def open(self, name: str) -> BinaryIO:
        """The file of that name, buffered and seekable; `MissingImageError` when it cannot be had."""
        return self.store.open(inside(name, self.root))

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset` (None: all that follow); `MissingImageError` where the file has fewer."""
        (data,) = self.read_ranges([(name, offset, length)])
        if isinstance(data, MissingImageError):
            raise data
        return data

    def read_ranges(self, wanted: Sequence[tuple[str, int, int | None]]) -> Iterator[bytes | MissingImageError]:
        """The bytes of each (name, offset, length), in their order, an error in the place of each that is missing.

        Neighbours in one file are read together; object stores are asked for several pieces at a time. `StoreError`
        when a store does not answer.
        """
        spans = spans_of(wanted, self.root)
        pieces = self.store.read_spans(span for span in spans if isinstance(span, Span))
        for span in spans:
            if isinstance(span, MissingImageError):
                yield span
                continue
            data = next(pieces)
            if isinstance(data, MissingImageError):
                yield from (data for _ in span.ranges)
            else:
                yield from _cut(data, span)

    def full_name(self, name: str) -> str:
        """The path or URL of one file."""
        return f"{self._placed[0].rstrip('/')}/{name}"

    @cached_property
    def store(self) -> Store:
        """Where the files lie."""
        base = self._placed[0]
        if is_url(base):
            from geo_pipeline.imagery.stores.remote import RemoteStore

            return RemoteStore(base)
        from geo_pipeline.imagery.stores.local import LocalStore

        return LocalStore(base, self.follow_links)

    @cached_property
    def _placed(self) -> tuple[str, tuple[str, ...] | None]:
        """The folder, and the names in it where the root names files and not a folder."""
        root = local_path(self.root)
        folder, _, last = root.rstrip("/").rpartition("/")
        if "*" in last or re.search(r"\{[^{}]*(\.\.|,)[^{}]*\}", last):
            return folder or ("/" if root.startswith("/") else "."), tuple(braces(last))
        if not is_url(root):
            single = Path(root).is_file()
        elif root.endswith("/"):
            single = False
        elif self.suffixes and self._wanted(last):
            single = True
        else:
            from geo_pipeline.imagery.stores.remote import is_remote_file

            single = is_remote_file(root)
        if single:
            return folder or ("/" if root.startswith("/") else "."), (last,)
        return root, None

    def _wanted(self, name: str) -> bool:
        return not self.suffixes or name.endswith("/") or name.lower().endswith(self.suffixes)


def is_url(root: str) -> bool:
    """True for an fsspec URL, False for a path of this machine."""
    return "://" in root


def local_path(root: str) -> str:
    """A `file://` URL as a path, `~` as the user's own folder; every other root as it is."""
    if root.startswith("file://"):
        return root.removeprefix("file://")
    return root if is_url(root) else str(Path(root).expanduser())


def absolute(path: str) -> str:
    """An absolute path without `..`, links kept as they are; a URL as a path of its parts. For comparing only."""
    if is_url(path) and not path.startswith("file://"):
        scheme, _, rest = path.partition("://")
        return posixpath.normpath(f"/{scheme}:/{rest}")
    return os.path.normpath(Path.cwd() / local_path(path))


def inside(name: str, root: str) -> str:
    """The name, normalised; `MissingImageError` when it leads out of the root."""
    normal = posixpath.normpath(name) if name else ".."
    if normal.startswith(("/", "../")) or normal in (".", "..") or "\0" in name:
        raise MissingImageError(f"{name!r} leads out of {root}; only files below it are read.")
    return normal


def open_url(url: str) -> BinaryIO:
    """One file, a local path or a URL, buffered and seekable; `SourceError` when it cannot be had."""
    files = Files(url, follow_links=True)
    names = files._placed[1]
    if names is None or len(names) != 1 or "*" in names[0]:
        raise SourceError(f"found no file {url}; expected one file. Check the path.")
    try:
        return files.open(names[0])
    except WholeFilesError:
        return io.BytesIO(files.read(names[0]))
    except MissingImageError as error:
        raise SourceError(
            f"found that {url} cannot be opened ({error}). Check the path and the rights to read it."
        ) from error


def file_digest(url: str) -> str:
    """SHA-256 of a file's bytes, a local path or a URL; `SourceError` when it cannot be had."""
    with open_url(url) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a BinaryIO is enough


def spans_of(wanted: Sequence[tuple[str, int, int | None]], root: str) -> list[Span | MissingImageError]:
    """Neighbouring ranges joined, in their order; an error in the place of a name that leads out of the root."""
    spans: list[Span | MissingImageError] = []
    name, start, end = "", 0, 0
    ranges: list[tuple[int, int | None]] = []

    def close() -> None:
        if ranges:
            spans.append(Span(name, start, end, tuple(ranges)))
            ranges.clear()

    for given, offset, length in wanted:
        joins = ranges and given == name and length is not None and end <= offset <= end + LARGEST_GAP
        if joins and length is not None and offset + length - start <= LARGEST_READ:
            ranges.append((offset, length))
            end = offset + length
            continue
        close()
        try:
            inside(given, root)
        except MissingImageError as error:
            spans.append(error)
            continue
        if length is None:
            spans.append(Span(given, offset, None, ((offset, None),)))
        else:
            name, start, end = given, offset, offset + length
            ranges.append((offset, length))
    close()
    return spans


def braces(pattern: str) -> list[str]:
    """The names of a pattern with braces: `{00..18}` counts, `{a,b}` lists; a pattern without braces is itself."""
    pieces: list[list[str]] = []
    for piece in re.split(r"(\{[^{}]*\})", pattern):
        counted = re.fullmatch(r"\{(\d+)\.\.(\d+)\}", piece)
        if counted:
            first, last = counted.groups()
            if int(last) - int(first) >= 1_000_000:
                raise SourceError(f"found the pattern {pattern}; expected fewer than a million names.")
            pieces.append([str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)])
        elif piece.startswith("{") and "," in piece:
            pieces.append(piece[1:-1].split(","))
        else:
            pieces.append([piece])
    return ["".join(chosen) for chosen in product(*pieces)]


def _cut(data: bytes, span: Span) -> Iterator[bytes | MissingImageError]:
    """The ranges of a span from its bytes."""
    if len(span.ranges) == 1 and span.end is None:
        yield data
        return
    for offset, length in span.ranges:
        first = offset - span.start
        piece = data if (first, length) == (0, len(data)) else data[first : first + (length or 0)]
        if len(piece) == length:
            yield piece
        else:
            yield MissingImageError(
                f"{span.name}: found {len(piece)} bytes at {offset}, expected {length}; the file ends before. "
                "It was cut or replaced since it was listed."
            )
