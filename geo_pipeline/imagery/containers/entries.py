"""What a container of photographs is (tar, msgpack, Parquet): its entries, its readers, and the places inside it.

The formats belong to `tar_files`, `msgpack_files` and `parquet_files`, the source over them to `containers.source`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

from geo_pipeline.imagery.source import MissingImageError


class Entry(NamedTuple):
    """What one pass over a container says of one photograph, or of something in it that is none and should have been.

    `offset` and `length` are bytes for tar and msgpack, row and 1 for Parquet. `digest` is that of the photograph's
    bytes (`digest_of`), None where they were not read. `problem` is a machine word, `detail` the same for a person.
    `image_id` to `set_name` are what the container itself says. `block` numbers the piece of the container that is read
    at once (a row group); None: by `offset`.
    """

    name: str
    offset: int
    length: int
    digest: str | None
    first_bytes_kind: str | None
    problem: str | None = None
    detail: str = ""
    image_id: str | None = None
    author: str | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
    credit: str | None = None
    set_name: str | None = None
    block: int | None = None


class Reader(Protocol):
    """How one format of container is read. Readers hold no state and no file, so that they travel between processes."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of such files, in lower case."""
        ...

    def entries(self, file: BinaryIO, name: str) -> Iterator[Entry]:
        """Every entry in one pass, in order of offset, in constant memory. `name` is the container's, for messages.

        Whatever is broken becomes an entry with a problem. Raises `SourceError` only for a file that as a whole is of
        another kind or schema than the user said.
        """
        ...

    def image(self, stored: bytes) -> bytes:
        """The photograph from the bytes at its place; `MissingImageError` when they hold none."""
        ...


@runtime_checkable
class ReadsPlaces(Protocol):
    """A reader whose photographs are no plain ranges of bytes: it reads them from the open container itself."""

    def images(self, file: BinaryIO, offsets: Sequence[int]) -> Iterator[bytes | MissingImageError]:
        """The photographs at these offsets of one container, in the given order."""
        ...


class Place(NamedTuple):
    """Where a photograph lies: the parts of a locator."""

    container: str
    name: str
    offset: int
    length: int


def digest_of(data: bytes | memoryview) -> str:
    """Digest of a photograph's bytes: 16 hexadecimal digits of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def locator_of(place: Place) -> str:
    """`container!name@offset+length`; a `!` or `%` in the container's own name is written %21 or %25."""
    return f"{quoted(place.container)}!{place.name}@{place.offset}+{place.length}"


def place_of(locator: str) -> Place:
    """The inverse of `locator_of`; `MissingImageError` for any other text."""
    container, mark, rest = locator.partition("!")
    name, at, numbers = rest.rpartition("@")
    offset, plus, length = numbers.partition("+")
    if not (container and mark and at and plus and _is_number(offset) and _is_number(length)):
        raise MissingImageError(f"found the locator {locator!r}; expected container!name@offset+length.")
    return Place(container.replace("%21", "!").replace("%25", "%"), name, int(offset), int(length))


def quoted(container: str) -> str:
    """A container's name as it stands in a locator."""
    return container.replace("%", "%25").replace("!", "%21")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
