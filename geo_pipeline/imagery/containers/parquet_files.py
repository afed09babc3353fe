"""Reads Parquet files that hold photographs: a Hugging Face image column (struct of bytes and path) or plain bytes.

A row is addressed by its number in the file; rows of one row group are read together, a few at a time. Which columns
count belongs to `parquet_columns`, files of metadata alone to `metadata`, the source over containers to
`containers.source`.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from geo_pipeline.imagery.containers.entries import Entry, digest_of
from geo_pipeline.imagery.containers.parquet_columns import WrongColumnsError, image_columns
from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.source import MissingImageError

HELD_BYTES = 64 << 20
"""What the rows held at a time may take, by the totals of the footer."""
MOST_ROWS_HELD = 64
BOMB_BYTES, MOST_EXPANSION = 256 << 20, 20
"""A row group that claims to unpack to more than both, bytes and times the file's size, is taken for a bomb:
photographs are compressed already."""
MOST_DAMAGED_ROWS = 100_000
"""Rows of a damaged row group up to which each gets an entry of its own; beyond, the number in the footer is not
believed and one entry stands for all."""
_LONGEST_TEXT, _LONGEST_LIST = 64 << 20, 1 << 20
"""Largest text (bytes) and longest list that the footer may hold."""


@dataclass(frozen=True)
class ParquetReader:
    """The `Reader` of Parquet files; an entry's offset is the number of the row in the file, its length 1."""

    suffixes = (".parquet", ".pq")

    def entries(self, file: BinaryIO, name: str) -> Iterator[Entry]:
        """An entry per row, in order; its block is the row group.

        Problems: `missing_file` (no bytes in the row), `unreadable` (damaged pages), `decompression_bomb`; a file that
        is no whole Parquet file is one entry with `truncated`, `unreadable` or `zero_bytes`. Raises `SourceError` when
        no column holds images: the columns found are listed.
        """
        try:
            table = _ImageTable(file, name)
        except _NotParquetError as error:
            yield Entry(name, 0, 1, None, None, problem=error.problem, detail=str(error))
            return
        for group in range(len(table.firsts) - 1):
            yield from _group_entries(table, group)

    def images(self, file: BinaryIO, offsets: Sequence[int]) -> Iterator[bytes | MissingImageError]:
        """The photographs of these rows, in the given order; a run of rows of one row group is read once.

        In the place of a row that cannot be had stands a `MissingImageError`. Memory: a few rows when the rows ascend,
        else the photographs of one run.
        """
        try:
            table = _ImageTable(file, "The Parquet file")
        except (_NotParquetError, WrongColumnsError) as error:
            yield from (MissingImageError(str(error)) for _ in offsets)
            return
        for group, run in groupby(offsets, lambda row: bisect_right(table.firsts, row) - 1):
            rows = list(run)
            if 0 <= group < len(table.firsts) - 1:
                yield from _group_images(table, group, [row - table.firsts[group] for row in rows])
            else:
                words = f"found {table.firsts[-1]} rows, not row {rows[0]}; the file has changed since it was listed."
                yield from (MissingImageError(words) for _ in rows)

    def image(self, stored: bytes) -> bytes:
        """The photograph as it is: the bytes of a cell need no unpacking."""
        return stored


class _NotParquetError(ValueError):
    """The bytes are no Parquet file, or its footer is damaged; `problem` is the machine word."""

    def __init__(self, problem: str, words: str) -> None:
        super().__init__(words)
        self.problem = problem

    def __reduce__(self) -> tuple[type["_NotParquetError"], tuple[str, str]]:
        """Made again from its parts where a worker's error reaches the driver."""
        return type(self), (self.problem, str(self))


