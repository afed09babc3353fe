import hashlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from geo_pipeline.scoring.accuracy import paired_by_threshold
from geo_pipeline.scoring.published import ablation_rows
from geo_pipeline.scoring.report.ablations import ABLATIONS, Direction, ablations_of, directions, printed_differences
from geo_pipeline.scoring.report.comparison import TITLE, comparison_blocks, direction_words, write_comparison
from geo_pipeline.scoring.report.comparison_tables import ablation_table, baseline_table, difference_table, idea_table
from geo_pipeline.scoring.report.inputs import ReportError
from geo_pipeline.scoring.report.markdown import markdown
from geo_pipeline.scoring.report.numbers import paired_errors
from geo_pipeline.scoring.report.text_table import points
from geo_pipeline_tests.scoring.report.drawn_comparison import drawn_comparison

GEOGRAPHY, DEPTH, FUSION = ABLATIONS
CROPS = ablations_of("ten")[-1]


@pytest.fixture(scope="module")
def inputs():
    return drawn_comparison()


@pytest.fixture(scope="module")
def named(inputs):
    return inputs.with_variants()


def _text(inputs) -> str:
    return markdown(TITLE, comparison_blocks(inputs))


def _only(inputs, *methods):
    def keep(table):
        return table.filter(pl.col("method").is_in(methods))

    return replace(inputs, scores=keep(inputs.scores), judged=keep(inputs.judged))


def test_markdown_is_the_golden_text(inputs):
    assert _text(inputs) == (Path(__file__).parent / "golden_comparison.md").read_text(), (
        "the report's text changed; read it, and if it is meant: "
        "python -m geo_pipeline_tests.scoring.report.golden_report"
    )


def test_same_inputs_give_the_same_bytes_and_figures_of_another_report_go(inputs, tmp_path):
    def hashes(folder):
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.*")}

    (tmp_path / "one" / "figures").mkdir(parents=True)
    (tmp_path / "one" / "figures" / "old.png").write_bytes(b"of an earlier report")
    paths = write_comparison(inputs, tmp_path / "one")
    write_comparison(inputs, tmp_path / "two")
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") != {}
    assert paths.markdown.read_text() == _text(inputs)
    assert "<h1>Ablations and baselines</h1>" in paths.html.read_text()
    assert not list((tmp_path / "one" / "figures").iterdir())


def test_each_column_names_its_source(named):
    titles = ablation_table(named, GEOGRAPHY, "planet_mixed").full_titles()
    assert titles[1] == "This run, Planet, mixed: 1 km"
    assert titles[-1] == "GeoSURGE, Table VI, IM2GPS: 2500 km"
    assert all(title.startswith(("This run, Planet, mixed", "GeoSURGE, Table VI, IM2GPS")) for title in titles[1:])


def test_published_columns_are_as_printed_and_stand_beside_their_variant(named):
    rows = {row[0]: row for row in ablation_table(named, DEPTH, "planet_mixed").rows}
    assert rows["3"][-5:] == ("24.0", "51.5", "67.5", "82.2", "92.4")
    gains = {row[0]: row for row in difference_table(named, FUSION, "planet_mixed").rows}
    assert gains["2 over 0"][-5:] == ("+2.6", "+0", "+0.5", "-0.4", "+0")
    assert len(ablation_table(named, FUSION, "planet_mixed").columns) == 7


def test_printed_differences_are_exact():
    assert printed_differences(GEOGRAPHY, ablation_rows())["geosurge", "classifier"] == {
        1.0: Decimal("4.2"),
        25.0: Decimal("0.4"),
        200.0: Decimal("-1.3"),
        750.0: Decimal("0.9"),
        2500.0: Decimal("0.4"),
    }
    assert printed_differences(DEPTH, ablation_rows())["geosurge", "depth_1"][1.0] == Decimal("9.7")
    assert ("fusion_1", "fusion_0") in printed_differences(FUSION, ablation_rows())


