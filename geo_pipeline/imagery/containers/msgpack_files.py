"""Reads the msgpack shards of ISNs: a stream of maps `{"id": str or bytes, "image": bytes}`, one after the other.

One pass in constant memory. What is no such map becomes an entry with a problem, a damaged stretch is passed over up to
the next record that can be told, and every byte stands in one entry. Other containers belong to `tar_files` and
`parquet_files`, the source over all of them to `containers.source`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgpack

from geo_pipeline.imagery.containers.entries import Entry, digest_of
from geo_pipeline.imagery.containers.inline_values import degrees_of, text_of
from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.metadata.read import ALIASES
from geo_pipeline.imagery.source import MissingImageError, SourceError

MAX_RECORD_BYTES = 128 << 20
"""Largest record that is read, 128 MiB; a length that claims more is damage or an attack."""
MAX_ITEMS = 65_536
"""Most items of one array or map: the header of an array claims its memory before an item is read."""
MAX_BREAKS = 64
"""Damaged stretches that are passed over in one file; what follows the last is given up."""
MAX_ID_LENGTH = 4096
_SCAN_BYTES = 1 << 20
_OTHER_KINDS = ("gzip", "zip", "xml", "html", "pdf")
"""Files that are found in the place of a shard: packed again, or a server's page of an error."""
_LIMITS = {
    "raw": True,  # text and bytes alike come as bytes: writers older than msgpack 1.0 knew no difference
    "use_list": True,
    "strict_map_key": True,
    "object_hook": None,
    "max_array_len": MAX_ITEMS,
    "max_map_len": MAX_ITEMS,
}
_FAULTS = (msgpack.exceptions.UnpackException, ValueError, OverflowError, MemoryError)
"""What msgpack raises on damaged bytes; extension types are plain values, nothing of them is ever run."""


@dataclass(frozen=True)
class MsgpackReader:
    """The `Reader` of msgpack shards; a record's stored bytes are its whole map."""

    suffixes = (".msg", ".msgpack", ".mp")

    def entries(self, file: BinaryIO, name: str) -> Iterator[Entry]:
        """An entry per record, in order; one per stretch of bytes that holds no record. `name` stands in the details.

        Problems: `wrong_shape`, `truncated` (the stream ends within a record), `unreadable`, `zero_bytes`.
        """
        size = file.seek(0, 2)
        if size == 0:
            yield _without_image(name, 0, 0, "zero_bytes", "The file is empty; expected msgpack records.")
        file.seek(0)
        kind = first_bytes_kind(file.read(512))
        if kind in _OTHER_KINDS:
            words = f"{name} begins as {kind} and not as msgpack records. Unpack it, or fetch it again."
            yield _without_image(name, 0, size, "wrong_shape", words)
            return
        start, breaks, first_key = 0, 0, b""
        while start < size:
            stream = _Stream(file, start)
            yield from _whole_entries(stream)
            first_key = stream.first_key or first_key
            if stream.end >= size:
                return
            breaks += 1
            start = _next_record(file, stream.end + 1, size, first_key) if breaks <= MAX_BREAKS else size
            yield _broken(stream, size, start, breaks)

    def image(self, stored: bytes) -> bytes:
        """The photograph in one record; `MissingImageError` when the bytes are no record, as in a changed file."""
        try:
            record = msgpack.unpackb(stored, **_LIMITS)
        except _FAULTS as error:
            raise MissingImageError(
                f"found {len(stored)} bytes that are no msgpack record: {_words(error)}."
            ) from error
        image = _field(record, "image") if isinstance(record, dict) else None
        if not isinstance(image, bytes):
            raise MissingImageError("The msgpack record holds no image; the file has changed since it was listed.")
        return image