class _ImageTable:
    """An open Parquet file with its columns, and the number of the first row of each row group (and of the end)."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.bytes = file.seek(0, 2)
        try:
            self._parquet = pq.ParquetFile(
                file,
                pre_buffer=False,  # a row group may be larger than memory
                buffer_size=1 << 20,
                page_checksum_verification=True,
                thrift_string_size_limit=_LONGEST_TEXT,
                thrift_container_size_limit=_LONGEST_LIST,
            )
            schema = self._parquet.schema_arrow
            counts = [self._group(group).num_rows for group in range(self._parquet.metadata.num_row_groups)]
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            _reraise_store_error(error)
            words = f"{name}: found {self.bytes} bytes that are no whole Parquet file ({_first_line(error)}). "
            raise _NotParquetError(_footer_problem(file, self.bytes), words + "Fetch or write it again.") from error
        if min(counts, default=0) < 0 or sum(counts) != self._parquet.metadata.num_rows:
            words = f"{name}: the footer claims {self._parquet.metadata.num_rows} rows, its row groups {sum(counts)}. "
            raise _NotParquetError("unreadable", words + "Fetch or write it again.")
        self.firsts = [0, *accumulate(counts)]
        self.columns = image_columns(schema, name)

    def rows(self, group: int) -> int:
        """Rows of a row group, as the footer says."""
        return self.firsts[group + 1] - self.firsts[group]

    def batches(self, group: int, leaves: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The leaves of a row group, so few rows at a time that they stay small even if each is the largest there is.

        Only the totals of row groups are asked: pyarrow ends the whole process at the damaged footer of a column.
        """
        largest = max(1, self._group(group).total_byte_size)
        rows = max(1, min(MOST_ROWS_HELD, HELD_BYTES // largest))
        return self._parquet.iter_batches(rows, row_groups=[group], columns=list(leaves), use_threads=False)

    def bomb(self, group: int) -> str | None:
        """Words for a row group that claims to unpack to far more than the file is."""
        claimed = self._group(group).total_byte_size
        if claimed <= max(BOMB_BYTES, MOST_EXPANSION * self.bytes):
            return None
        return f"Row group {group} claims {claimed} bytes in a file of {self.bytes}. Write the file again."

    def _group(self, group: int) -> Any:
        return self._parquet.metadata.row_group(group)


def _group_entries(table: _ImageTable, group: int) -> Iterator[Entry]:
    """Entries of one row group; where its pages break, entries with a problem up to its end."""
    columns, first = table.columns, table.firsts[group]
    done, fault = 0, "holds fewer rows than its footer says"
    bomb = table.bomb(group)
    if bomb is not None:
        yield from _damaged_entries(table, group, 0, "decompression_bomb", bomb)
        return
    try:
        for batch in table.batches(group, [columns.bytes_leaf, *columns.beside]):
            images, facts = columns.images(batch), columns.facts(batch)
            for number, (image, beside) in enumerate(zip(images, facts, strict=True), first + done):
                yield _entry(number, group, image.as_buffer(), beside)
            done += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        _reraise_store_error(error)
        fault = f"is damaged ({_first_line(error)})"
    if done < table.rows(group):
        words = f"Row group {group} {fault}. Fetch or write the file again."
        yield from _damaged_entries(table, group, done, "unreadable", words)


def _entry(row: int, group: int, image: pa.Buffer | None, beside: dict[str, Any]) -> Entry:
    if image is None:
        words = f", only the path {beside['name']}" if beside["name"] else ""
        return _without_image(row, group, "missing_file", f"The row has no image{words}.", beside)
    data = memoryview(image)
    facts = {**beside, "name": beside["name"] or f"row {row}", "first_bytes_kind": first_bytes_kind(bytes(data[:512]))}
    return Entry(offset=row, length=1, digest=digest_of(data), block=group, **facts)


def _damaged_entries(table: _ImageTable, group: int, done: int, problem: str, words: str) -> Iterator[Entry]:
    """An entry per row of a group that cannot be read from its row `done` on; with its id where that can be read."""
    rows, first = table.rows(group), table.firsts[group]
    if rows - done > MOST_DAMAGED_ROWS:
        yield _without_image(first + done, group, problem, f"{words} It stands for {rows - done} rows.", {})
        return
    beside: list[dict[str, Any]] = []
    if problem != "decompression_bomb" and table.columns.beside:
        try:
            for batch in table.batches(group, table.columns.beside):
                beside += table.columns.facts(batch)
        except (pa.ArrowException, OSError) as error:
            _reraise_store_error(error)
    for number in range(done, rows):
        yield _without_image(first + number, group, problem, words, beside[number] if number < len(beside) else {})


def _without_image(row: int, group: int, problem: str, words: str, beside: dict[str, Any]) -> Entry:
    facts = {**beside, "name": beside.get("name") or f"row {row}", "detail": words}
    return Entry(offset=row, length=1, digest=None, first_bytes_kind=None, problem=problem, block=group, **facts)


def _group_images(table: _ImageTable, group: int, rows: Sequence[int]) -> Iterator[bytes | MissingImageError]:
    """The photographs of these rows of one row group (numbers within it), in the given order, in one reading."""
    if all(left <= right for left, right in pairwise(rows)):
        yield from _ascending_images(table, group, rows)
    else:
        ascending = sorted(rows)
        held = dict(zip(ascending, _ascending_images(table, group, ascending), strict=True))
        yield from (held[row] for row in rows)


def _ascending_images(table: _ImageTable, group: int, rows: Sequence[int]) -> Iterator[bytes | MissingImageError]:
    waiting, done = deque(rows), 0
    bomb = table.bomb(group)
    fault = bomb or f"Row group {group} holds fewer rows than its footer says."
    try:
        for batch in () if bomb else table.batches(group, [table.columns.bytes_leaf]):
            images = table.columns.images(batch)
            while waiting and waiting[0] < done + batch.num_rows:
                image = images[waiting.popleft() - done].as_py()
                yield MissingImageError("The row has no image.") if image is None else image
            done += batch.num_rows
            if not waiting:
                return
    except (pa.ArrowException, OSError) as error:
        _reraise_store_error(error)
        fault = f"Row group {group} is damaged ({_first_line(error)})."
    yield from (MissingImageError(fault) for _ in waiting)


def _reraise_store_error(error: Exception) -> None:
    """Pass on an error of the disk or the network, which must not be taken for damage; pyarrow's have no number."""
    if isinstance(error, OSError) and not (type(error) is OSError and error.errno is None):
        raise error


def _footer_problem(file: BinaryIO, size: int) -> str:
    file.seek(0)
    begins = file.read(4) == b"PAR1"
    file.seek(max(0, size - 4))
    return "zero_bytes" if size == 0 else "truncated" if begins and file.read(4) != b"PAR1" else "unreadable"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
