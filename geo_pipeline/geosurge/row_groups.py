"""Bytes of images and class maps, read by Parquet row group and kept while there is room.

The ids, sets and coordinates of all rows are read at once (they are small), pixels only when asked for. Decoding and
batches belong to `pairs`, the order of reading to `order`.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_MIB = 1 << 20


class ColumnFiles:
    """One binary column over many Parquet files, addressed by the number of a row counted through all files."""

    def __init__(self, paths: Sequence[Path], column: str) -> None:
        self.paths, self.column = list(paths), column
        rows = [
            (file, group, footer.row_group(group).num_rows)
            for file, footer in enumerate(map(pq.read_metadata, paths))
            for group in range(footer.num_row_groups)
        ]
        self.groups = [(file, group) for file, group, _ in rows]
        self.starts = np.concatenate([[0], np.cumsum([count for _, _, count in rows], dtype=np.int64)])

    def group_of(self, rows: np.ndarray) -> np.ndarray:
        """The row group, counted through all files, of each row."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def read(self, group: int) -> pa.Array:
        """The column of one row group."""
        file, inside = self.groups[group]
        with pq.ParquetFile(self.paths[file]) as opened:
            column: pa.Array = opened.read_row_group(inside, columns=[self.column])[self.column].combine_chunks()
        return column


class KeptGroups:
    """The row groups last read of one `ColumnFiles`, up to `budget_mib`; safe to use from several threads."""

    def __init__(self, files: ColumnFiles, budget_mib: int) -> None:
        self.files, self._budget = files, budget_mib * _MIB
        self._kept: OrderedDict[int, pa.Array] = OrderedDict()
        self._size = 0
        self._lock = Lock()
        self.reads = 0

    def value(self, row: int) -> bytes:
        """The bytes at a row."""
        group = int(self.files.group_of(np.asarray([row]))[0])
        found: bytes = self._group(group)[row - int(self.files.starts[group])].as_py()
        return found

    def _group(self, group: int) -> pa.Array:
        with self._lock:
            if group in self._kept:
                self._kept.move_to_end(group)
                return self._kept[group]
            column = self.files.read(group)
            self.reads += 1
            self._kept[group] = column
            self._size += column.nbytes
            while self._size > self._budget and len(self._kept) > 1:
                self._size -= self._kept.popitem(last=False)[1].nbytes
            return column


def read_columns(paths: Sequence[Path], columns: Sequence[str]) -> pa.Table:
    """Small columns of all files, in their order."""
    return pa.concat_tables([pq.read_table(path, columns=list(columns), partitioning=None) for path in paths])


def rows_by_id(ids: pa.ChunkedArray, wanted: pa.ChunkedArray) -> np.ndarray:
    """For each wanted id its row among `ids`, -1 where there is none: int64 (N,)."""
    found: np.ndarray = pc.index_in(wanted, ids.combine_chunks()).fill_null(-1).to_numpy().astype(np.int64)
    return found


def files_digest(paths: Sequence[Path]) -> str:
    """A digest of what the files hold: the content hash in their footer, or else of their bytes."""
    digest = hashlib.sha256()
    for path in paths:
        known = (pq.read_metadata(path).metadata or {}).get(b"content_hash")
        if known is None:
            with path.open("rb") as file:
                known = hashlib.file_digest(file, "sha256").hexdigest().encode()
        digest.update(known + b"\n")
    return digest.hexdigest()
