"""Figures of the report as PNG bytes: accuracy, routing accuracy, who wins where, loss curves.

Holds drawing only, on matplotlib's Agg canvas without its global state, so that the same numbers give the same bytes.
Choosing the numbers belongs in `numbers`; placing a figure belongs in `benchmark`.
"""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from geo_pipeline.scoring.report.inputs import ReportInputs
from geo_pipeline.scoring.report.numbers import (
    method_scores,
    thresholds,
    winners,
)
from geo_pipeline.scoring.routing import ORACLE

DOTS_PER_INCH, CURVES_ACROSS = 160, 4
INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"

# One colour per method wherever it appears. Blue is retrieval, orange is generation; chosen to stay apart for
# colour-blind readers and in greyscale (after Okabe and Ito).
METHOD_COLOURS: Mapping[str, str] = {
    "densest_cell": "#9aa5b1",
    "geosurge": "#56b4e9",
    "retrieval": "#0072b2",
    "generation": "#e69f00",
    "router": "#b5179e",
    "router_coordinates_only": "#cc79a7",
    "router_image_only": "#7a5195",
    "oracle": "#111111",
}
SPARE_COLOURS = ("#009e73", "#d55e00", "#8c6d31", "#637939", "#3b3b98", "#a05195")
MARKERS: Mapping[str, str] = {"retrieval": "o", "generation": "s", "router": "D", "guess": "x", "oracle": "_"}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def method_colour(name: str, names: Sequence[str]) -> str:
    """The method's own colour; a method that is not in the table takes a spare one by its place among `names`."""
    if name in METHOD_COLOURS:
        return METHOD_COLOURS[name]
    strangers = [other for other in names if other not in METHOD_COLOURS]
    return SPARE_COLOURS[strangers.index(name) % len(SPARE_COLOURS)]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def accuracy_figure(inputs: ReportInputs, benchmark: str) -> bytes:
    """Accuracy with its 95 % interval at every threshold, one marker per method, side by side; without baselines."""
    scores, limits = method_scores(inputs, benchmark), thresholds(inputs)
    names = [line.name for line in inputs.context.methods]
    lines = [line for line in inputs.context.methods if line.name in scores and not line.baseline]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for at, line in enumerate(lines):
            offset = (at - (len(lines) - 1) / 2) * 0.78 / max(len(lines), 1)
            score = scores[line.name]
            middle = np.array([100 * score.accuracy[limit] for limit in limits])
            low = np.array([100 * score.low[limit] for limit in limits])
            high = np.array([100 * score.high[limit] for limit in limits])
            axes.errorbar(
                np.arange(len(limits)) + offset,
                middle,
                yerr=np.maximum([middle - low, high - middle], 0.0),
                fmt=MARKERS.get(line.paradigm, "^"),
                color=method_colour(line.name, names),
                markersize=9 if line.name == ORACLE else 5,
                markeredgewidth=2 if line.name == ORACLE else 1,
                elinewidth=1.3,
                label=line.title,
            )
        _threshold_axis(axes, limits)
        axes.set_ylabel("Accuracy, %")
        axes.set_ylim(-2, 102)
        figure.legend(loc="outside lower center", ncols=min(4, max(len(lines), 1)))
        return _png(figure)


def _threshold_axis(axes: Axes, limits: Sequence[float]) -> None:
    axes.set_xticks(range(len(limits)), [f"{limit:g} km" for limit in limits])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(limits) - 0.5)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID)
    for edge in np.arange(0.5, len(limits) - 1):
        axes.axvline(edge, color=GRID, linewidth=0.8)


