"""The entries of one container as a table, kept in a Parquet file so that an unchanged container is read only once.

What an entry is belongs to `entries`, what they mean for a source to `containers.source`, the files that keep them to
`kept_tables`.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.containers.entries import Entry, Reader
from geo_pipeline.imagery.kept_tables import forget_others, read_kept, short, write_kept
from geo_pipeline.imagery.photograph import schema
from geo_pipeline.imagery.source import MissingImageError, SourceError
from geo_pipeline.imagery.stores.files import Files
from geo_pipeline.imagery.stores.store import FoundFile

INDEX_VERSION = 4
"""Raised when readers come to list containers otherwise, so that kept indexes are made anew."""
INDEX = schema(Entry._fields, offset=pa.int64(), length=pa.int64(), digest=pa.string(), block=pa.int64())
"""The entries of one container as a table: the fields of `Entry`."""
_ROWS = 65_536


def index_of(files: Files, container: FoundFile, reader: Reader, kind: str, kept: Path | None) -> pa.Table:
    """The entries of a container as a table of INDEX, from the folder `kept` where it is there.

    A kept index counts for one container, kind and identity; a damaged one is made anew. Raises `SourceError` when the
    container cannot be opened or is of another kind.
    """
    if kept is None:
        return _without_superseded(pa.Table.from_batches(_batches(files, container, reader), schema=INDEX), reader)
    name = short(f"{INDEX_VERSION} {kind} {files.root} {container.name}")
    path = kept / f"{name}-{short(container.identity)}.parquet"
    table = read_kept(path, INDEX)
    if table is None:
        write_kept(path, INDEX, _batches(files, container, reader))
        table = read_kept(path, INDEX)
        if table is None:
            raise SourceError(f"found {path} damaged as soon as it was written. Check the disk, and run again.")
    forget_others(path, name)
    return _without_superseded(table, reader)


def _batches(files: Files, container: FoundFile, reader: Reader) -> Iterator[pa.RecordBatch]:
    try:
        with files.open(container.name) as file:
            entries = reader.entries(file, container.name)
            while piece := list(islice(entries, _ROWS)):
                yield _batch(piece)
    except MissingImageError as error:
        raise SourceError(f"found that {container.name} in {files.root} cannot be opened: {error}") from error


def _batch(entries: list[Entry]) -> pa.RecordBatch:
    columns = dict(zip(Entry._fields, map(list, zip(*entries, strict=True)), strict=True))
    return pa.RecordBatch.from_pydict(columns, schema=INDEX)


def _without_superseded(table: pa.Table, reader: Reader) -> pa.Table:
    """Where a later entry of the same name replaces an earlier one (tar), the earlier one has a problem and no name."""
    if not getattr(reader, "last_wins", False) or not len(table):
        return table
    table = table.combine_chunks()
    good = np.flatnonzero(pc.is_null(table["problem"]).to_numpy(zero_copy_only=False))
    names = table["name"].take(pa.array(good)).combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy(zero_copy_only=False)
    last = np.full(len(names.dictionary), -1, np.int64)
    last[codes] = good
    replaced = np.zeros(len(table), bool)
    replaced[good] = last[codes] != good
    if not replaced.any():
        return table
    mask = pa.array(replaced)
    places = pc.binary_join_element_wise(table["name"], table["offset"].cast(pa.string()), "@")
    words = "A later member has the same name and replaces it, as it would when the archive is unpacked."
    for name, value in (("name", places), ("problem", "superseded"), ("detail", words)):
        table = table.set_column(INDEX.get_field_index(name), name, pc.if_else(mask, value, table[name]))
    return table
