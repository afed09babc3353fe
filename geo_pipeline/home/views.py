"""The DuckDB file of a home.

One view per table over its Parquet files, by relative path, so that a moved home keeps working.
"""

import logging
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.contracts.contract import load, names
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.home.writing import beside

LOG = logging.getLogger(__name__)
DATABASE = "geo_pipeline.duckdb"


class QuestionError(ValueError):
    """SQL that the home's tables cannot answer."""


class NoTablesError(RuntimeError):
    """A query of a home that holds no table."""


def refresh_views(home: Home) -> None:
    """Make the DuckDB file anew when a table has appeared that it has no view of; otherwise leave it untouched."""
    present = [name for name in names() if any((home.root / "tables" / name).rglob("*.parquet"))]
    database = home.root / DATABASE
    if not present or (database.is_file() and set(present) <= _present_views(database)):
        return
    with beside(database) as part:
        part.unlink(missing_ok=True)
        with duckdb.connect(str(part)) as connection:
            connection.execute("SET file_search_path = ?", [str(home.root)])
            for name in present:
                pattern = f"tables/{name}/**/*.parquet"
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{pattern}')")
                comment = load(name).description.replace("'", "''")
                connection.execute(f"COMMENT ON VIEW {name} IS '{comment}'")
        part.replace(database)


def query(home: Home, sql: str) -> pa.Table:
    """Answer a question over the home's tables; reading only.

    No two columns of the answer have one name: a repeated one gets a number. Raises NoTablesError, QuestionError for a
    question that is empty or that the tables cannot answer, and MissingArtifactError for a table that is not what was
    written.
    """
    database = home.root / DATABASE
    if not database.is_file():
        raise NoTablesError(
            f"found no {DATABASE} in {home.root}, expected a home that a run has filled; start with `geo-pipeline run`"
        )
    try:
        views = _views(database)
    except duckdb.Error as error:
        raise NoTablesError(
            f"found {database} damaged ({_first_line(error)}), expected the views over the tables; `geo-pipeline run` "
            "makes it anew"
        ) from error
    if any("\ud800" <= letter <= "\udfff" for letter in sql):
        raise QuestionError(f"found {sql!r}, which is not UTF-8; expected a SELECT over the home's tables")
    _verify(home, sql)
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET file_search_path = ?", [str(home.root)])
        try:
            if not connection.extract_statements(sql):
                raise QuestionError(
                    f"found no question in {sql!r}; expected a SELECT, such as 'select count(*) from images' "
                    f"over these views: {', '.join(views)}"
                )
            rows = connection.sql(sql)
            answer = None if rows is None else rows.to_arrow_table()
        except duckdb.Error as error:
            raise QuestionError(f"{error}\nexpected SQL over these views: {', '.join(views)}") from error
    if answer is None:
        raise QuestionError(f"found no rows in {sql!r}; expected a SELECT over these views: {', '.join(views)}")
    return answer.rename_columns(_told_apart(answer.column_names))


def values_of(answer: pa.Table) -> dict[str, list[Any]]:
    """The columns of an answer as Python's values; days that Python's calendar does not have are texts.

    Raises QuestionError for a value that has no form in Python.
    """
    found = {}
    for name, column in zip(answer.column_names, answer.columns, strict=True):
        try:
            found[name] = column.to_pylist()
        except OverflowError:
            found[name] = pc.cast(column, pa.string()).to_pylist()
        except ValueError as error:
            raise QuestionError(
                f"found a value of the column {name} that cannot be shown ({error}); expected numbers, texts, lists or "
                "fields that each have a name; ask for its parts"
            ) from error
    return found


def _told_apart(names: list[str]) -> list[str]:
    """The names, a repeated one with the first number behind it that makes it another: a, a_2, a_3."""
    found: list[str] = []
    for name in names:
        number, apart = 1, name
        while apart in found or (apart != name and apart in names):
            number += 1
            apart = f"{name}_{number}"
        found.append(apart)
    return found


def _present_views(database: Path) -> set[str]:
    """The views of the file; none of a damaged one, which holds nothing but views and is made anew."""
    try:
        return set(_views(database))
    except duckdb.Error as error:
        LOG.warning("%s is damaged (%s): it holds views only and is made anew", database, _first_line(error))
        return set()


def _verify(home: Home, sql: str) -> None:
    """Compare the files of every table whose name stands in a question with their hashes: DuckDB compares nothing."""
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    for name in (each for each in names() if each in words):
        folder = home.root / "tables" / name
        for file in sorted(folder.rglob("*.parquet")):
            home.verify(table(name, file.relative_to(folder).with_suffix("").as_posix()), "part")


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]


def _views(database: Path) -> list[str]:
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    return [row[0] for row in found]
