"""`geo-pipeline sql`: cells as they are, every column, valid JSON, and a question that asks nothing."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from geo_pipeline.cli import app
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.home.views import refresh_views


@pytest.fixture
def sql(tmp_path):
    home = Home(tmp_path)
    home.write_table("coverage", "all", load("coverage").arrow_schema.empty_table(), "fixed")
    refresh_views(home)
    return lambda *words: CliRunner().invoke(app, ["sql", "--home", str(tmp_path), *words])


@pytest.mark.parametrize("text", ["[/x] closing", "IMG [edited].jpg", "[red]x", ":smile:", "[link=x]y[/link]", "\\[a]"])
def test_square_brackets_and_colons_are_text(sql, text):
    for question in (f"select '{text}' as a", f'select 1 as "{text}"'):
        done = sql(question)
        assert done.exit_code == 0, done.output
        assert text in done.stdout


def test_columns_of_one_name_are_all_shown(sql):
    done = sql("select 1 as a, 2 as a, 'third' as b, 4 as a_2")
    assert done.exit_code == 0, done.output
    cells = [cell.strip() for cell in done.stdout.splitlines()[3].strip("│").split("│")]
    assert cells == ["1", "2", "third", "4"]
    (row,) = json.loads(sql("select 1 as a, 2 as a, 'third' as b, 4 as a_2", "--json").stdout)
    assert list(row.values()) == [1, 2, "third", 4]
    assert next(iter(row)) == "a"


def test_a_value_wider_than_the_terminal_is_shown_whole(sql):
    wide = "".join(f"<{number}>" for number in range(100))
    done = sql(f"select '{wide}' as a, 1 as \"{wide}\"")
    assert "…" not in done.stdout
    shown = [line[1:-1].replace("┃", "│").split("│") for line in done.stdout.splitlines() if line[0] in "│┃"]
    assert "".join(first.strip() for first, _ in shown) == f"a{wide}"
    assert "".join(second.strip() for _, second in shown) == f"{wide}1"


@pytest.mark.parametrize("question", ["", "  ", ";", "/* only a comment */"])
def test_a_question_that_asks_nothing_is_one_message(sql, question):
    for words in ((question,), (question, "--json")):
        done = sql(*words)
        assert done.exit_code == 1
        assert "expected a SELECT" in done.stderr
        assert isinstance(done.exception, SystemExit)


def test_json_has_null_where_it_has_no_number(sql):
    done = sql(
        "--json", "select 'nan'::double as a, 'inf'::float as b, ['-inf'::double, 1.5] as c, {'d': 'nan'::double} as e"
    )

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    assert json.loads(done.stdout, parse_constant=refuse) == [
        {"a": None, "b": None, "c": [None, 1.5], "e": {"d": None}}
    ]


def test_a_question_without_rows_has_an_empty_answer(sql):
    assert json.loads(sql("--json", "select * from coverage").stdout) == []
    assert sql("select * from coverage").exit_code == 0


def test_a_statement_without_rows_and_odd_letters_are_one_message(sql):
    for question, words in (("set threads = 1", "found no rows in"), ("select '\udcfc'", "is not UTF-8")):
        done = sql(question)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
        assert words in done.stderr


def test_a_terminal_that_lacks_a_character_is_shown_its_number(tmp_path):
    home = Home(tmp_path)
    home.write_table("coverage", "all", load("coverage").arrow_schema.empty_table(), "fixed")
    refresh_views(home)
    words = [
        sys.executable,
        "-m",
        "geo_pipeline.cli",
        "sql",
        "--home",
        str(tmp_path),
        "select chr(252) || chr(9731) as a",
    ]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "\\xfc\\u2603" in done.stdout


def test_days_beyond_pythons_calendar_and_fields_without_names_end_in_words(sql):
    done = sql("select 'infinity'::date as d, date '9999-12-31' + interval 300000 day as e, 1 as n")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(sql("select date '9999-12-31' + interval 300000 day as e, 1 as n", "--json").stdout)
    assert row["n"] == 1
    assert row["e"].startswith("10821-")
    done = sql("select row(1, 2) as r")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert "the column r" in done.stderr


@pytest.mark.parametrize("letters", ["27", "155", "7", "13", "8"])
def test_no_cell_commands_the_terminal(sql, letters):
    for question in (f"select chr({letters}) || '[31mred' as a", f'select 1 as "{chr(int(letters))}[31mred"'):
        done = sql(question)
        assert done.exit_code == 0, done.output
        assert chr(int(letters)) not in done.stdout
        assert f"\\x{int(letters):02x}[31mred" in done.stdout


def test_no_message_commands_the_terminal(sql):
    assert "\x1b" not in sql("select '\x1b[31m' as a from nowhere").stderr
