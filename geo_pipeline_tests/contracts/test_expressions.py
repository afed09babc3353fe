"""A rule's text is a condition over columns, and can do nothing else."""

import polars as pl
import pytest

from geo_pipeline.contracts.columns import Rule
from geo_pipeline.contracts.document import ContractFileError
from geo_pipeline.contracts.expressions import violation


def broken(text, language, **columns):
    condition = violation(Rule("rule", "A rule.", text, language), "here")
    return pl.DataFrame(columns).select(condition).to_series().to_list()


@pytest.mark.parametrize(
    ("text", "language", "columns", "expected"),
    [
        ("a > 1 AND b IS NULL", "sql", {"a": [1, 2, 3], "b": [None, None, 4]}, [False, True, False]),
        (
            '(col("a") * col("a") > 4) | ~col("b").is_finite()',
            "polars",
            {"a": [1, 3, 1], "b": [1.0, 1.0, float("inf")]},
            [False, True, True],
        ),
        (
            'col("a").bin.slice(0, 2) != b"\\xff\\xd8"',
            "polars",
            {"a": [b"\xff\xd8\xff", b"", None]},
            [False, True, None],
        ),
    ],
)
def test_a_condition_holds_for_the_rows_that_break_the_rule(text, language, columns, expected):
    assert broken(text, language, **columns) == expected


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os")',
        'open("x")',
        'col("a").map_elements(print)',
        'col("a").meta.write_json("x")',
        'col("a").__class__',
        'col.__globals__["os"]',
        "(lambda: 1)()",
        "[1 for a in (1, 2)]",
        'col("a").bin.contains(*b"x")',
        "1",
        'col("a") >',
        "col(1)",
    ],
)
def test_text_that_is_no_condition_is_refused_with_what_is_understood(text):
    message = r"(?s)here, rule peek: found .*(expected a condition|which is no expression)"
    with pytest.raises(ContractFileError, match=message):
        violation(Rule("peek", "A rule.", text, "polars"), "here")


@pytest.mark.parametrize(
    "text",
    ["a >", "EXISTS (SELECT 1 FROM bystander)", "a IN (SELECT a FROM 'secret.csv')", "isinf(a)", "getenv('HOME') = a"],
)
def test_sql_sees_the_table_that_is_checked_and_nothing_around_it(text):
    with pytest.raises(ContractFileError, match="which is no sql condition that is understood"):
        violation(Rule("peek", "A rule.", text), "here")
