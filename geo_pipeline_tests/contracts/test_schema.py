"""Limits that a contract file may give to a column of any type, whether or not a table uses them today."""

import pyarrow as pa
import pytest

from geo_pipeline.contracts.columns import Column, Limits
from geo_pipeline.contracts.contract import Contract


def broken(column, values, key=()):
    """What values break: {check: how many rows}, and the rows that the examples name, by number or by key."""
    contract = Contract("table", "1", "A table.", "One row.", (column,), (), key)
    table = pa.table({column.name: pa.array(values, column.arrow_type)})
    problems = contract.problems(table)
    named = [example.split(" has ")[0] for problem in problems for example in problem.examples]
    return {problem.check: problem.rows for problem in problems}, set(named)


@pytest.mark.parametrize(
    ("kind", "limits", "values", "check"),
    [
        ("string", Limits(min_length=2), ["ab", "é", "éé"], "x_length"),
        ("string", Limits(pattern="^[ab]+$"), ["ab", "abc", None], "x_pattern"),
        ("string", Limits(allowed=("a", "b")), ["a", "c", None], "x_allowed"),
        ("binary", Limits(min_length=2), [b"ab", b"\xff", None], "x_length"),
        ("int32", Limits(allowed=(0, 1)), [0, 2, None], "x_allowed"),
        ("int64", Limits(minimum=0, maximum=2**62), [0, -1, 2**62], "x_range"),
        ("double", Limits(allowed=(0.5, 1.0)), [0.5, 0.25, None], "x_allowed"),
        ("double", Limits(), [float("inf"), float("nan"), -float("inf")], "x_number"),
        ("float", Limits(minimum=-1.001, maximum=1.001), [1.001, 1.0011, -1.001], "x_range"),
    ],
)
def test_a_limit_holds_for_values_and_for_the_items_of_a_list(kind, limits, values, check):
    assert broken(Column("x", kind, "X.", limits=limits), values) == ({check: 1}, {"row 1"})
    items = [None if value is None else [value] for value in values]
    assert broken(Column("x", f"list<{kind}>", "X.", limits=limits), items) == ({check: 1}, {"row 1"})


def test_a_list_has_enough_items_and_none_of_them_is_null():
    column = Column("x", "list<string>", "X.", min_items=1)
    assert broken(column, [["a"], [], None]) == ({"x_items": 1}, {"row 1"})
    assert broken(column, [["a"], [None], None]) == ({"x_items_given": 1}, {"row 1"})


def test_of_equal_values_of_a_unique_column_the_first_row_is_kept():
    assert broken(Column("x", "string", "X.", unique=True), ["a", "b", "a"]) == ({"x_unique": 1}, {"row 2"})
    assert broken(Column("x", "string", "X."), [None, "b", None], key=("x",)) == ({"x_unique": 1}, {"x=null"})


def test_rows_of_a_table_without_a_key_are_named_by_their_number():
    contract = Contract("table", "1", "A.", "One.", (Column("x", "int32", "X.", limits=Limits(minimum=0)),), (), ())
    table = pa.table({"x": pa.array([1, -7], pa.int32())})
    assert contract.problems(table)[0].examples == ("row 1 has -7",)
