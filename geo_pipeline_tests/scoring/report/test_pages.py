import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from geo_pipeline.scoring.report.benchmark import TITLE, report_blocks
from geo_pipeline.scoring.report.blocks import PageLink, Paragraph, TableBlock
from geo_pipeline.scoring.report.html import html_page
from geo_pipeline.scoring.report.inputs import ReportError
from geo_pipeline.scoring.report.markdown import markdown
from geo_pipeline.scoring.report.pages import write_report
from geo_pipeline.scoring.report.photographs import rejections
from geo_pipeline.scoring.report.tables import leakage_table, split_table
from geo_pipeline.scoring.report.text_table import TextTable
from geo_pipeline_tests.scoring.report.drawn_report import drawn_inputs, published_inputs

FOLDER = Path(__file__).parent


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _text(inputs) -> str:
    return markdown(TITLE, report_blocks(inputs))


def _geosurge_alone(inputs):
    return replace(
        inputs,
        scores=inputs.scores.filter(benchmark="planet_mixed", method="geosurge"),
        routing_scores=inputs.routing_scores.slice(0, 0),
        judged=inputs.judged.slice(0, 0),
        georouting=None,
        training_curves={},
        examples=(),
        census=inputs.census.filter(pl.col("reason").is_null()),
    )


@pytest.fixture(scope="module")
def inputs():
    return drawn_inputs()


@pytest.fixture(scope="module")
def written(inputs, tmp_path_factory):
    return write_report(inputs, tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize("name", ["report", "examples"])
def test_markdown_is_the_golden_text(written, name):
    assert written.markdown.with_name(f"{name}.md").read_text() == (FOLDER / f"golden_{name}.md").read_text(), (
        "the report's text changed; read it, and if it is meant: "
        "python -m geo_pipeline_tests.scoring.report.golden_report"
    )


def test_same_inputs_give_the_same_bytes(inputs, written, tmp_path):
    write_report(inputs, tmp_path)
    assert _hashes(tmp_path) == _hashes(written.markdown.parent)


def test_other_inputs_give_another_text(written):
    assert _text(drawn_inputs(seed=8)) != written.markdown.read_text()


def test_every_figure_of_the_markdown_lies_beside_it(written):
    folder = written.markdown.parent
    text = written.markdown.read_text() + (folder / "examples.md").read_text()
    linked = set(re.findall(r"\]\((figures/[^)]+)\)", text))
    assert linked == {str(path.relative_to(folder)) for path in written.figures}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written.figures)


def test_figures_of_an_earlier_report_are_removed(inputs, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "loss_curves.png").write_bytes(b"of an earlier report")
    write_report(_geosurge_alone(inputs), tmp_path)
    assert not (tmp_path / "figures" / "loss_curves.png").exists()
    assert "loss_curves" not in (tmp_path / "report.md").read_text()


def test_all_settings_lie_beside_the_report_and_go_with_it(inputs, tmp_path):
    settings = "dispo:\n  alpha: 2.0\n"
    alone = _geosurge_alone(inputs)
    write_report(replace(alone, context=replace(alone.context, settings=settings)), tmp_path)
    assert (tmp_path / "settings.yaml").read_text() == settings
    write_report(alone, tmp_path)
    assert not (tmp_path / "settings.yaml").exists()


class _Page(HTMLParser):
    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.alts: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [values[name] for name in ("src",) if name in values]
        self.alts += [values["alt"]] if tag == "img" else []
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _page(path: Path) -> tuple[_Page, str]:
    page, text = _Page(), path.read_text()
    page.feed(text)
    return page, text


@pytest.mark.parametrize(("name", "elsewhere"), [("index", "examples.html"), ("examples", "index.html")])
def test_page_is_well_formed_and_needs_no_other_file(written, name, elsewhere):
    page, text = _page(written.html.with_name(f"{name}.html"))
    assert page.open == []
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(page.alts)
    assert len(page.ids) == len(set(page.ids))
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {elsewhere}
    assert "<script" not in text
    assert "url(" not in text


def test_every_figure_stands_on_one_of_the_two_pages(written):
    shown = [_page(written.html.with_name(f"{name}.html"))[0].sources for name in ("index", "examples")]
    assert sum(map(len, shown)) == len(written.figures)
    assert len(shown[1]) == 8


def test_the_page_of_examples_is_linked_from_the_report_and_goes_when_there_are_none(inputs, tmp_path):
    first = write_report(inputs, tmp_path)
    assert first.examples == tmp_path / "examples.html"
    nav = first.html.read_text().partition("<nav")[2].partition("</nav>")[0]
    assert '<a href="examples.html">Successes and failures of GeoSURGE</a>' in nav
    assert "[examples.md](examples.md), [examples.html](examples.html)" in first.markdown.read_text()
    second = write_report(replace(inputs, examples=()), tmp_path)
    assert second.examples is None
    assert not list(tmp_path.glob("examples.*"))
    assert not list((tmp_path / "figures").glob("example*"))
    assert "examples" not in second.html.read_text()


