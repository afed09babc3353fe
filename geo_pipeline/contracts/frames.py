"""Between polars, in which tables are computed, and Arrow and Parquet, in which they are stored. No check of values.

Home checks every table that it writes or reads against its contract. This is the only module that knows that polars
spells text and lists otherwise than our contracts do, and what it says of a damaged file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.contract import load


class DamagedTableError(ValueError):
    """A Parquet file that cannot be read."""


def arrow_table(frame: pl.DataFrame, name: str) -> pa.Table:
    """A frame with all columns of contract `name`, in any order, as the Arrow table of that contract.

    Raises polars.exceptions.ColumnNotFoundError for a column that is missing.
    """
    schema = load(name).arrow_schema
    return frame.select(schema.names).to_arrow().cast(schema)


@contextmanager
def naming_damaged_files(*scanned: tuple[Sequence[Path], Sequence[str]]) -> Iterator[None]:
    """Turn an error of polars that reads (paths, columns) into DamagedTableError with the first damaged file."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        for path, columns in ((path, columns) for paths, columns in scanned for path in paths):
            try:
                pl.scan_parquet(path).select(columns).collect()
            except pl.exceptions.PolarsError as reason:
                raise DamagedTableError(
                    f"found that {path} is damaged ({' '.join(str(reason).split())[:200]}), expected it whole; delete "
                    f"this file and materialize `{path.parent.name}` again (or everything: `geo-pipeline run`)"
                ) from error
        raise
