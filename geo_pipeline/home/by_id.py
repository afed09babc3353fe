"""The rows of some images of a Parquet file, without reading the rest of it.

The ids of a file are read once per process (a column of some ten bytes a row); then only the row groups that hold some
of the wanted ids are opened, one at a time. Which file belongs to which artifact is known to home.py.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geo_pipeline.home.integrity import file_state

KEPT_FILES = 4096
"""Files whose ids are kept: those of four million images take about 100 MB."""


def row_groups_by_id(location: Path, columns: Sequence[str] | None, ids: pa.Array) -> Iterator[pa.Table]:
    """The rows with one of these ids, in the order of the file: one table for each row group that holds some.

    `ids`: strings. `columns`: all where None. Raises KeyError for a column that the file has not.
    """
    known, ends = _ids_of(str(location), file_state(str(location)))
    masks = np.split(pc.is_in(known, value_set=ids).to_numpy(zero_copy_only=False), ends[:-1])
    holding = [group for group, mask in enumerate(masks) if mask.any()]
    if not holding:
        return
    with pq.ParquetFile(location) as file:
        for group in holding:
            rows = file.read_row_group(group, columns=None if columns is None else list(columns))
            rows = rows if columns is None else rows.select(list(columns))
            yield rows.filter(pa.array(masks[group]))


def rows_by_id(location: Path, columns: Sequence[str] | None, ids: Sequence[str]) -> pa.Table:
    """The rows with one of these ids as one table, see `row_groups_by_id`; without rows where there is none."""
    found = list(row_groups_by_id(location, columns, pa.array(ids, pa.string())))
    if found:
        return pa.concat_tables(found)
    empty = pq.read_schema(location).empty_table()
    return empty if columns is None else empty.select(list(columns))


@lru_cache(maxsize=KEPT_FILES)
def _ids_of(location: str, state: tuple[int, ...]) -> tuple[pa.Array, np.ndarray]:
    """The ids of a file in this state, and the row after the last of each row group: int64 (G,)."""
    with pq.ParquetFile(location) as file:
        rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ids = file.read(columns=["image_id"])["image_id"].combine_chunks()
    return ids, np.cumsum(rows, dtype=np.int64)