def routing_figure(inputs: ReportInputs, benchmarks: Sequence[str]) -> bytes:
    """Routing accuracy at every threshold, one panel per benchmark, one line per router; half is a coin."""
    limits, names = thresholds(inputs), [line.name for line in inputs.context.methods]
    titles = {line.name: line.title for line in inputs.context.benchmarks}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        panels = figure.subplots(1, len(benchmarks), sharey=True, squeeze=False)[0]
        for axes, benchmark in zip(panels, benchmarks, strict=True):
            for line in inputs.context.methods:
                rows = inputs.routing_scores.filter(benchmark=benchmark, method=line.name).drop_nulls("accuracy")
                points = [
                    (limits.index(km), share) for km, share in rows.select("threshold_km", "accuracy").iter_rows()
                ]
                if points:
                    where, values = zip(*sorted(points), strict=True)
                    colour = method_colour(line.name, names)
                    axes.plot(where, 100 * np.array(values), "D-", color=colour, markersize=4, label=line.title)
            axes.axhline(50, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.set_title(titles[benchmark])
            axes.set_xticks(range(len(limits)), [f"{limit:g}" for limit in limits])
            axes.set_xlabel("Threshold, km")
            axes.grid(axis="y", color=GRID)
            axes.set_ylim(0, 100)
        panels[0].set_ylabel("Routing accuracy, %")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        return _png(figure)


def winner_map(inputs: ReportInputs, benchmark: str) -> bytes:
    """World map of who is nearer: one point per image at its true place, on an equirectangular frame.

    No coastline is drawn: the frame and its graticule need no data, and a drawn planet has other coasts than the Earth.
    """
    rows = winners(inputs, benchmark)
    lon, lat, winner = (rows[name].to_numpy() for name in ("truth_lon_deg", "truth_lat_deg", "winner"))
    names = ("Retrieval is nearer", "Generation is nearer", "Neither: a tie, or both failed")
    colours = (METHOD_COLOURS["retrieval"], METHOD_COLOURS["generation"], "#9aa5b1")
    size = float(np.clip(9000 / max(len(winner), 1), 2, 16))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.scatter(lon, lat, s=size, c=[colours[w] for w in winner], alpha=0.75, linewidths=0)
        for which, (name, colour) in enumerate(zip(names, colours, strict=True)):
            count = int(np.sum(winner == which))
            axes.scatter([], [], s=22, color=colour, label=f"{name} ({count:,})")
        _world_frame(axes)
        figure.legend(loc="outside lower center", ncols=3)
        return _png(figure)


def _world_frame(axes: Axes) -> None:
    axes.set_aspect("equal")
    axes.set_xlim(-180, 180)
    axes.set_ylim(-90, 90)
    axes.set_xticks(range(-180, 181, 60), [_degrees(value, "W", "E") for value in range(-180, 181, 60)])
    axes.set_yticks(range(-60, 61, 30), [_degrees(value, "S", "N") for value in range(-60, 61, 30)])
    axes.set_xticks(range(-180, 181, 30), minor=True)
    axes.grid(which="both", color=GRID, linewidth=0.7)
    axes.axhline(0, color="#cbd2d9", linewidth=1.0)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelsize=8, labelcolor=FAINT)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#cbd2d9")


def _degrees(value: int, negative: str, positive: str) -> str:
    return f"{abs(value)}°{negative if value < 0 else positive if value > 0 else ''}"


def curves_figure(curves: Mapping[str, pl.DataFrame]) -> bytes:
    """Loss over steps, training and hold-out, one panel per checkpoint (at least one), in the order of their names."""
    across = min(len(curves), CURVES_ACROSS)
    down = -(-len(curves) // across)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.1 * down), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        panels = grid.reshape(-1)
        for empty in panels[len(curves) :]:
            empty.set_visible(False)
        for axes, (name, table) in zip(panels, sorted(curves.items()), strict=False):
            for split, colour, style in (("train", FAINT, "-"), ("holdout", METHOD_COLOURS["router"], "o-")):
                part = table.filter(split=split).sort("step")
                if part.height:
                    label = {"train": "Training", "holdout": "Hold-out"}[split]
                    steps, loss = part["step"].to_numpy(), part["loss"].to_numpy()
                    axes.plot(steps, loss, style, color=colour, markersize=4, linewidth=1.4, label=label)
            axes.set_title(name)
            axes.set_xlabel("Step")
            axes.grid(axis="y", color=GRID)
            axes.legend()
        for first in grid[:, 0]:
            first.set_ylabel("Loss")
        return _png(figure)