def test_the_other_crops_stand_beside_those_of_the_run_and_beside_nothing_printed(named):
    assert named.context.crops == "ten"
    assert [row[0] for row in ablation_table(named, CROPS, "planet_mixed").rows] == ["ten", "centre"]
    (row,) = difference_table(named, CROPS, "planet_mixed").rows
    assert (row[0], len(row)) == ("ten over centre", 6)
    text = _text(replace(named, context=replace(named.context, crops="centre")))
    section = text.partition("## Crops at inference (section III-D)")[2].partition("\n## ")[0]
    assert "this run takes the centre" in section
    assert "| centre over ten |" in section
    assert "Beside it" not in section
    assert "published" not in section


def test_our_gain_over_no_fusion_is_paired_and_clustered_by_author(named):
    first, second, authors = paired_errors(named, "planet_mixed", "geosurge", "fusion_0")
    wanted = paired_by_threshold(first, second, authors)
    row = difference_table(named, FUSION, "planet_mixed").rows[0]
    assert row[0] == "3 over 0"
    assert row[1:6] == tuple(points(*wanted[limit]) for limit in (1.0, 25.0, 200.0, 750.0, 2500.0))
    assert paired_by_threshold(first, second) != wanted


@pytest.mark.parametrize(
    ("published", "ours", "verdict"),
    [
        ("1.5", (0.1, 0.05, 0.2), "holds"),
        ("-1.5", (-0.1, -0.2, -0.05), "holds"),
        ("1.5", (-0.1, -0.2, -0.05), "opposite"),
        ("-1.5", (0.1, 0.05, 0.2), "opposite"),
        ("1.5", (0.1, 0.0, 0.2), "not distinguishable"),
        ("-1.5", (0.1, -0.1, 0.3), "not distinguishable"),
        ("0", (0.1, 0.05, 0.2), "no change printed"),
    ],
)
def test_a_direction_holds_only_where_the_interval_says_so(published, ours, verdict):
    assert Direction("geosurge", "depth_1", 1.0, Decimal(published), *ours).verdict == verdict


def test_the_sentence_is_computed_from_the_numbers(named):
    found = directions(named, GEOGRAPHY, "planet_mixed", ablation_rows())
    assert [each.threshold_km for each in found] == [1.0, 25.0, 200.0, 750.0, 2500.0]
    turned = [replace(each, difference=-each.difference, low=-each.high, high=-each.low) for each in found]
    before = direction_words(GEOGRAPHY, "X", found)
    after = direction_words(GEOGRAPHY, "X", turned)
    assert "hold here: 3 (Yes over No at 25, 750 and 2500 km)" in before
    assert "the other way round here: 1 (Yes below No at 200 km)" in before
    assert "hold here: 1 (Yes below No at 200 km)" in after
    assert "the other way round here: 3 (Yes over No at 25, 750 and 2500 km)" in after
    unsure = direction_words(GEOGRAPHY, "X", [replace(each, low=-1.0, high=1.0) for each in found])
    assert "hold here: 0; the other way round here: 0; not distinguishable" in unsure
    assert direction_words(GEOGRAPHY, "X", []) == "On X no published difference can be compared."


def test_what_was_not_run_is_named_and_has_no_row(inputs, named):
    text = _text(inputs)
    assert "Not run, so without a row: Fusion blocks 1." in text
    assert "Not run, so without a row: ISNs without its idea." in text
    assert [row[0] for row in ablation_table(named, FUSION, "planet_mixed").rows] == ["3", "2", "0"]
    some = inputs.scores.remove(method="depth_3", benchmark="planet_mixed")
    assert "Not run, so without a row: on Planet, mixed alone Hierarchy levels 3." in _text(
        replace(inputs, scores=some)
    )


def test_an_ablation_of_which_nothing_was_run_is_one_sentence(inputs):
    text = _text(_only(inputs, "geosurge", "lknn"))
    section = text.partition("## Depth of the hierarchy")[2].partition("\n## ")[0]
    assert "Not run, so without a row: Hierarchy levels 5, Hierarchy levels 3 and Hierarchy levels 1." in section
    assert "|" not in section
    assert "what the idea of each baseline brings" not in text