class _Stream:
    """The objects of a file from one offset on, until the end or the first fault."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self.end = start
        """Offset in bytes after the last whole object."""
        self.fault: Exception | None = None
        self.first_key = b""
        """The first key of the last right record."""
        self._file, self._start = file, start

    def objects(self) -> Iterator[tuple[int, int, Any]]:
        """Offset, length and value of each object."""
        self._file.seek(self._start)
        unpacker = msgpack.Unpacker(self._file, max_buffer_size=MAX_RECORD_BYTES, **_LIMITS)
        while True:
            try:
                value = unpacker.unpack()
            except SourceError:  # the store does not answer; that says nothing about the bytes
                raise
            except _FAULTS as error:
                self.fault = error
                return
            begin, self.end = self.end, self._start + unpacker.tell()
            yield begin, self.end - begin, value


def _whole_entries(stream: _Stream) -> Iterator[Entry]:
    """Entries of one unbroken run; neighbours that are no records at all are one: damage looks like many numbers."""
    begin, types = 0, list[str]()
    for offset, length, value in stream.objects():
        if not isinstance(value, dict) or not (b"id" in value or b"image" in value):
            begin = begin if types else offset
            types += [type(value).__name__] if len(types) < 3 else []
            continue
        if types:
            yield _strangers(begin, offset, types)
            types = []
        entry = _entry(value, offset, length)
        if entry.problem is None and len(key := next(iter(value))) <= 64:
            stream.first_key = key
        yield entry
    if types:
        yield _strangers(begin, stream.end, types)


def _entry(record: dict[Any, Any], offset: int, length: int) -> Entry:
    image, image_id = _field(record, "image"), text_of(_field(record, "id"))
    problem = _wrong_shape(record, image, image_id)
    where = image_id if image_id and len(image_id) <= MAX_ID_LENGTH else f"record at byte {offset}"
    if problem is not None:
        return _without_image(where, offset, length, "wrong_shape", problem)
    lat_deg, lat_detail = degrees_of(_field(record, *ALIASES["lat_deg"]), "latitude")
    lon_deg, lon_detail = degrees_of(_field(record, *ALIASES["lon_deg"]), "longitude")
    return Entry(
        name=where,
        offset=offset,
        length=length,
        digest=digest_of(image),
        first_bytes_kind=first_bytes_kind(image),
        detail="; ".join(part for part in (lat_detail, lon_detail) if part),
        image_id=image_id,
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        author=text_of(_field(record, *ALIASES["author"])),
        credit=text_of(_field(record, *ALIASES["credit"])),
        set_name=text_of(_field(record, *ALIASES["set_name"])),
    )


def _wrong_shape(record: Mapping[Any, Any], image: Any, image_id: str | None) -> str | None:
    """What is wrong with a map, to a person; None for a record."""
    keys = ", ".join(str(text_of(key))[:40] for key in list(record)[:8]) or "(none)"
    if image_id is None:
        return f"found a map with the keys {keys}; expected an id that is text."
    if len(image_id) > MAX_ID_LENGTH:
        return f"found an id of {len(image_id)} letters; expected at most {MAX_ID_LENGTH}."
    if image is None:
        return f"found a map with the keys {keys}; expected an image beside the id."
    if not isinstance(image, bytes):
        return f"found an image of type {type(image).__name__}; expected bytes, the photograph's file."
    return None


def _strangers(begin: int, end: int, types: Sequence[str]) -> Entry:
    """The entry of neighbouring objects without id and image; `types` are those of the first."""
    words = (
        f"found {', '.join(types)} without id and image in the bytes {begin} to {end}; expected maps that have both."
    )
    return _without_image(f"bytes {begin} to {end}", begin, end - begin, "wrong_shape", words)


def _broken(stream: _Stream, size: int, resumed: int, breaks: int) -> Entry:
    """The entry of a damaged stretch, from the last whole object to where reading went on (`size`: nowhere)."""
    cut = isinstance(stream.fault, msgpack.exceptions.OutOfData) and resumed >= size
    lost = resumed - stream.end
    words = f"{lost} bytes from byte {stream.end} of {size} are no whole record ({_words(stream.fault)})"
    if breaks > MAX_BREAKS:
        words += f"; {MAX_BREAKS} damaged stretches came before, the rest is given up"
    problem = "truncated" if cut else "unreadable"
    return _without_image(
        f"bytes {stream.end} to {resumed}", stream.end, lost, problem, f"{words}. Fetch the file again."
    )


def _next_record(file: BinaryIO, start: int, size: int, first_key: bytes) -> int:
    """Offset of the next bytes from `start` on that look like the head of a record, else `size`."""
    keys = {first_key} if first_key else {b"id", b"image"}
    encoded = {form for key in keys for form in (msgpack.packb(key), msgpack.packb(key, use_bin_type=False))}
    head = re.compile(rb"(?:[\x81-\x8f]|\xde..)(?:" + b"|".join(map(re.escape, sorted(encoded))) + b")", re.DOTALL)
    longest = 3 + max(map(len, encoded))
    position, kept = start, b""
    file.seek(start)
    while piece := file.read(_SCAN_BYTES):
        found = head.search(kept + piece)
        if found is not None:
            return position - len(kept) + found.start()
        position += len(piece)
        kept = (kept + piece)[1 - longest :]
    return size


def _without_image(name: str, offset: int, length: int, problem: str, detail: str) -> Entry:
    return Entry(
        name=name, offset=offset, length=length, digest=None, first_bytes_kind=None, problem=problem, detail=detail
    )


def _field(record: Mapping[Any, Any], *names: str) -> Any:
    """The value of the first key that is there, as bytes or as text."""
    return next((record[key] for name in names if (key := name.encode()) in record), None)


def _words(error: Exception | None) -> str:
    """What msgpack found wrong, to a person."""
    if isinstance(error, msgpack.exceptions.OutOfData):
        return "it claims more bytes than follow"
    if isinstance(error, msgpack.exceptions.BufferFull):
        return f"it claims more than the {MAX_RECORD_BYTES} bytes that are read"
    if isinstance(error, msgpack.exceptions.StackError):
        return "it is nested too deep"
    if isinstance(error, msgpack.exceptions.FormatError):
        return "it is no msgpack"
    return str(error).rstrip(".") or type(error).__name__
