"""What every store of files answers with: found files, spans of bytes, and the errors of a store.

The stores themselves are `local` and `remote`; `files` chooses between them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol

import pyarrow as pa

from geo_pipeline.imagery.photograph import schema
from geo_pipeline.imagery.source import MissingImageError, SourceError

PROBLEMS = {
    "path_outside": "A link that leads out of the folder; only what lies below it is read. Give --follow-links for a "
    "collection of links (DVC, git-annex, a hub's cache), or name the folder that it leads to.",
    "missing_file": "A link to nothing.",
    "not_a_file": "No plain file but a pipe, a socket or a device.",
    "unknown_ending": "The file begins as a photograph, and its name does not end as one. Rename it.",
    "unreadable_name": "The file's name is not UTF-8. Rename it.",
}
"""Why a file that was found is not read: the machine word and what it says to a person."""


class StoreError(SourceError):
    """An object store or a server does not answer, or answers with an error: nothing is known about the photograph."""


class WholeFilesError(SourceError):
    """A server gives only whole files, no parts of them."""


class FoundFile(NamedTuple):
    """One file: its name relative to the root with forward slashes, its bytes, and a text that changes with them.

    `problem` is a word of PROBLEMS; `size` is -1 where a server does not say it.
    """

    name: str
    size: int
    identity: str
    problem: str | None = None


FOUND = schema(FoundFile._fields, size=pa.int64(), identity=pa.string())
"""Files as a table; `problem` is a word of PROBLEMS or null."""


class Span(NamedTuple):
    """A piece of a file that is read at once: from byte `start` to `end` (None: its end), for some wanted ranges."""

    name: str
    start: int
    end: int | None
    ranges: tuple[tuple[int, int | None], ...]


class Store(Protocol):
    """A place that holds files: a local folder, or a prefix of an object store."""

    def walk(self) -> Iterator[FoundFile]:
        """Every file that is not hidden, in no order; `SourceError` when the folder cannot be listed."""
        ...

    def stated(self, names: Sequence[str]) -> list[FoundFile]:
        """The named files; `SourceError` for one that is not there."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A buffered, seekable file; `MissingImageError` when it cannot be had."""
        ...

    def read_spans(self, spans: Iterable[Span]) -> Iterator[bytes | MissingImageError]:
        """The bytes of each span, fewer where the file ends before."""
        ...
