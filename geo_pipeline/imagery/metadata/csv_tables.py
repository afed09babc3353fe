"""Reads CSV of any size as batches of Arrow text columns, with the line and the number of cells of every record.

Knows encodings, delimiters, line ends, quotes, blank lines, ragged records; no record of a file is left out. What the
columns mean belongs to `layout`, what the cells mean to `cells`, the cutting itself to `csv_scan`.
"""

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.metadata.csv_scan import copy_cells, scan
from geo_pipeline.imagery.source import SourceError

PIECE_BYTES = 16 << 20
"""Bytes that are read at once."""
LONGEST_RECORD = 64 << 20
"""A record with more bytes than this is no row of a table."""
BATCH_ROWS = 262_144
DELIMITERS = (",", ";", "\t", "|")
LONGEST_TAIL = 65_536
"""Bytes after the last blank line that are kept, so that a summary at the end can be told from rows."""
_NO_QUOTE = 256
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip (or a spreadsheet)"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"(\xb5/\xfd", "zstd"),
)


@dataclass(frozen=True)
class CsvLayout:
    """How a file is cut: `columns` are the numbers (from 0) of the wanted columns by name; `width` cells a record."""

    delimiter: str
    quote: bool
    width: int
    columns: Mapping[str, int]


@dataclass(frozen=True)
class CellBatch:
    """Some records: `texts` by wanted column (empty ones null), `line` (from 1), `width`, `open_quote` (rows,)."""

    texts: dict[str, pa.StringArray]
    line: np.ndarray
    width: np.ndarray
    open_quote: np.ndarray


@dataclass
class CsvFile:
    """A CSV file that is read once, from its beginning to its end.

    `piece_bytes` are cut at once, a record has at most `longest_record` bytes. `first_lines` gives the beginning for
    finding the layout, `batches` the records. Afterwards `blank` counts the blank records passed over, `not_utf8` the
    cells that were read as Windows-1252, and `tail_start` and `tail` are the number of the first record after the last
    blank one and the bytes from there on (None: too many for a summary, or none).
    """

    file: BinaryIO
    where: str
    piece_bytes: int = PIECE_BYTES
    longest_record: int = LONGEST_RECORD
    blank: int = 0
    not_utf8: int = 0
    tail_start: int | None = None
    tail: bytes | None = None
    _pieces: Iterator[bytes] = field(init=False)
    _head: bytes = field(init=False)
    _rest: np.ndarray = field(init=False)
    _skipped_lines: int = 0

    def __post_init__(self) -> None:
        """Read the first piece, in UTF-8 or what is read as such."""
        self._pieces = _pieces(self.file, self.where)
        self._head = next(self._pieces, b"")

    def first_lines(self, count: int) -> list[str]:
        """Up to `count` lines from the beginning that are not blank, without their ends."""
        lines = self._head[:LONGEST_TAIL].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return [_decoded(line)[0] for line in lines if line.strip(b" \t\r\n\0")][:count]

    def skip_line(self) -> str:
        """Pass over everything up to the end of the first line that is not blank, and return that line."""
        at, end = 0, 0
        while at < len(self._head):
            ends = [found for found in (self._head.find(b"\n", at), self._head.find(b"\r", at)) if found >= 0]
            end = min(ends, default=len(self._head))
            line = self._head[at:end]
            at = end + (2 if self._head[end : end + 2] == b"\r\n" else 1)
            self._skipped_lines += 1
            if line.strip(b" \t\0"):
                if not ends and len(self._head) >= PIECE_BYTES:
                    raise SourceError(_too_long(self.where, self._skipped_lines, len(self._head)))
                self._head = self._head[at:]
                return _decoded(line)[0]
            self.blank += 1
        self._head = b""
        return ""

    def batches(self, layout: CsvLayout) -> Iterator[CellBatch]:
        """Every record, in order; `SourceError` for a record that is too long."""
        slot_of = np.full(max(layout.columns.values()) + 1, -1, np.int64)
        for slot, number in enumerate(layout.columns.values()):
            slot_of[number] = slot
        quote = ord('"') if layout.quote else _NO_QUOTE
        rows, line, blank_before = 0, self._skipped_lines, False
        for data, final in self._buffers():
            at = 0
            while at < len(data):
                cells = np.empty((len(layout.columns), BATCH_ROWS, 2), np.int64)
                records = np.empty((BATCH_ROWS, 4), np.int64)
                count, after, lines, blank, start, blank_before = scan(
                    data, at, final, blank_before, ord(layout.delimiter), quote, layout.width, slot_of, cells, records
                )
                if after == at:
                    break
                self._keep_tail(data, at, after, None if start < 0 else (rows + start, int(records[start, 0])))
                self.blank += blank
                if count:
                    yield self._batch(data, layout, cells[:, :count], records[:count], line, quote)
                rows, line, at = rows + count, line + lines, after
            self._rest = data[at:]
            if len(self._rest) > self.longest_record:
                raise SourceError(_too_long(self.where, line + 1, self.longest_record))

    def _buffers(self) -> Iterator[tuple[np.ndarray, bool]]:
        """The bytes to cut: what the last cut left over, and the next piece; the last one is marked."""
        self._rest = np.empty(0, np.uint8)
        pieces = chain([self._head], self._pieces)
        cut = (piece[at : at + self.piece_bytes] for piece in pieces for at in range(0, len(piece), self.piece_bytes))
        self._head = b""
        piece = next(cut, None)
        while piece is not None:
            following = next(cut, None)
            new = np.frombuffer(piece, np.uint8)
            yield (np.concatenate([self._rest, new]) if len(self._rest) else new), following is None
            piece = following

    def _keep_tail(self, data: np.ndarray, at: int, after: int, start: tuple[int, int] | None) -> None:
        if start is not None:
            self.tail_start, self.tail = start[0], b""
            at = start[1]
        if self.tail is not None:
            self.tail = None if len(self.tail) + after - at > LONGEST_TAIL else self.tail + data[at:after].tobytes()

    def _batch(
        self, data: np.ndarray, layout: CsvLayout, cells: np.ndarray, records: np.ndarray, line: int, quote: int
    ) -> CellBatch:
        texts = {name: self._texts(data, cells[slot], quote) for slot, name in enumerate(layout.columns)}
        return CellBatch(texts, records[:, 1] + line + 1, records[:, 2], records[:, 3] != 0)

    def _texts(self, data: np.ndarray, cells: np.ndarray, quote: int) -> pa.StringArray:
        """One column of cells as text: UTF-8, a cell that is not as Windows-1252."""
        out = np.empty(int((cells[:, 1] - cells[:, 0]).sum()), np.uint8)
        offsets = np.empty(len(cells) + 1, np.int32)
        out = out[: copy_cells(data, cells, quote, out, offsets)]
        texts = _string_array(out, offsets)
        if len(out) and out.max() >= 0x80:
            try:
                texts.validate(full=True)
            except pa.ArrowInvalid:
                decoded = [_decoded(cell or b"") for cell in texts.cast(pa.binary()).to_pylist()]
                self.not_utf8 += sum(not is_utf8 for _, is_utf8 in decoded)
                texts = pa.array([text for text, _ in decoded], pa.string())
            texts = pc.utf8_trim_whitespace(texts)
            texts = pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar(None, pa.string()), texts)
        return texts


