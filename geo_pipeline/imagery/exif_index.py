"""What the EXIF of loose photographs says, kept in a Parquet file so that an unchanged photograph is read only once.

The tags belong to `exif`, what the folder is for to `folder`.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.exif import position_from_exif
from geo_pipeline.imagery.file_kind import first_bytes_kind, photograph_formats
from geo_pipeline.imagery.kept_tables import forget_others, read_kept, short, write_kept
from geo_pipeline.imagery.photograph import schema
from geo_pipeline.imagery.source import MissingImageError

VERSION = 3
"""Raised when EXIF comes to be read otherwise, so that all photographs are read again."""
READ_AT_ONCE = 256
WRITTEN_AT_ONCE = 65_536
"""Photographs after which what was read is written, so that a listing that breaks off does not begin anew."""
_NOT_READ = "missing_file"


class _Facts(NamedTuple):
    lat_deg: float | None = None
    lon_deg: float | None = None
    problem: str | None = None
    detail: str = ""
    first_bytes_kind: str | None = None


FACTS = schema(("name", "identity", *_Facts._fields), identity=pa.string())
"""One row per photograph: its position, or the problem why it has none; `name` and `identity` as in files.FOUND."""


def exif_facts(
    found: pa.Table,
    read_many: Callable[[Sequence[str]], Iterator[bytes | MissingImageError]],
    kept: Path | None,
    root: str,
) -> pa.Table:
    """The rows of FACTS for the files `found` (files.FOUND without problems), in their order.

    Files that the folder `kept` knows under their name and identity are not read. Not kept: what could not be read, and
    what has no mark by which a change would show (a web server's list).
    """
    path, known = _place(kept, root), FACTS.empty_table()
    if path is not None:
        known = read_kept(path, FACTS) or known
    unread = found.filter(pc.is_null(pc.index_in(_keys(found), value_set=_keys(known))))
    read: list[pa.RecordBatch] = []
    written = 0
    for start in range(0, len(unread), READ_AT_ONCE):
        piece = unread.slice(start, READ_AT_ONCE)
        read.append(_batch(piece, read_many(piece["name"].to_pylist())))
        if path is not None and start + len(piece) - written >= WRITTEN_AT_ONCE:
            written = start + len(piece)
            _write(path, pa.concat_tables([known, pa.Table.from_batches(read, FACTS)]))
    all_known = pa.concat_tables([known, pa.Table.from_batches(read, FACTS)])
    facts = all_known.take(pc.index_in(_keys(found), value_set=_keys(all_known)))
    if path is not None and (len(unread) or len(known) != len(found)):
        _write(path, facts)
    return facts


def _place(kept: Path | None, root: str) -> Path | None:
    """Another Pillow may decode other formats, so that what it says of a file counts only for these."""
    if kept is None:
        return None
    name = f"exif-{short(root)}"
    path = kept / f"{name}-{short(f'{VERSION} {photograph_formats()}')}.parquet"
    forget_others(path, name)
    return path


def _write(path: Path, facts: pa.Table) -> None:
    marked = pc.and_(pc.invert(pc.ends_with(facts["identity"], "-")), pc.not_equal(facts["identity"], ""))
    was_read = pc.not_equal(pc.fill_null(facts["problem"], ""), _NOT_READ)
    write_kept(path, FACTS, facts.filter(pc.and_(marked, was_read)).to_batches(WRITTEN_AT_ONCE))


def _keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["name"], table["identity"], "\0")


def _batch(piece: pa.Table, data: Iterator[bytes | MissingImageError]) -> pa.RecordBatch:
    facts = [_facts(each) for each in data]
    columns = {field: [getattr(each, field) for each in facts] for field in _Facts._fields}
    beside = {name: piece[name].to_pylist() for name in ("name", "identity")}
    return pa.RecordBatch.from_pydict(beside | columns, schema=FACTS)


def _facts(data: bytes | MissingImageError) -> _Facts:
    if isinstance(data, MissingImageError):
        return _Facts(problem=_NOT_READ, detail=str(data))
    kind = first_bytes_kind(data)
    return _Facts(*position_from_exif(data), first_bytes_kind=kind)
