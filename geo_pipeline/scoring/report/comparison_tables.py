"""Tables of the report on ablations and baselines.

Order and words around the tables belong in `comparison`, the numbers of ablations in `ablations`.
"""

from decimal import Decimal

from geo_pipeline.scoring.accuracy import paired_by_threshold, paired_difference
from geo_pipeline.scoring.report.ablations import FULL, Ablation, our_differences, printed_differences, printed_rows
from geo_pipeline.scoring.report.comparison_inputs import ComparisonInputs
from geo_pipeline.scoring.report.numbers import method_scores, paired_errors, thresholds
from geo_pipeline.scoring.report.published_tables import printed_cells, run_words, score_cells, source_words
from geo_pipeline.scoring.report.text_table import NOT_KNOWN, TextTable, p_value_text, percent, points, threshold_titles
from geo_pipeline.scoring.twins import WITHOUT_IDEA

REFERENCES = (FULL, "densest_cell")
PUBLISHED_ON = "IM2GPS"
BUDGET = "Training: epochs × images; rate; batch"


def benchmark_title(inputs: ComparisonInputs, benchmark: str) -> str:
    """The benchmark as the report names it."""
    return next(line.title for line in inputs.context.benchmarks if line.name == benchmark)


def ablation_table(inputs: ComparisonInputs, ablation: Ablation, benchmark: str) -> TextTable:
    """Accuracy of the variants that were scored, and beside it what the paper prints, where it prints accuracies."""
    scores, limits = method_scores(inputs, benchmark), thresholds(inputs)
    printed = {} if ablation.printed_gains else printed_rows(ablation, inputs.ablations)
    rows = []
    for method, label in ablation.variants:
        if method in scores:
            cells = (label, *score_cells(scores[method], limits), percent(scores[method].mean_accuracy))
            rows.append((*cells, *printed_cells(printed.get(method), limits)) if printed else cells)
    titles = threshold_titles(limits)
    ours = f"This run, {benchmark_title(inputs, benchmark)}"
    groups = [("", 1), (ours, len(limits) + 1), *([(_published_group(ablation), len(limits))] if printed else [])]
    columns = (ablation.column, *titles, "Mean", *(titles if printed else ()))
    return TextTable(columns, tuple(rows), groups=tuple(groups), dense=True)


def difference_table(inputs: ComparisonInputs, ablation: Ablation, benchmark: str) -> TextTable:
    """Our differences in points with paired intervals, and beside them the paper's; a row per pair that was scored."""
    limits, labels = thresholds(inputs), ablation.labels
    printed = printed_differences(ablation, inputs.ablations)
    rows = []
    compared = limits if ablation.table else []
    for (first, second), ours in our_differences(inputs, ablation, benchmark).items():
        theirs = printed.get((first, second), {})
        cells = [points(*ours[limit]) for limit in limits]
        rows.append((f"{labels[first]} over {labels[second]}", *cells, *(_points(theirs.get(k)) for k in compared)))
    groups = [("", 1), (f"This run, {benchmark_title(inputs, benchmark)}, points", len(limits))]
    if compared:
        groups.append((f"{_published_group(ablation)}, points", len(limits)))
    columns = (ablation.column, *threshold_titles(limits), *threshold_titles(compared))
    return TextTable(columns, tuple(rows), groups=tuple(groups), dense=True)


def _published_group(ablation: Ablation) -> str:
    return f"{ablation.source}, {PUBLISHED_ON}"


def _points(value: Decimal | None) -> str:
    return NOT_KNOWN if value is None else f"{value:+}"


def baseline_names(inputs: ComparisonInputs) -> list[str]:
    """The baselines that the context names, with or without their twin, in its order."""
    named = [line for line in inputs.context.methods if line.baseline or line.name.endswith(WITHOUT_IDEA)]
    return list(dict.fromkeys(line.name.removesuffix(WITHOUT_IDEA) for line in named))


def baseline_title(inputs: ComparisonInputs, name: str) -> str:
    """A baseline as the report names it."""
    titles = {line.name: line.title for line in inputs.context.methods}
    return titles.get(name, name)


def baseline_table(inputs: ComparisonInputs, benchmark: str) -> TextTable:
    """Each baseline with its idea and without, GeoSURGE and the densest cell first; printed rows where there are any.

    A column of sources stands only where rows of papers do, one of training budgets only where these are known.
    """
    scores, limits = method_scores(inputs, benchmark), thresholds(inputs)
    shown = {line.name: line.published for line in inputs.context.benchmarks}
    printed = inputs.published.get(benchmark, ()) if shown[benchmark] else ()
    rows: list[tuple[str, ...]] = []
    marked = set()

    def budget(method: str) -> tuple[str, ...]:
        known = inputs.budgets.get(method)
        return (known.words if known else NOT_KNOWN,) if inputs.budgets else ()

    def add(method: str, title: str, idea: str) -> None:
        if method in scores:
            marked.add(len(rows))
            score = scores[method]
            source = (run_words(inputs.context, score.count),) if printed else ()
            cells = (*score_cells(score, limits), percent(score.mean_accuracy))
            rows.append((title, idea, *cells, *budget(method), *source))

    for name in (*REFERENCES, *baseline_names(inputs)):
        title = baseline_title(inputs, name)
        with_twin = name not in REFERENCES
        add(name, title, "with" if with_twin else NOT_KNOWN)
        if with_twin:
            add(f"{name}{WITHOUT_IDEA}", title, "without")
        for row in printed:
            if row.ours == name:
                mean = "" if row.average is None else f"{row.average:.2f}"
                cells = (*printed_cells(row, limits), mean)
                rows.append((row.method, "published", *cells, *budget("a published one"), source_words(row)))
    more = (*((BUDGET,) if inputs.budgets else ()), *(("Source",) if printed else ()))
    columns = ("Method", "Its idea", *threshold_titles(limits), "Mean", *more)
    words = {0, 1, *range(len(columns) - len(more), len(columns))}
    ours = frozenset(marked if printed else ())
    return TextTable(columns, tuple(rows), left=frozenset(words), marked=ours, dense=bool(printed))


def idea_gains(inputs: ComparisonInputs, benchmark: str) -> dict[str, tuple[float, float, float, float]]:
    """(difference, low, high, p) in mean accuracy, idea over no idea, of each baseline of which both have scores."""
    scores, limits = method_scores(inputs, benchmark), thresholds(inputs)
    found = {}
    for name in baseline_names(inputs):
        if name in scores and f"{name}{WITHOUT_IDEA}" in scores:
            first, second, authors = paired_errors(inputs, benchmark, name, f"{name}{WITHOUT_IDEA}")
            found[name] = paired_difference(first, second, authors, limits)
    return found


def idea_table(inputs: ComparisonInputs, benchmark: str) -> TextTable:
    """What each baseline's idea brings, in points with paired intervals, at each threshold and on average."""
    limits, rows = thresholds(inputs), []
    for name, (difference, low, high, p_value) in idea_gains(inputs, benchmark).items():
        first, second, authors = paired_errors(inputs, benchmark, name, f"{name}{WITHOUT_IDEA}")
        each = paired_by_threshold(first, second, authors, limits)
        mean = points(difference, low, high)
        rows.append((baseline_title(inputs, name), *(points(*each[k]) for k in limits), mean, p_value_text(p_value)))
    return TextTable(("Baseline", *threshold_titles(limits), "Mean", "p"), tuple(rows), dense=True)
