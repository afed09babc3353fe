"""Photographs joined with what belongs to them, by their id."""

import pyarrow as pa
import pyarrow.compute as pc


class UnknownPhotographError(LookupError):
    """Photographs that another table does not know."""


def with_columns(rows: pa.Table, others: pa.Table) -> pa.Table:
    """The rows of `others` in the order of the ids of `rows`. Raises UnknownPhotographError for an id that it lacks."""
    found = pc.index_in(rows["image_id"], others["image_id"].combine_chunks())
    if found.null_count:
        ids = rows["image_id"].filter(found.is_null())
        raise UnknownPhotographError(
            f"found {len(ids)} photographs that are not in the other table ({ids[0]} first), expected all; run again "
            "with all assets"
        )
    return others.take(found)


def with_column(rows: pa.Table, others: pa.Table, column: str) -> pa.Table:
    """`rows` with one column of `others`, found by image_id; null where `others` has no such id."""
    found = pc.index_in(rows["image_id"], others["image_id"].combine_chunks()).combine_chunks()
    return rows.append_column(column, others[column].combine_chunks().take(found))