def delimiter_of(line: str, known: Counter[str]) -> str:
    """The delimiter of a first line: the one whose cells are best `known`, then the one that occurs most."""
    return max(DELIMITERS, key=lambda each: (known[each], line.count(each)))


def cells_of(line: str, delimiter: str, quote: bool = True) -> list[str]:
    """The cells of one line."""
    if not quote:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])


def _string_array(out: np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    """Texts from their bytes and offsets, empty ones null."""
    there = offsets[1:] > offsets[:-1]
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.StringArray.from_buffers(len(there), pa.py_buffer(offsets), pa.py_buffer(out), valid)


def _pieces(file: BinaryIO, where: str) -> Iterator[bytes]:
    """The bytes of a file in pieces, in UTF-8 or one of the encodings of one byte per letter, without a byte mark."""
    head = file.read(PIECE_BYTES)
    for start, name in _OTHER_FILES:
        if head.startswith(start):
            raise SourceError(
                f"{where}: found a {name} file; expected CSV, Parquet or JSON. Unpack it or save it as CSV."
            )
    encoding = _wide_encoding(head)
    if encoding is None:
        yield head.removeprefix(codecs.BOM_UTF8)
        while piece := file.read(PIECE_BYTES):
            yield piece
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    while head:
        yield decoder.decode(head).encode("utf-8", "replace")
        head = file.read(PIECE_BYTES)
    yield decoder.decode(b"", True).encode("utf-8", "replace")


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32, by its byte mark or by the zeros between letters."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    sample = np.frombuffer(head[: 4096 & ~1], np.uint8)
    sample = sample[: len(sample) // 2 * 2].reshape(-1, 2) == 0
    if len(sample) < 8:
        return None
    even, odd = sample.mean(axis=0)
    if odd > 0.5 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.5 and odd < 0.1 else None


def _decoded(cell: bytes) -> tuple[str, bool]:
    """Text of a cell, and whether it was UTF-8."""
    try:
        return cell.decode("utf-8"), True
    except UnicodeDecodeError:
        try:
            return cell.decode("cp1252"), False
        except UnicodeDecodeError:
            return cell.decode("latin-1"), False


def _too_long(where: str, line: int, count: int) -> str:
    return (
        f"{where}: found more than {count >> 20} MiB without the end of a row from line {line} on; expected a CSV or "
        "Parquet file with one row per photograph. Check that it is the right file."
    )
