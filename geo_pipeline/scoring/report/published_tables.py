"""Rows of papers beside ours (GeoSURGE, Tables I to V; GeoRouter, Tables 1 and 3), for published benchmarks alone.

The printed numbers are kept in `published`; which of our methods stands beside which printed row is written there too.
"""

from collections.abc import Sequence

from geo_pipeline.scoring.published import PublishedRow, counterparts
from geo_pipeline.scoring.report.blocks import Block, Heading, Paragraph, TableBlock
from geo_pipeline.scoring.report.context import BenchmarkLine, ReportContext
from geo_pipeline.scoring.report.inputs import ReportInputs
from geo_pipeline.scoring.report.numbers import MethodScore, Scored, method_scores
from geo_pipeline.scoring.report.text_table import NOT_KNOWN, TextTable, percent_with_interval, threshold_titles

OURS = "This run: "
PUBLISHED_ROUTER = (
    "The published GeoRouter chooses between GeoRanker and Gemini 2.5 Flash, ours between the networks named under "
    "Protocol and networks."
)


def published_blocks(inputs: ReportInputs, lines: Sequence[BenchmarkLine]) -> list[Block]:
    """The section; empty where no published benchmark was run."""
    shown = [line for line in lines if line.published and inputs.published.get(line.name)]
    if not shown:
        return []
    blocks: list[Block] = [
        Heading(2, "Published results beside this run", "published"),
        Paragraph(
            "Published rows are as printed in the papers, in percent, not recomputed; a dash is a number that the "
            "paper does not give. Papers differ in distance, rounding, training data and networks, and print different "
            "numbers for the same method: published rows are for orientation."
        ),
        Paragraph(
            f"Rows marked “{OURS.strip(': ')}” are ours, with 95 % intervals; “(Ours)” in a published name is the "
            f"paper's word. {inputs.context.statement}"
        ),
    ]
    routers = [row for line in shown for row in inputs.published[line.name] if row.ours == "router"]
    if routers and any("router" in method_scores(inputs, line.name) for line in shown):
        blocks.append(Paragraph(PUBLISHED_ROUTER))
    for line in shown:
        blocks.append(TableBlock(line.title, published_table(inputs, line.name, inputs.published[line.name])))
    return blocks


def published_table(inputs: Scored, benchmark: str, rows: Sequence[PublishedRow]) -> TextTable:
    """The printed rows digit by digit, in the papers' order, with ours among them, each with its source.

    A row of ours stands below the last printed row of the same method, those without one on this benchmark at the end;
    methods that no paper prints on any benchmark are left out.
    """
    scores = method_scores(inputs, benchmark)
    known = counterparts() | {row.ours for row in rows}
    titles = {line.name: line.title for line in inputs.context.methods if line.name in scores and line.name in known}
    limits = sorted({limit for row in rows for limit in row.printed} | _limits(scores))
    cells: list[tuple[str, ...]] = []
    marked = set()
    left = dict(titles)
    for row in _gathered(rows):
        cells.append((row.method, *printed_cells(row, limits), source_words(row)))
        if row.ours in left and row is _last_of(rows, row.ours):
            marked.add(len(cells))
            cells.append(_our_row(inputs.context, left.pop(row.ours), scores[row.ours], limits))
    for name, title in left.items():
        marked.add(len(cells))
        cells.append(_our_row(inputs.context, title, scores[name], limits))
    columns = ("Method", *threshold_titles(limits), "Source")
    return TextTable(columns, tuple(cells), left=frozenset({0, len(columns) - 1}), marked=frozenset(marked), dense=True)


def _limits(scores: dict[str, MethodScore]) -> set[float]:
    return {limit for score in scores.values() for limit in score.accuracy}


def _gathered(rows: Sequence[PublishedRow]) -> list[PublishedRow]:
    """The papers' order, but with all rows of one of our methods where the first of them stands."""
    first = {row.ours: place for place, row in reversed(list(enumerate(rows))) if row.ours}
    places = {id(row): (first[row.ours] if row.ours else place, place) for place, row in enumerate(rows)}
    return sorted(rows, key=lambda row: places[id(row)])


def _last_of(rows: Sequence[PublishedRow], ours: str) -> PublishedRow:
    return [row for row in rows if row.ours == ours][-1]


def printed_cells(row: PublishedRow | None, limits: Sequence[float]) -> tuple[str, ...]:
    """The printed digits at each threshold, a dash where the paper gives none."""
    return tuple(row.printed.get(limit, NOT_KNOWN) if row else NOT_KNOWN for limit in limits)


def score_cells(score: MethodScore, limits: Sequence[float]) -> tuple[str, ...]:
    """Our accuracy with its interval at each threshold."""
    return tuple(
        percent_with_interval(score.accuracy[k], score.low[k], score.high[k]) if k in score.accuracy else NOT_KNOWN
        for k in limits
    )


def source_words(row: PublishedRow) -> str:
    """Paper and table, and what is odd about the row."""
    return f"{row.source}; {row.note}" if row.note else row.source


def run_words(context: ReportContext, images: int) -> str:
    """The source of a row of ours: this run, its profile, its images, its data and networks."""
    return f"this run, profile {context.profile}, {images:,} images: {context.source or context.statement}"


def _our_row(context: ReportContext, title: str, score: MethodScore, limits: Sequence[float]) -> tuple[str, ...]:
    return (f"{OURS}{title}", *score_cells(score, limits), run_words(context, score.count))
