"""Turns columns and rules into SQL conditions and runs them in DuckDB: one aggregate query for a whole table.

A condition holds for the rows that break a check; NULL counts as kept, so that only `required` speaks of nulls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from geo_pipeline.contracts.columns import Column, Limits, Problem, Rejection, Rule

ROW = "contract_row_number"
"""Name of the column that numbers the rows while they are checked."""


@dataclass(frozen=True)
class Check:
    """A named SQL condition that breaking rows fulfil, and what was expected of them."""

    name: str
    column: str | None
    expected: str
    violation: str


def build_checks(columns: Sequence[Column], rules: Sequence[Rule], key: Sequence[str]) -> tuple[Check, ...]:
    """All checks of a contract, columns first, then the key, then the rules across columns."""
    checks = [check for column in columns for check in _column_checks(column)]
    uniques = [(column.name,) for column in columns if column.unique and tuple(key) != (column.name,)]
    for names in ([tuple(key)] if key else []) + uniques:
        listed = ", ".join(names)
        window = f"row_number() OVER (PARTITION BY {', '.join(map(_quoted, names))} ORDER BY {ROW}) > 1"
        checks.append(Check(f"{'_and_'.join(names)}_unique", names[0], f"no two rows with one ({listed})", window))
    checks += [Check(rule.name, None, rule.description, rule.violation) for rule in rules]
    return tuple(checks)


def _column_checks(column: Column) -> list[Check]:
    name, checks = _quoted(column.name), []
    if column.required:
        checks.append(Check(f"{column.name}_given", column.name, "a value", f"{name} IS NULL"))
    numeric = column.item_type in ("double", "float")
    if column.is_list:
        if column.min_items is not None:
            checks.append(
                Check(
                    f"{column.name}_items",
                    column.name,
                    f"at least {column.min_items} items",
                    f"len({name}) < {column.min_items}",
                )
            )
        checks.append(
            Check(f"{column.name}_items_given", column.name, "no null items", f"list_count({name}) <> len({name})")
        )
        bounds = (f"list_min({name})", f"list_max({name})")
    else:
        bounds = (name, name)
    if numeric:  # DuckDB orders NaN above every number, so the greatest item shows whether there is one
        checks.append(Check(f"{column.name}_number", column.name, "a number, not NaN", f"isnan({bounds[1]})"))
    return checks + _limit_checks(column, column.limits, bounds)


def _limit_checks(column: Column, limits: Limits, bounds: tuple[str, str]) -> list[Check]:
    name, checks, violated = column.name, [], []
    if limits.minimum is not None:
        violated.append(f"{bounds[0]} < {limits.minimum}")
    if limits.maximum is not None:
        violated.append(
            f"{bounds[1]} > {limits.maximum} AND NOT isnan({bounds[1]})"
            if "int" not in column.item_type
            else f"{bounds[1]} > {limits.maximum}"
        )
    if violated:
        expected = " and ".join(column.constraints[:1])
        checks.append(Check(f"{name}_range", name, expected, " OR ".join(f"({part})" for part in violated)))
    if limits.min_length is not None:
        length = "octet_length" if column.item_type == "binary" else "length"
        checks.append(
            Check(
                f"{name}_length",
                name,
                f"a length of {limits.min_length} or more",
                f"{length}({_quoted(name)}) < {limits.min_length}",
            )
        )
    if limits.pattern is not None:
        checks.append(
            Check(
                f"{name}_pattern",
                name,
                f"a match of {limits.pattern}",
                f"NOT regexp_matches({_quoted(name)}, {_literal(limits.pattern)})",
            )
        )
    if limits.allowed:
        listed = ", ".join(_literal(value) for value in limits.allowed)
        words = ", ".join(str(value) for value in limits.allowed)
        checks.append(Check(f"{name}_allowed", name, f"one of {words}", f"{_quoted(name)} NOT IN ({listed})"))
    return checks


def count_problems(table: pa.Table, checks: Sequence[Check], key: Sequence[str]) -> list[Problem]:
    """Run all checks as one aggregate query over `table`; examples are fetched only for those that are broken."""
    if not checks or table.num_rows == 0:
        return []
    with _connected(table) as connection:
        flags = ", ".join(f"({check.violation}) AS c{index}" for index, check in enumerate(checks))
        sums = ", ".join(f"count(*) FILTER (WHERE c{index})" for index in range(len(checks)))
        counts = connection.execute(f"SELECT {sums} FROM (SELECT {flags} FROM numbered)").fetchone() or ()
        return [
            Problem(check.name, check.column, check.expected, int(count), _examples(connection, check, key))
            for check, count in zip(checks, counts, strict=True)
            if count
        ]


def find_rejections(table: pa.Table, checks: Sequence[Check], key: Sequence[str]) -> list[Rejection]:
    """The rows that break any check, in order; of rows with one key the first is kept."""
    if not checks or table.num_rows == 0:
        return []
    with _connected(table) as connection:
        flags = ", ".join(f"coalesce(({check.violation}), false) AS c{index}" for index, check in enumerate(checks))
        broken = " OR ".join(f"c{index}" for index in range(len(checks)))
        names = ", ".join(f"c{index}" for index in range(len(checks)))
        rows = connection.execute(
            f"SELECT {ROW}, key, {names} FROM (SELECT {ROW}, {_key_words(key)} AS key, {flags} FROM numbered) "
            f"WHERE {broken} ORDER BY {ROW}"
        ).fetchall()
    return [
        Rejection(int(row), str(words), tuple(check.name for check, flag in zip(checks, found, strict=True) if flag))
        for row, words, *found in rows
    ]


def _connected(table: pa.Table) -> duckdb.DuckDBPyConnection:
    """A connection that sees the table as `numbered` and nothing else: no files, no Python variables."""
    settings = {"python_enable_replacements": "false", "enable_external_access": "false"}
    connection = duckdb.connect(":memory:", config=settings)
    connection.register("numbered", table.append_column(ROW, pa.array(range(table.num_rows), pa.int64())))
    return connection


def _examples(connection: duckdb.DuckDBPyConnection, check: Check, key: Sequence[str]) -> tuple[str, ...]:
    shown = f"left({_quoted(check.column)}::VARCHAR, 60)" if check.column else "NULL"
    rows = connection.execute(
        f"SELECT key, shown FROM (SELECT {ROW}, {_key_words(key)} AS key, {shown} AS shown, ({check.violation}) "
        f"AS broken FROM numbered) WHERE broken ORDER BY {ROW} LIMIT 3"
    ).fetchall()
    return tuple(f"{words} has {value}" if check.column else str(words) for words, value in rows)


def _key_words(key: Sequence[str]) -> str:
    """SQL for a row's key in words; its row number where the table has no key."""
    if not key:
        return f"'row ' || {ROW}"
    return " || ' ' || ".join(f"'{name}=' || coalesce({_quoted(name)}::VARCHAR, 'null')" for name in key)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str | int | float) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
