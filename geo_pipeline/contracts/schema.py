"""Makes the dataframely schema of a contract, and the list of its checks under the names that messages give them.

What the columns and rules are is read by `document`; the schema is held against a table by `checks`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import new_class
from typing import Any, cast

import dataframely as dy
import polars as pl

from geo_pipeline.contracts.columns import Column, Rule
from geo_pipeline.contracts.expressions import violation

_KINDS: Mapping[str, str] = {
    "nullability": "given",
    "min_length": "items",
    "inner_nullability": "items_given",
    "nan": "number",
    "min": "range",
    "max": "range",
    "check__length": "length",
    "regex": "pattern",
    "check__allowed": "allowed",
}
"""What a check is called after its column's name, by dataframely's name of the rule; items as single values."""

ROW = "contract_row_number"
"""Name of the column that numbers the rows, from 0, while they are checked."""


@dataclass(frozen=True)
class Check:
    """A named check, what was expected of a row, and the schema's rules that tell whether a row breaks it."""

    name: str
    column: str | None
    expected: str
    rules: tuple[str, ...]


def build_schema(name: str, columns: Sequence[Column], rules: Sequence[Rule], key: Sequence[str]) -> type[dy.Schema]:
    """The dataframely schema: columns with their limits, unique keys of which the first row counts, and the rules."""
    members: dict[str, Any] = {
        f"column_{number}": _typed(column, column.name) for number, column in enumerate(columns)
    }  # attributes never clash with the schema's own methods; the column's name is the alias
    for names in unique_sets(columns, key):
        first = pl.col(names[0]) if len(names) == 1 else pl.struct(names)
        members[_unique_name(names)] = _rule(first.is_first_distinct())
    members |= {rule.name: _rule(~violation(rule, f"data_contracts/{name}.yaml")) for rule in rules}
    title = "".join(part.capitalize() for part in name.split("_"))
    return _subclass(title, dy.Schema, members)


def build_checks(
    schema: type[dy.Schema], columns: Sequence[Column], rules: Sequence[Rule], key: Sequence[str]
) -> tuple[Check, ...]:
    """All checks of a contract, columns first, then the keys, then the rules across columns."""
    checks: list[Check] = []
    for column in columns:
        kinds: dict[str, list[str]] = {}
        for rule in schema.columns()[column.name].validation_rules(pl.col(column.name)):
            kinds.setdefault(_kind(rule), []).append(f"{column.name}|{rule}")
        checks += [
            Check(f"{column.name}_{kind}", column.name, _expected(column, kind), tuple(found))
            for kind, found in kinds.items()
        ]
    for names in unique_sets(columns, key):
        name = _unique_name(names)
        checks.append(Check(name, names[0], f"no two rows with one ({', '.join(names)})", (name,)))
    checks += [Check(rule.name, None, rule.description, (rule.name,)) for rule in rules]
    return tuple(checks)


@cache
def numbered(schema: type[dy.Schema]) -> type[dy.Schema]:
    """The schema with a column more, `ROW`, so that broken rows come back with their numbers."""
    return _subclass(f"Numbered{schema.__name__}", schema, {ROW: dy.UInt32()})


def unique_sets(columns: Sequence[Column], key: Sequence[str]) -> list[tuple[str, ...]]:
    """The sets of columns in which no two rows may agree: the key, then each unique column."""
    uniques = [(column.name,) for column in columns if column.unique and tuple(key) != (column.name,)]
    return ([tuple(key)] if key else []) + uniques


def _subclass(name: str, parent: type[dy.Schema], members: dict[str, Any]) -> type[dy.Schema]:
    return cast(type[dy.Schema], new_class(name, (parent,), exec_body=lambda namespace: namespace.update(members)))


def _unique_name(names: Sequence[str]) -> str:
    return f"{'_and_'.join(names)}_unique"


def _rule(kept: pl.Expr) -> Any:
    """A rule of a schema; rows for which `kept` is null count as kept, so that only `required` speaks of nulls."""
    return dy.rule()(lambda _: kept)


def _typed(column: Column, alias: str | None, item: bool = False) -> dy.Column:
    """The dataframely column, or for `item` that of a list's items, which may not be null."""
    common: dict[str, Any] = {"nullable": not (column.required or item), "alias": alias}
    common |= {"description": column.description, "metadata": {"unit": column.unit} if column.unit else None}
    if column.is_list and not item:
        return dy.List(_typed(column, None, item=True), min_length=column.min_items, **common)
    limits = column.limits
    common["check"] = _checks(limits.min_length, limits.allowed, binary=column.item_type == "binary")
    within: dict[str, Any] = {"min": limits.minimum, "max": limits.maximum}
    match column.item_type:
        case "double":
            return dy.Float64(allow_inf=True, **within, **common)
        case "float" | "halffloat":  # which dataframely lacks: `checks` widens it
            return dy.Float32(allow_inf=True, **within, **common)
        case "int32":
            return dy.Int32(**within, **common)
        case "int64":
            return dy.Int64(**within, **common)
        case "bool":
            return dy.Bool(**common)
        case "binary":
            return dy.Binary(**common)
    return dy.String(regex=limits.pattern, **common)


def _checks(min_length: int | None, allowed: Sequence[Any], *, binary: bool) -> dict[str, Any] | None:
    """Checks that dataframely lacks: a text's length in characters, a binary's in bytes, and the allowed values."""
    checks: dict[str, Any] = {}
    if min_length is not None:
        checks["length"] = lambda text: (text.bin.size() if binary else text.str.len_chars()) >= min_length
    if allowed:
        checks["allowed"] = lambda value: value.is_in(list(allowed))
    return checks or None


def _kind(rule: str) -> str:
    """What a check is called after its column's name."""
    return _KINDS.get(rule) or _KINDS[rule.removeprefix("inner_")]


def _expected(column: Column, kind: str) -> str:
    """What a check expects, in words."""
    if kind == "range":
        return column.constraints[0]
    if kind == "allowed":
        return "one of " + ", ".join(str(value) for value in column.limits.allowed)
    return {
        "given": "a value",
        "items": f"at least {column.min_items} items",
        "items_given": "no null items",
        "number": "a number, not NaN",
        "length": f"a length of {column.limits.min_length} or more",
        "pattern": f"a match of {column.limits.pattern}",
    }[kind]
