"""Numbers of the report as rows of text: percent with one decimal, intervals, counts.

Holds the rows of the main report's tables once, for Markdown, HTML and the terminal alike. Order and words around them
belong in `benchmark`, reading the numbers in `numbers`, spelling a number in `text_table`, rows of papers
in `published_tables`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from geo_pipeline.scoring.broken_runs import AnsweredQueries, findings
from geo_pipeline.scoring.report.inputs import ReportInputs
from geo_pipeline.scoring.report.numbers import (
    MethodScore,
    judged_of,
    method_scores,
    router_gain,
    scored_benchmarks,
    thresholds,
)
from geo_pipeline.scoring.report.photographs import leaks, rejections, set_sizes
from geo_pipeline.scoring.report.text_table import (
    NOT_KNOWN,
    TextTable,
    kilometres,
    p_value_text,
    percent,
    percent_with_interval,
    points,
    threshold_titles,
)
from geo_pipeline.scoring.routing import ORACLE

SET_TITLES = {"train": "Training", "holdout": "Hold-out", "router_queries": "Router queries"}


def _titles(inputs: ReportInputs) -> dict[str, str]:
    return {line.name: line.title for line in inputs.context.methods}


def _best_rows(values: Iterable[float | None], skip: Sequence[bool]) -> set[int]:
    """Row numbers of the highest value among rows that are not skipped (the oracle is no method)."""
    kept = {row: value for row, value in enumerate(values) if value is not None and not skip[row]}
    top = max(kept.values(), default=None)
    return {row for row, value in kept.items() if value == top}


def _accuracy_emphasis(
    scores: dict[str, MethodScore], limits: Sequence[float], first_column: int
) -> set[tuple[int, int]]:
    skip = [name == ORACLE for name in scores]
    stressed = set()
    for at, limit in enumerate(limits):
        best = _best_rows([score.accuracy[limit] for score in scores.values()], skip)
        stressed |= {(row, first_column + at) for row in best}
    best = _best_rows([score.mean_accuracy for score in scores.values()], skip)
    return stressed | {(row, first_column + len(limits)) for row in best}


def accuracy_table(inputs: ReportInputs, benchmark: str) -> TextTable:
    """Accuracy of every method at every threshold with its 95 % interval, the mean, the median error, the failures."""
    scores, limits, titles = method_scores(inputs, benchmark), thresholds(inputs), _titles(inputs)
    rows = []
    for name, score in scores.items():
        cells = [percent_with_interval(score.accuracy[k], score.low[k], score.high[k]) for k in limits]
        mean, median = percent(score.mean_accuracy), kilometres(score.median_km)
        rows.append((titles[name], *cells, mean, median, str(score.failures)))
    columns = ("Method", *threshold_titles(limits), "Mean", "Median, km", "Failed")
    return TextTable(columns, tuple(rows), emphasis=frozenset(_accuracy_emphasis(scores, limits, 1)))


def cell_hits_table(inputs: ReportInputs, benchmark: str) -> TextTable:
    """How often each method that names cells is in the true one of the finest partition, beside it, or neither."""
    rows = []
    for line in inputs.context.methods:
        hits = inputs.cell_hits.get((benchmark, line.name))
        if hits is not None:
            shares = [percent(part / hits.count) for part in (hits.right, hits.adjoining, hits.neither)]
            rows.append((line.title, *shares, percent(hits.wrong_that_adjoin), f"{hits.uncovered:,}"))
    columns = ("Method", "True cell", "Adjoining", "Neither", "Adjoining, of the wrong", "True place in no cell")
    return TextTable(columns, tuple(rows))


def broken_runs_table(inputs: ReportInputs, benchmark: str) -> TextTable:
    """Signs of a broken run, one row each; the oracle is no run."""
    scored = method_scores(inputs, benchmark)
    rows = []
    for line in inputs.context.methods:
        if line.name in scored and line.paradigm != "oracle":
            mine = judged_of(inputs, benchmark, line.name)
            names = ("lat_deg", "lon_deg", "truth_lat_deg", "truth_lon_deg")
            lat, lon, true_lat, true_lon = (mine[name].to_numpy() for name in names)
            queries = AnsweredQueries(lat, lon, true_lat, true_lon, mine["failure"].to_list())
            told = findings(queries, constant=line.paradigm == "guess")
            rows += [(line.title, finding) for finding in told]
    return TextTable(("Method", "What was found"), tuple(rows), left=frozenset({0, 1}))


def overview_table(inputs: ReportInputs) -> TextTable:
    """Mean accuracy of every method on every benchmark, and the plain mean over benchmarks where all are scored."""
    benchmarks = scored_benchmarks(inputs)
    shown = {line.name: line.title for line in inputs.context.benchmarks}
    scores = {benchmark: method_scores(inputs, benchmark) for benchmark in benchmarks}
    methods = [line for line in inputs.context.methods if any(line.name in scores[name] for name in benchmarks)]
    means = [
        [scores[b][line.name].mean_accuracy if line.name in scores[b] else None for b in benchmarks] for line in methods
    ]
    if len(benchmarks) > 1:
        for values in means:
            values.append(_mean_or_none(values))
    rows = [(line.title, *(percent(value) for value in values)) for line, values in zip(methods, means, strict=True)]
    skip = [line.name == ORACLE for line in methods]
    emphasis = {
        (row, column + 1)
        for column in range(len(means[0]) if means else 0)
        for row in _best_rows([values[column] for values in means], skip)
    }
    columns = ("Method", *(shown[name] for name in benchmarks), *(("All",) if len(benchmarks) > 1 else ()))
    return TextTable(columns, tuple(rows), emphasis=frozenset(emphasis))


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def gain_table(inputs: ReportInputs) -> TextTable:
    """Every router against the better paradigm: difference in points with interval, p, share of the gap closed."""
    shown = {line.name: line.title for line in inputs.context.benchmarks}
    titles, rows = _titles(inputs), []
    for benchmark in scored_benchmarks(inputs):
        for line in inputs.context.methods:
            gain = router_gain(inputs, benchmark, line.name) if line.paradigm == "router" else None
            if gain is None:
                continue
            difference = points(gain.difference, gain.low, gain.high)
            closed = NOT_KNOWN if gain.closed is None else f"{100 * gain.closed:.0f}"
            sent = percent(gain.sent_to_generation)
            rows.append(
                (
                    shown[benchmark],
                    line.title,
                    titles[gain.better],
                    difference,
                    p_value_text(gain.p_value),
                    closed,
                    sent,
                )
            )
    columns = (
        "Benchmark",
        "Router",
        "Better paradigm",
        "Gain in mean accuracy, points",
        "p",
        "Gap to oracle closed, %",
        "Sent to generation, %",
    )
    return TextTable(columns, tuple(rows), left=frozenset({0, 1, 2}))


def routing_table(inputs: ReportInputs, benchmark: str) -> TextTable:
    """Routing accuracy per threshold with its counts, and the plain mean of the thresholds that have queries."""
    limits, rows = thresholds(inputs), []
    for line in inputs.context.methods:
        rows_of = inputs.routing_scores.filter(benchmark=benchmark, method=line.name)
        found = {row["threshold_km"]: row for row in rows_of.iter_rows(named=True)}
        if not found:
            continue
        cells = [_routing_cell(found.get(limit)) for limit in limits]
        known = [row["accuracy"] for row in found.values() if row["accuracy"] is not None]
        rows.append((line.title, *cells, percent(float(np.mean(known)) if known else None)))
    return TextTable(("Router", *threshold_titles(limits), "Average"), tuple(rows))


def _routing_cell(row: dict[str, object] | None) -> str:
    if row is None or row["accuracy"] is None:
        return NOT_KNOWN
    return f"{100 * float(str(row['accuracy'])):.1f} ({row['correct']}/{row['eligible']})"


def split_table(inputs: ReportInputs) -> TextTable:
    """Photographs and authors per set, and how many of the photographs have an image that can be decoded."""
    rows = [
        (set_title(inputs, size.set_name), f"{size.photographs:,}", f"{size.decoded:,}", f"{size.authors:,}")
        for size in set_sizes(inputs)
    ]
    return TextTable(("Set", "Photographs", "Decoded", "Authors known"), tuple(rows))


def quarantine_table(inputs: ReportInputs) -> TextTable:
    """Rejected rows by stage and reason."""
    rows = [(stage, reason.replace("_", " "), f"{count:,}") for stage, reason, count in rejections(inputs)]
    return TextTable(("Stage", "Reason", "Rows"), tuple(rows), left=frozenset({0, 1}))


def leakage_table(inputs: ReportInputs) -> TextTable:
    """For each query set: images with a byte-equal or near-equal image in the training data, among the benchmarks, and
    within the set, with their share in percent.
    """
    rows = []
    for line in leaks(inputs):
        pairs = (line.train_byte, line.train_near, line.benchmarks_byte, line.benchmarks_near, line.within)
        cells = [f"{count:,} ({percent(count / line.images)})" if count else "0" for count in pairs]
        rows.append((set_title(inputs, line.set_name), f"{line.images:,}", *cells))
    columns = (
        "Set",
        "Images",
        "Same file in training data",
        "Near-equal in training data",
        "Same file in another benchmark",
        "Near-equal in another benchmark",
        "Either kind within the set",
    )
    return TextTable(columns, tuple(rows))


def set_title(inputs: ReportInputs, name: str) -> str:
    """A set as the report names it: the title of a benchmark, plain words for the others."""
    titles = {line.name: line.title for line in inputs.context.benchmarks}
    return titles.get(name, SET_TITLES.get(name, name))


def coverage_table(inputs: ReportInputs) -> TextTable:
    """Cells per partition and the share of images that they cover."""
    rows = []
    for r in inputs.coverage.sort("partition").iter_rows(named=True):
        share = percent(r["covered"] / r["total"] if r["total"] else None)
        limits = f"{r['tau_min']:,}–{r['tau_max']:,}"
        rows.append((str(r["partition"]), limits, f"{r['cells']:,}", share, f"{r['unsplittable_cells']:,}"))
    columns = ("Partition", "Images per cell", "Cells", "Images covered, %", "Unsplittable cells")
    return TextTable(columns, tuple(rows))


def georouting_table(table: pl.DataFrame) -> TextTable:
    """What the router learned from: queries, those it may learn from, the share that generation wins."""
    labels = table.filter("trainable")["label"].to_numpy()
    share = percent(float(np.mean(labels == 1)) if len(labels) else None)
    rows = ((f"{table.height:,}", f"{len(labels):,}", share),)
    return TextTable(("Queries", "Used in training", "Generation is nearer, %"), rows, left=frozenset())
