"""What a source of photographs is: the interface that folders, the sample world and other collections implement.

A source lists its records, good and bad, and reads bytes. Which set a photograph belongs to is decided by `split`
(unless the source says so), what is refused by `catalogue` and `decode`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Protocol

import pyarrow as pa

from geo_pipeline.imagery.photograph import schema


class SourceError(ValueError):
    """A source as a whole cannot be used: a missing folder, metadata without the columns, swapped columns."""


class MissingImageError(OSError):
    """The bytes of one photograph cannot be had: no file, no permission, a path that leads out of the source."""


@dataclass(frozen=True)
class SourceRecord:
    """One photograph as its source lists it; nothing has been checked yet.

    `problem` is a machine word when the source itself already knows that the record cannot be used (`missing_file`,
    `no_coordinate`); `detail` says the same to a person. `set_name` is None unless the source fixes the set.
    `stamp` changes when the bytes change (size and time of a file, a digest of a tar's member); `block` names a piece
    of a larger file whose photographs are read together and therefore share a shard (None: a file of its own).
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
    stamp: str | None = None
    block: str | None = None


LISTING = schema(field.name for field in fields(SourceRecord))
"""A listing as Arrow columns: the fields of `SourceRecord`."""
LISTING_ROWS = 65_536


class Source(Protocol):
    """A collection of photographs."""

    def fingerprint(self) -> str:
        """A hexadecimal digest that changes when a record or the bytes of an image change; reads no image."""
        ...

    def listing(self) -> Iterator[pa.RecordBatch]:
        """Every photograph, good and bad, in a lasting order, as batches of LISTING.

        `SourceError` when the whole is unusable.
        """
        ...

    def read(self, locator: str) -> bytes:
        """The bytes of one photograph as they were taken; `MissingImageError` when they cannot be had."""
        ...

    def read_many(self, locators: Sequence[str]) -> Iterator[bytes | MissingImageError]:
        """The bytes of many photographs, in the order of the locators, an error in the place of each that is missing.

        Neighbours in one file are read together, so give locators in the order of the listing.
        """
        ...


def batches_of(records: Iterable[SourceRecord]) -> Iterator[pa.RecordBatch]:
    """Records as batches of LISTING."""
    waiting = iter(records)
    while piece := list(islice(waiting, LISTING_ROWS)):
        yield pa.RecordBatch.from_pydict(
            {name: [getattr(record, name) for record in piece] for name in LISTING.names}, schema=LISTING
        )


def records_of(listing: Iterable[pa.RecordBatch]) -> Iterator[SourceRecord]:
    """The inverse of `batches_of`, for few records."""
    for batch in listing:
        for row in batch.to_pylist():
            yield SourceRecord(**{**row, "detail": row["detail"] or ""})


def read_each(read: Callable[[str], bytes], locators: Sequence[str]) -> Iterator[bytes | MissingImageError]:
    """`read_many` for a source that gains nothing from reading neighbours together."""
    for locator in locators:
        try:
            yield read(locator)
        except MissingImageError as error:
            yield error
