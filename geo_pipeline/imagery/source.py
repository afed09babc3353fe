"""What a source of photographs is: the interface that folders, the sample world and other collections implement.

A source lists its records, good and bad, and reads bytes. Which set a photograph belongs to is decided by `split`
(unless the source says so), what is refused by `catalogue` and `decode`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class SourceError(ValueError):
    """A source as a whole cannot be used: a missing folder, metadata without the columns, swapped columns."""


class MissingImageError(OSError):
    """The bytes of one photograph cannot be had: no file, no permission, a path that leads out of the source."""


@dataclass(frozen=True)
class SourceRecord:
    """One photograph as its source lists it; nothing has been checked yet.

    `problem` is a machine word when the source itself already knows that the record cannot be used (`missing_file`,
    `no_coordinate`); `detail` says the same to a person. `set_name` is None unless the source fixes the set.
    """

    image_id: str
    locator: str
    author: str | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
    set_name: str | None = None
    credit: str | None = None
    problem: str | None = None
    detail: str = ""
    first_bytes_kind: str | None = None


class Source(Protocol):
    """A collection of photographs."""

    def fingerprint(self) -> str:
        """A hexadecimal digest that changes when a record or the bytes of an image change."""
        ...

    def records(self) -> Iterator[SourceRecord]:
        """Every photograph, in a lasting order; `SourceError` when the whole is unusable."""
        ...

    def read(self, locator: str) -> bytes:
        """The bytes of one photograph as they were taken; `MissingImageError` when they cannot be had."""
        ...
