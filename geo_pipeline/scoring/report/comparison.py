"""The report on ablations and baselines: its order and its words, and writing it.

It is built and written like the main report; what goes in is described in `comparison_inputs`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from geo_pipeline.scoring.report.ablations import FULL, Ablation, Direction, Verdict, ablations_of, directions
from geo_pipeline.scoring.report.blocks import Block, Heading, Paragraph, TableBlock
from geo_pipeline.scoring.report.comparison_inputs import ComparisonInputs
from geo_pipeline.scoring.report.comparison_tables import (
    PUBLISHED_ON,
    ablation_table,
    baseline_names,
    baseline_table,
    baseline_title,
    benchmark_title,
    difference_table,
    idea_gains,
    idea_table,
)
from geo_pipeline.scoring.report.inputs import ReportError, ReportPaths
from geo_pipeline.scoring.report.numbers import method_scores, scored_benchmarks, thresholds
from geo_pipeline.scoring.report.pages import remove_other_figures, write_page, write_settings
from geo_pipeline.scoring.report.protocol import protocol_blocks
from geo_pipeline.scoring.report.text_table import listed
from geo_pipeline.scoring.twins import WITHOUT_IDEA

TITLE = "Ablations and baselines"
VERDICT_WORDS: Mapping[Verdict, str] = {
    "holds": "hold here",
    "opposite": "the other way round here",
    "not distinguishable": "not distinguishable from no difference, as the interval includes 0",
    "no change printed": "printed as no change, so without a direction",
}


def write_comparison(inputs: ComparisonInputs, out_dir: Path) -> ReportPaths:
    """Write `report.md`, a self-contained `index.html` and all settings into `out_dir`; same inputs, same bytes.

    Raises ReportError when the inputs make no report.
    """
    figures = write_page(out_dir, TITLE, comparison_blocks(inputs), "report", "index")
    remove_other_figures(out_dir, figures)
    write_settings(out_dir, inputs.context.settings)
    return ReportPaths(out_dir / "report.md", out_dir / "index.html", figures)


def comparison_blocks(inputs: ComparisonInputs) -> list[Block]:
    """All blocks in order. Raises ReportError when nothing was scored."""
    inputs = inputs.with_variants()
    names = scored_benchmarks(inputs)
    if not names:
        raise ReportError(
            "found an empty table of scores; expected at least one scored benchmark; materialize the scores of the "
            "ablations or of the baselines first"
        )
    blocks: list[Block] = [
        Paragraph(inputs.context.statement, lead=True),
        Paragraph(
            "What happens to GeoSURGE when one of its parts is taken away, and what the idea of each earlier method "
            "brings when the rest is kept the same. Every interval stands by itself: of twenty, about one leaves out 0 "
            "by chance."
        ),
        Paragraph(_what_stands_beside(inputs, names)),
    ]
    for ablation in ablations_of(inputs.context.crops):
        blocks += _ablation(inputs, ablation, names)
    blocks += _baselines(inputs, names)
    return [*blocks, *protocol_blocks(inputs.context, thresholds(inputs))]


def _what_stands_beside(inputs: ComparisonInputs, names: Sequence[str]) -> str:
    ours = listed([benchmark_title(inputs, name) for name in names])
    what = inputs.context.source or "the data and networks described above"
    return (
        f"Columns named after a table of GeoSURGE are as printed there: measured on {PUBLISHED_ON}, with networks of "
        f"full size trained on MP-16. Columns named This run are ours, profile {inputs.context.profile}, measured on "
        f"{ours}: {what}. So only the directions of differences can be compared, not heights."
    )


def _ablation(inputs: ComparisonInputs, ablation: Ablation, names: Sequence[str]) -> list[Block]:
    heading = Heading(2, ablation.heading, ablation.anchor)
    blocks: list[Block] = [heading, Paragraph(ablation.about)]
    blocks += _other_size(inputs, ablation)
    scored = {name: method_scores(inputs, name) for name in names}
    missing = {label: [name for name in names if method not in scored[name]] for method, label in ablation.variants}
    blocks += _missing(inputs, {f"{ablation.column} {label}": where for label, where in missing.items()}, names)
    for name in names:
        shown = [method for method, _ in ablation.variants if method in scored[name]]
        if set(shown) <= {FULL}:
            continue
        count, title = scored[name][shown[0]].count, benchmark_title(inputs, name)
        caption = f"{title}: accuracy in percent on {count:,} images, with the 95 % interval."
        if ablation.table and not ablation.printed_gains:
            caption += f" Beside it {ablation.source}, in percent, on {PUBLISHED_ON}."
        blocks.append(TableBlock(caption, ablation_table(inputs, ablation, name)))
        differences = difference_table(inputs, ablation, name)
        if differences.rows:
            blocks.append(TableBlock(_difference_caption(ablation, title), differences))
            if ablation.table:
                found = directions(inputs, ablation, name, inputs.ablations)
                blocks.append(Paragraph(direction_words(ablation, title, found)))
    return blocks


def _other_size(inputs: ComparisonInputs, ablation: Ablation) -> list[Block]:
    """A sentence where the full model of this run is not of the size that its row is named after."""
    options = inputs.context.options
    sizes = {"depth": options.depth, "fusion": options.fusion_blocks} if options else {}
    size, label = sizes.get(ablation.anchor), ablation.labels[FULL]
    if size is None or str(size) == label:
        return []
    return [Paragraph(f"The full model of this run, in the row {label}, has {size} and not {label}.")]


def _difference_caption(ablation: Ablation, title: str) -> str:
    how = "as printed" if ablation.printed_gains else "as differences of the printed values"
    beside = f" Beside it {ablation.source}, on {PUBLISHED_ON}, {how}." if ablation.table else ""
    return (
        f"{title}: difference in points, on the same images, with the paired 95 % interval, drawn by author where "
        f"authors are known.{beside}"
    )


def _missing(inputs: ComparisonInputs, missing: dict[str, list[str]], names: Sequence[str]) -> list[Block]:
    """One sentence that names what was not run; nothing where all was."""
    everywhere = [word for word, where in missing.items() if len(where) == len(names)]
    parts = [listed(everywhere)] if everywhere else []
    for name in names:
        here = [word for word, where in missing.items() if name in where and word not in everywhere]
        if here:
            parts.append(f"on {benchmark_title(inputs, name)} alone {listed(here)}")
    return [Paragraph(f"Not run, so without a row: {'; '.join(parts)}.")] if parts else []


def direction_words(ablation: Ablation, title: str, found: Sequence[Direction]) -> str:
    """Which printed directions hold on a benchmark, which turn round, and which cannot be told, from the numbers."""
    if not found:
        return f"On {title} no published difference can be compared."
    said = []
    for verdict, words in VERDICT_WORDS.items():
        of_kind = [direction for direction in found if direction.verdict == verdict]
        if of_kind or verdict != "no change printed":
            said.append(f"{words}: {len(of_kind)}{' (' + _where(ablation, of_kind) + ')' if of_kind else ''}")
    return f"Of {len(found)} published differences, one per comparison and threshold, on {title}: {'; '.join(said)}."


def _where(ablation: Ablation, found: Sequence[Direction]) -> str:
    """What the paper prints, in words: `7 over 5 at 1 and 25 km, 2 below 0 at 750 km`."""
    groups: dict[str, list[str]] = {}
    for direction in found:
        first, second = ablation.labels[direction.first], ablation.labels[direction.second]
        sign = {1: "over", -1: "below", 0: "like"}[(direction.published > 0) - (direction.published < 0)]
        groups.setdefault(f"{first} {sign} {second}", []).append(f"{direction.threshold_km:g}")
    return "; ".join(f"{words} at {listed(limits)} km" for words, limits in groups.items())


def _baselines(inputs: ComparisonInputs, names: Sequence[str]) -> list[Block]:
    baselines = baseline_names(inputs)
    if not baselines:
        return []
    blocks: list[Block] = [
        Heading(2, "Baselines with and without their idea", "baselines"),
        Paragraph(
            "Each earlier method as this project builds it: with the idea that gave it its name, and with that idea "
            "switched off and all else the same. GeoSURGE and the densest cell stand first, to compare with. What each "
            "was trained with stands in its row: where that differs, so may the answers, whatever the idea."
        ),
    ]
    missing = {}
    for name in baselines:
        for method, word in ((name, "with its idea"), (f"{name}{WITHOUT_IDEA}", "without its idea")):
            where = [benchmark for benchmark in names if method not in method_scores(inputs, benchmark)]
            missing[f"{baseline_title(inputs, name)} {word}"] = where
    blocks += _missing(inputs, missing, names)
    for benchmark in names:
        blocks += _baselines_of(inputs, benchmark)
    return blocks


def _baselines_of(inputs: ComparisonInputs, benchmark: str) -> list[Block]:
    scores, title = method_scores(inputs, benchmark), benchmark_title(inputs, benchmark)
    twins = [twin for name in baseline_names(inputs) for twin in (name, f"{name}{WITHOUT_IDEA}")]
    if not any(name in scores for name in twins):
        return []
    count = next(iter(scores.values())).count
    table = baseline_table(inputs, benchmark)
    caption = f"{title}: accuracy in percent on {count:,} images, with the 95 % interval."
    if table.marked:
        caption += (
            " Tinted or bold rows are of this run; the others are published ones, by networks of other sizes and other "
            "training data."
        )
    blocks: list[Block] = [Heading(3, title, f"baselines_{benchmark}"), TableBlock(caption, table)]
    gains = idea_gains(inputs, benchmark)
    if gains:
        caption = f"{title}: what the idea of each baseline brings, in points, with the paired 95 % interval."
        blocks.append(TableBlock(caption, idea_table(inputs, benchmark)))
        blocks.append(Paragraph(_gain_words(inputs, title, gains)))
    return blocks


def _gain_words(inputs: ComparisonInputs, title: str, gains: dict[str, tuple[float, float, float, float]]) -> str:
    kinds: dict[str, list[str]] = {"raises": [], "lowers": [], "unclear": []}
    for name, (_, low, high, _) in gains.items():
        kind = "raises" if low > 0 else "lowers" if high < 0 else "unclear"
        kinds[kind].append(baseline_title(inputs, name))
    said = [
        f"raises it for {listed(kinds['raises']) or 'none'}",
        f"lowers it for {listed(kinds['lowers']) or 'none'}",
        f"is not distinguishable from no difference for {listed(kinds['unclear']) or 'none'}",
    ]
    return f"Mean accuracy on {title}: the idea {'; '.join(said)}."
