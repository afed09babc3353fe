"""Gives an Arrow table the columns, order and types of a contract, without loss and without guessing.

A value keeps its family: a number never comes out of a text. What the values may be is looked at by `checks`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from geo_pipeline.contracts.columns import Column, Problem


def shape(table: pa.Table, columns: Sequence[Column]) -> tuple[pa.Table | None, list[Problem]]:
    """The table with the columns in order and cast; None and the reasons where that cannot be done."""
    wanted = [column.name for column in columns]
    found = [
        Problem("unexpected_column", name, "only the columns of the contract", 0)
        for name in table.column_names
        if name not in wanted
    ]
    found += [
        Problem("one_column_of_a_name", name, "one column of this name", 0)
        for name in wanted
        if table.column_names.count(name) > 1
    ]
    arrays = []
    for column in columns:
        if column.name not in table.column_names:
            found.append(Problem("missing_column", column.name, f"a column of type {column.physical_type}", 0))
        elif table.column_names.count(column.name) == 1:
            try:
                arrays.append(_cast(table.column(column.name), column.arrow_type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
                text = f"type {column.physical_type} ({table.schema.field(column.name).type} given: {error})"
                found.append(Problem("column_type", column.name, text, 0))
    if found:
        return None, found
    return pa.Table.from_arrays(arrays, schema=arrow_schema(columns)), []


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Arrow fields in the order of the contract."""
    return pa.schema([pa.field(column.name, column.arrow_type) for column in columns])


def gather(given: Mapping[str, Any], columns: Sequence[Column]) -> tuple[pa.Table | None, list[Problem]]:
    """A table of the given columns, each of a type of its own, for `shape` to judge; nullable ones not given are null.

    A single value holds for every row. None and the reasons where a column's values are of no one type, or the columns
    are not of one length.
    """
    found, arrays = [], {}
    for name, values in given.items():
        try:
            arrays[name] = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(_sequence(values))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            found.append(Problem("column_type", name, f"values of one type ({error})", 0))
    lengths = {name: len(values) for name, values in arrays.items() if not np.isscalar(given[name])}
    if len(set(lengths.values())) > 1:
        words = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        found.append(Problem("one_length", None, f"as many values in every column ({words})", 0))
    if found:
        return None, found
    rows = max(lengths.values(), default=1)
    missing = [column for column in columns if not column.required and column.name not in arrays]
    arrays |= {name: pa.repeat(values[0], rows) for name, values in arrays.items() if name not in lengths}
    return pa.table({**arrays, **{column.name: pa.nulls(rows, column.arrow_type) for column in missing}}), []


def _sequence(values: Any) -> Any:
    return [values] if np.isscalar(values) else values


def _cast(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast without loss and within one family of types: a number never comes out of a text."""
    if values.type == wanted:
        return values
    if not _same_family(values.type, wanted):
        raise pa.ArrowTypeError(f"{values.type} is not turned into {wanted}")
    return values.cast(wanted)


def _same_family(given: pa.DataType, wanted: pa.DataType) -> bool:
    if pt.is_null(given):
        return True
    if pt.is_dictionary(given):
        return _same_family(given.value_type, wanted)
    if pt.is_list(wanted):
        is_list = pt.is_list(given) or pt.is_large_list(given) or pt.is_fixed_size_list(given)
        return bool(is_list and _same_family(given.value_type, wanted.value_type))
    if pt.is_floating(wanted):
        return bool(pt.is_floating(given) or pt.is_integer(given))
    families = (
        (pt.is_integer,),
        (pt.is_boolean,),
        (pt.is_string, pt.is_large_string, pt.is_string_view),
        (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view),
    )
    return any(any(test(given) for test in family) and any(test(wanted) for test in family) for family in families)