def test_names_are_escaped(inputs):
    table = TextTable(("a|b", "n"), (("c (<3)", "1 (<2)"),))
    blocks = [Paragraph("<b>& |*bold*| a_b", lead=True), TableBlock("x", table), PageLink("<t>", "<w>", "page")]
    page, text = html_page("<title>", blocks, {}), markdown("*title*", blocks)
    assert "&lt;b&gt;&amp; |*bold*| a_b" in page
    assert "<h1>&lt;title&gt;</h1>" in page
    assert '<a href="page.html">&lt;t&gt;</a>' in page
    assert '<a href="page.html">Open this page</a>' in page
    assert '1 <span class="range">(&lt;2)</span>' in page
    assert ">c (&lt;3)</td>" in page
    assert text.startswith("# \\*title\\*\n")
    assert "> \\<b>& |\\*bold\\*| a\\_b" in text
    assert "| a\\|b |" in text


def test_marked_rows_and_groups_of_columns_show_in_both_spellings():
    table = TextTable(
        ("m", "1 km"), (("mine", "1"), ("theirs", "2")), marked=frozenset({0}), groups=(("", 1), ("G", 1))
    )
    page, text = html_page("t", [TableBlock("x", table)], {}), markdown("t", [TableBlock("x", table)])
    assert '<tr class="marked"><td class="words"><strong>mine</strong></td>' in page
    assert '<th scope="colgroup" colspan="1">G</th>' in page
    assert "<strong>theirs" not in page
    assert "| m | G: 1 km |" in text
    assert "| **mine** | 1 |\n| theirs | 2 |" in text


def test_published_rows_stand_apart_and_only_for_published_benchmarks(inputs):
    before, _, after = _text(published_inputs()).partition("## Published results")
    section = after.partition("\n## ")[0]
    assert "A paper's method" not in before
    assert "| A paper's method | – | 12.30 | – | – | – | A paper, Table 1; rounded |" in section
    assert "Planet, remote" in section
    assert "Planet, mixed" not in section
    plain = replace(published_inputs(), context=inputs.context)
    assert "Published results" not in _text(plain)
    assert "A paper" not in _text(plain)


def test_nothing_scored_is_one_clear_error(inputs, tmp_path):
    with pytest.raises(ReportError, match="at least one scored benchmark"):
        write_report(replace(inputs, scores=inputs.scores.slice(0, 0)), tmp_path)


def test_a_score_without_a_name_is_refused(inputs):
    fewer = replace(inputs, context=replace(inputs.context, methods=inputs.context.methods[1:]))
    with pytest.raises(ReportError, match="densest_cell"):
        report_blocks(fewer)
    fewer = replace(inputs, context=replace(inputs.context, benchmarks=inputs.context.benchmarks[1:]))
    with pytest.raises(ReportError, match="planet_mixed"):
        report_blocks(fewer)


def test_judged_rows_that_miss_a_method_are_refused(inputs):
    with pytest.raises(ReportError, match="found 0 judged predictions of router"):
        report_blocks(replace(inputs, judged=inputs.judged.remove(method="router")))


def test_a_report_of_one_benchmark_without_routers_is_possible(inputs):
    text = _text(_geosurge_alone(inputs))
    assert "No row was rejected." in text
    assert "Routing accuracy" not in text
    assert "Who is nearer" not in text


def test_sets_come_training_first_and_benchmarks_in_their_order(inputs):
    assert split_table(inputs).rows == (
        ("Training", "3,000", "2,998", "412"),
        ("Hold-out", "31", "31", "6"),
        ("Router queries", "150", "150", "22"),
        ("Planet, mixed", "40", "40", "11"),
        ("Planet, remote", "40", "40", "11"),
    )


def test_rejections_are_summed_over_sets_and_the_most_frequent_comes_first(inputs):
    assert rejections(inputs) == [
        ("catalogue", "lat_out_of_range", 9),
        ("catalogue", "null_island", 5),
        ("decode", "truncated", 2),
    ]
    assert "3,261 photographs in the catalogue" in _text(inputs)
    assert "Refused records: 14; photographs that could not be decoded: 2." in _text(inputs)


def test_leakage_is_told_at_the_top_and_in_its_table(inputs):
    text = _text(inputs)
    assert "4 of 80 benchmark images are also in the training data, exactly or nearly (see Leakage" in text
    assert "None was found" not in text
    assert leakage_table(inputs).rows == (
        ("Planet, mixed", "40", "1 (2.5)", "3 (7.5)", "0", "2 (5.0)", "0"),
        ("Planet, remote", "40", "0", "0", "0", "2 (5.0)", "4 (10.0)"),
        ("Router queries", "150", "0", "0", "0", "0", "0"),
        ("Hold-out", "31", "0", "5 (16.1)", "0", "0", "0"),
    )


def test_when_nothing_leaks_it_is_said_and_duplicates_within_a_set_still_show(inputs):
    def text_with(keep):
        rows = [row | {"images": row["images"] * keep(row)} for row in inputs.leakage.to_dicts()]
        return _text(replace(inputs, leakage=pl.DataFrame(rows)))

    nothing = text_with(lambda row: False)
    assert "No benchmark image was found in the training data." in nothing
    assert "None was found" in nothing
    assert "Either kind within the set" not in nothing
    within = text_with(lambda row: row["set_name"] == row["other_set"])
    assert "None was found" in within
    assert "| 4 (10.0) |" in within


def test_a_distance_of_other_than_six_bits_is_said(inputs):
    assert "at most 6 bits differ" in _text(inputs)
    assert "at most 3 bits differ" in _text(replace(inputs, context=replace(inputs.context, near_bits=3)))
