from dataclasses import replace

import polars as pl
import pytest

from geo_pipeline.scoring.published import PublishedRow, published_rows
from geo_pipeline.scoring.report.benchmark import TITLE, report_blocks
from geo_pipeline.scoring.report.context import BenchmarkLine
from geo_pipeline.scoring.report.markdown import markdown
from geo_pipeline.scoring.report.published_tables import PUBLISHED_ROUTER, published_table
from geo_pipeline_tests.scoring.report.drawn_report import BENCHMARKS, drawn_inputs


def _renamed(table: pl.DataFrame, new: str) -> pl.DataFrame:
    return table.with_columns(pl.col("benchmark").replace("planet_remote", new))


@pytest.fixture(scope="module")
def inputs():
    """The drawn inputs as if the second benchmark were IM2GPS3k."""
    drawn = drawn_inputs()
    lines = (BENCHMARKS[0], BenchmarkLine("im2gps3k", "IM2GPS3k", published=True))
    return replace(
        drawn,
        context=replace(drawn.context, benchmarks=lines),
        scores=_renamed(drawn.scores, "im2gps3k"),
        routing_scores=_renamed(drawn.routing_scores, "im2gps3k"),
        judged=_renamed(drawn.judged, "im2gps3k"),
        published={line.name: tuple(published_rows("im2gps3k")) for line in lines},
        examples=(),
    )


def test_our_row_stands_below_the_last_printed_row_of_its_method(inputs):
    table = published_table(inputs, "im2gps3k", inputs.published["im2gps3k"])
    methods = [row[0] for row in table.rows]
    assert methods[:4] == ["[L]kNN", "[L]kNN, sigma=4", "PlaNet", "PlaNet"]
    assert methods[methods.index("This run: GeoSURGE") - 1] == "GeoSURGE (Ours)"
    assert methods[methods.index("This run: GeoRouter") - 2 :][:2] == ["GeoRouter", "GeoRouter"]
    assert [methods[row] for row in sorted(table.marked)] == [name for name in methods if name.startswith("This run")]


def test_every_printed_row_is_there_with_dashes_and_every_row_has_its_source(inputs):
    table = published_table(inputs, "im2gps3k", inputs.published["im2gps3k"])
    printed = [row for number, row in enumerate(table.rows) if number not in table.marked]
    assert len(printed) == len(inputs.published["im2gps3k"]) == 34
    assert ("RFM", "–", "–", "–", "–", "–", "GeoSURGE, Table II") in printed
    assert all(row[-1].startswith(("GeoSURGE, Table II", "GeoRouter, Table ")) for row in printed)
    ours = {table.rows[number][-1] for number in table.marked}
    assert ours == {"this run, profile sample, 40 images: a drawn planet, small networks"}


def test_without_words_of_its_own_the_source_is_the_statement(inputs):
    plain = replace(inputs, context=replace(inputs.context, source=""))
    table = published_table(plain, "im2gps3k", inputs.published["im2gps3k"])
    assert table.rows[min(table.marked)][-1].endswith(f"40 images: {inputs.context.statement}")


def test_methods_that_no_paper_prints_are_left_out_and_those_of_another_benchmark_come_last(inputs):
    rows = tuple(row for row in inputs.published["im2gps3k"] if row.source == "GeoSURGE, Table II")
    table = published_table(inputs, "im2gps3k", rows)
    ours = [table.rows[number][0] for number in sorted(table.marked)]
    names = ["GeoSURGE", "Retrieval", "Generation", "GeoRouter", "Oracle"]
    assert ours == [f"This run: {name}" for name in names]
    assert max(table.marked) == len(table.rows) - 1


def test_a_published_benchmark_says_what_the_published_router_chose_between(inputs):
    text = markdown(TITLE, report_blocks(inputs))
    section = text.partition("## Published results beside this run")[2].partition("\n## ")[0]
    assert PUBLISHED_ROUTER in section
    assert inputs.context.statement in section
    assert "Planet, mixed" not in section
    kept = tuple(row for row in inputs.published["im2gps3k"] if row.ours != "router")
    assert PUBLISHED_ROUTER not in markdown(TITLE, report_blocks(replace(inputs, published={"im2gps3k": kept})))


def test_digits_are_as_printed():
    row = PublishedRow("b", "m", "accuracy", {25.0: 5.0}, {25.0: "5.00"}, None, "A paper, Table 1", "")
    inputs = replace(drawn_inputs(), published={"planet_mixed": (row,)})
    table = published_table(inputs, "planet_mixed", (row,))
    assert table.rows[0] == ("m", "–", "5.00", "–", "–", "–", "A paper, Table 1")
