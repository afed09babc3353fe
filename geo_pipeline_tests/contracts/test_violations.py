"""Every check of every contract finds the row that breaks it, and no other; SQL rules mean the same to DuckDB."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml

import geo_pipeline
from geo_pipeline.contracts.contract import load, names
from geo_pipeline_tests.contracts.violations import ROWS, RULES, of_columns

FIRST_OF_KEY = {
    "image_id": ["a", "b", "c"],
    "set_name": ["train", "holdout", "photos"],
    "benchmark": ["one", "two", "three"],
    "partition": [1, 2, 3],
}
"""Values of the first column of a key in three rows."""

COLUMNS = list(of_columns())
PLANTED = [(name, rule, changes) for (name, rule), violations in RULES.items() for changes in violations]
FILES = Path(geo_pipeline.__file__).parent / "data_contracts"
SQL = {
    (path.stem, rule["name"]): rule["query"]
    for path in FILES.glob("*.yaml")
    for rule in yaml.safe_load(path.read_text())["schema"][0].get("quality", [])
    if rule["type"] == "sql"
}


def three(name, changes):
    """Three rows of different keys; the middle one is changed."""
    rows = [ROWS[name] | {column: FIRST_OF_KEY[column][number] for column in load(name).key[:1]} for number in range(3)]
    rows[1] |= changes
    return pa.Table.from_pylist(rows, schema=load(name).arrow_schema)


def problems_of(name, table):
    return {problem.check: problem for problem in load(name).problems(table)}


def rows_named(name, table, problems):
    """The rows that the examples of all problems name, by their key, or by their number where there is none."""
    key = load(name).key
    words = [
        " ".join(f"{column}={'null' if row[column] is None else row[column]}" for column in key) if key else f"row {at}"
        for at, row in enumerate(table.to_pylist())
    ]
    examples = [example for problem in problems.values() for example in problem.examples]
    return {words.index(example.split(" has ")[0]) for example in examples}


@pytest.mark.parametrize("name", names())
def test_the_valid_rows_keep_the_contract(name):
    assert problems_of(name, three(name, {})) == {}


def test_every_rule_of_every_contract_has_a_violation():
    assert set(RULES) == {(name, rule.name) for name in names() for rule in load(name).rules}


def test_every_check_of_every_contract_has_a_violation():
    uniques = {(name, "_and_".join(load(name).key) + "_unique") for name in names() if load(name).key}
    planted = {(name, check) for name, check, *_ in COLUMNS} | set(RULES) | uniques
    assert planted == {(name, check.name) for name in names() for check in load(name).checks}


@pytest.mark.parametrize(("name", "check", "column", "value"), COLUMNS)
def test_a_value_outside_the_limits_of_a_column_is_found(name, check, column, value):
    table = three(name, {column: value})
    problems = problems_of(name, table)
    assert problems[check].rows == 1
    assert problems[check].column == column
    assert rows_named(name, table, problems) == {1}


@pytest.mark.parametrize(("name", "rule", "changes"), PLANTED)
def test_a_row_that_breaks_a_rule_is_found(name, rule, changes):
    table = three(name, changes)
    problems = problems_of(name, table)
    assert problems[rule].rows == 1
    assert rows_named(name, table, problems) == {1}


@pytest.mark.parametrize("name", [name for name in names() if load(name).key])
def test_of_rows_with_one_key_all_but_the_first_break_the_contract(name):
    table = three(name, {})
    problems = problems_of(name, pa.concat_tables([table, table.slice(1, 1)]))
    check = "_and_".join(load(name).key) + "_unique"
    assert {broken: problem.rows for broken, problem in problems.items()} == {check: 1}


@pytest.mark.parametrize(("name", "rule", "changes"), [entry for entry in PLANTED if entry[:2] in SQL])
def test_a_rule_in_sql_counts_the_same_rows_in_duckdb(name, rule, changes):
    planted = three(name, changes)
    with duckdb.connect(":memory:") as connection:
        connection.register("planted", planted)
        counted = connection.execute(SQL[name, rule].replace("${table}", "planted")).fetchone()
    assert counted == (1,)


@pytest.mark.parametrize("name", names())
def test_patterns_mean_the_same_to_every_engine(name):
    """Classes such as \\d cover other alphabets in one engine and only ASCII in the next."""
    for column in load(name).columns:
        if column.limits.pattern is not None:
            assert "\\" not in column.limits.pattern
            assert re.fullmatch(r"\^.*\$", column.limits.pattern)


BY_MEANING = {
    r"(^|_)lats?_deg$": (-90, 90),
    r"(^|_)lons?_deg$": (-180, 180),
    r"^(accuracy|low|high|preference)$": (0, 1),
    r"^feature$": (-1, 1),
    r"^level$": (0, 30),
    r"^distance$": (0, 15),
    r"_km$|^(partition|cell|parent_cell|step|epoch|source_offset|learning_rate)$": (0, None),
    r"^(authors|cells|covered|total|dropped_cells|unsplittable_cells|failures|eligible|correct|images)$": (0, None),
    r"^(width|height)$": (1, None),
}
BY_COLUMN = {
    ("census", "count"): (0, None),
    ("coverage", "tau_min"): (0, None),
    ("coverage", "tau_max"): (1, None),
    ("geocells", "count"): (1, None),
    ("scores", "count"): (1, None),
    ("scores", "distance"): (None, None),
}
UNLIMITED = {("images", "phash"), ("georouting", "label")}
"""Numbers without limits of their own: 64 bits, and a value of a list of allowed ones."""


@pytest.mark.parametrize("name", names())
def test_a_limit_is_what_the_column_means(name):
    """The limits once more, beside the files: a violation that follows from a wrong limit shows nothing."""
    for column in load(name).columns:
        limits = (column.limits.minimum, column.limits.maximum)
        meant = [each for pattern, each in BY_MEANING.items() if re.search(pattern, column.name)]
        expected = BY_COLUMN.get((name, column.name), meant[0] if meant else (None, None))
        assert limits == expected, f"{name}.{column.name}"
        if column.item_type in ("int32", "int64") and (name, column.name) not in UNLIMITED:
            assert limits != (None, None), f"{name}.{column.name} is limited nowhere"