def test_without_the_full_model_fusion_is_still_compared(inputs):
    text = _text(_only(inputs, "fusion_0", "fusion_2"))
    assert "| 2 over 0 |" in text
    assert "3 over 0" not in text
    assert "no published difference can be compared" not in text


def test_a_full_model_of_another_size_is_told(inputs):
    assert "The full model of this run" not in _text(inputs)
    options = replace(inputs.context.options, depth=5, fusion_blocks=2)
    text = _text(replace(inputs, context=replace(inputs.context, options=options)))
    assert "The full model of this run, in the row 7, has 5 and not 7." in text
    assert "The full model of this run, in the row 3, has 2 and not 3." in text


def test_what_is_compared_is_said_in_a_plain_sentence(inputs):
    text = _text(inputs)
    assert f"> {inputs.context.statement}" in text
    assert "measured on Planet, mixed and Planet, remote: a drawn planet, small networks." in text
    assert "So only the directions of differences can be compared" in text


def test_every_baseline_has_both_rows_and_geosurge_stands_first(named):
    rows = baseline_table(named, "planet_remote").rows
    assert [row[:2] for row in rows[:4]] == [
        ("GeoSURGE", "–"),
        ("Densest cell", "–"),
        ("[L]kNN", "with"),
        ("[L]kNN", "without"),
    ]
    assert ("ISNs", "without") not in [row[:2] for row in rows]
    assert [row[0] for row in idea_table(named, "planet_remote").rows] == ["[L]kNN", "PlaNet", "PIGEON"]


def test_what_each_was_trained_with_stands_in_its_row(named):
    table = baseline_table(named, "planet_remote")
    assert table.columns[-1] == "Training: epochs × images; rate; batch"
    assert [row[-1] for row in table.rows[:5]] == [
        "12 × 2,000 = 24,000; 0.001 × 0.85 per epoch; 128",
        "–",
        "4 × 2,000 = 8,000; 0.002 × 0.7 per epoch; 128",
        "nothing is trained",
        "–",
    ]
    assert baseline_table(replace(named, budgets={}), "planet_remote").columns == table.columns[:-1]


def test_published_rows_of_baselines_stand_on_published_benchmarks_alone():
    inputs = drawn_comparison(published=True).with_variants()
    table = baseline_table(inputs, "im2gps3k")
    rows = [row for row in table.rows if "PlaNet" in row[0]]
    assert [(row[1], row[-1]) for row in rows] == [
        ("with", "this run, profile sample, 120 images: a drawn planet, small networks"),
        ("without", "this run, profile sample, 120 images: a drawn planet, small networks"),
        ("published", "GeoSURGE, Table II"),
        ("published", "GeoRouter, Table 1"),
    ]
    assert {table.rows[number][1] for number in table.marked} == {"–", "with", "without"}
    both = replace(inputs, published={**inputs.published, "planet_remote": inputs.published["im2gps3k"]})
    assert baseline_table(both, "planet_remote").rows == baseline_table(inputs, "planet_remote").rows
    assert "Source" not in baseline_table(both, "planet_remote").columns


def test_what_the_idea_brings_is_said_from_its_interval(inputs):
    text = _text(inputs)
    assert (
        "Mean accuracy on Planet, mixed: the idea raises it for \\[L\\]kNN; lowers it for PlaNet; is not "
        "distinguishable from no difference for PIGEON." in text
    )


def test_nothing_scored_is_one_clear_error(inputs):
    with pytest.raises(ReportError, match="at least one scored benchmark"):
        comparison_blocks(replace(inputs, scores=inputs.scores.slice(0, 0)))


def test_scores_without_judged_predictions_are_refused(inputs):
    with pytest.raises(ReportError, match="found 0 judged predictions"):
        comparison_blocks(replace(inputs, judged=inputs.judged.slice(0, 0)))
