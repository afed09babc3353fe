"""Between polars, in which tables are computed, and Arrow, in which they are stored: one cast, no check.

Home checks every table that it writes or reads against its contract; nothing here looks at values. This is the only
module that knows that polars spells text and lists otherwise than our contracts do.
"""

import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.contract import load


def arrow_table(frame: pl.DataFrame, name: str) -> pa.Table:
    """A frame with all columns of contract `name`, in any order, as the Arrow table of that contract.

    Raises polars.exceptions.ColumnNotFoundError for a column that is missing.
    """
    schema = load(name).arrow_schema
    return frame.select(schema.names).to_arrow().cast(schema)
