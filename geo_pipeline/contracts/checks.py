"""Holds a table against the schema of its contract: counts what is broken, with examples.

The table goes to polars as it lies in memory, without a copy of its texts and images; only broken rows come back.
"""

from collections.abc import Sequence
from typing import cast

import dataframely as dy
import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.columns import Problem
from geo_pipeline.contracts.schema import ROW, Check, numbered

SHOWN = 60
"""How many characters of a value an example gives."""


def count_problems(
    table: pa.Table, schema: type[dy.Schema], checks: Sequence[Check], key: Sequence[str]
) -> list[Problem]:
    """Each check that is broken, how many rows break it, and up to three of them; `table` has the schema's types."""
    if table.num_rows == 0:
        return []
    broken = _broken(table, schema, checks)
    problems = []
    for check in checks:
        rows = broken.filter(check.name)[ROW]
        if len(rows):
            examples = tuple(_example(table, row, check.column, key) for row in rows.head(3))
            problems.append(Problem(check.name, check.column, check.expected, len(rows), examples))
    return problems


def _broken(table: pa.Table, schema: type[dy.Schema], checks: Sequence[Check]) -> pl.DataFrame:
    """The rows that break any check: their numbers, then a column of bool for each check."""
    frame = cast(pl.DataFrame, pl.from_arrow(table, rechunk=False)).lazy().with_row_index(ROW)
    halves = [name for name, kind in frame.collect_schema().items() if kind == pl.List(pl.Float16)]
    frame = frame.with_columns(pl.col(halves).cast(pl.List(pl.Float32)))
    details = numbered(schema).filter(frame).failure.details()
    return details.select(ROW, *(_flag(check, details.columns).alias(check.name) for check in checks)).sort(ROW)


def _flag(check: Check, rules: Sequence[str]) -> pl.Expr:
    """True for rows that break the check. NaN exceeds every maximum in polars, but is reported as no number only."""
    flags = []
    for rule in check.rules:
        flag, number = pl.col(rule) == "invalid", f"{rule.removesuffix('max')}nan"
        flags.append(flag & (pl.col(number) != "invalid") if rule.endswith("max") and number in rules else flag)
    return pl.any_horizontal(flags)


def _example(table: pa.Table, row: int, column: str | None, key: Sequence[str]) -> str:
    words = _key_words(table, row, key)
    return f"{words} has {_words(table, row, column)[:SHOWN]}" if column else words


def _key_words(table: pa.Table, row: int, key: Sequence[str]) -> str:
    """A row's key in words; its number where the table has no key."""
    return " ".join(f"{name}={_words(table, row, name)}" for name in key) if key else f"row {row}"


def _words(table: pa.Table, row: int, column: str) -> str:
    value = table.column(column)[row].as_py()
    return "null" if value is None else str(value)
