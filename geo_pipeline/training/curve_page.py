"""The curves of a training as one HTML page that needs no other file: loss, accuracy and learning rate as inline SVG.

The same curves give the same bytes: no times, no names of machines. What can be watched while a training runs belongs
to `event_log`, the figures of the report to `scoring`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.training.logger import Logger

DRAWN_POINTS = 2000
"""Of a longer training, so many points are drawn: each the mean of equally many steps."""

Points = list[tuple[float, float]]

_STYLE = """
:root { --ink: #1f2933; --soft: #52606d; --line: #e4e7eb; --train: #a9c6dd; --holdout: #0b69a3; --rate: #b4690e; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.5rem; }
h1 { font-size: 1.8rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 0.6rem; }
p { max-width: 46rem; margin: 0 0 1.4rem; color: var(--soft); }
svg { display: block; width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
text { fill: var(--soft); }
text.name { fill: var(--ink); font-size: 15px; font-weight: 600; }
tspan.unit { fill: var(--soft); font-size: 13px; font-weight: 400; }
line { stroke: var(--line); }
line.axis { stroke: #9aa5b1; }
polyline { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.train { stroke: var(--train); stroke-width: 1.6; }
.holdout { stroke: var(--holdout); stroke-width: 2.2; }
.rate { stroke: var(--rate); stroke-width: 2.2; }
circle { fill: #fff; }
circle.best { fill: var(--holdout); }
""".strip()


@dataclass(frozen=True)
class Captions:
    """What a page says of its training: whose it is, what loss and metric are, whether the best epoch was kept."""

    name: str
    loss: str = ""
    metric: str = "Mean accuracy, held out"
    metric_unit: str = "%, mean over the thresholds"
    keeps_best: bool = True


class CurvePage(Logger):
    """Writes the page once the training is over."""

    def __init__(self, path: Path, captions: Captions) -> None:
        self._path, self._captions = path, captions

    def end(self, curves: pa.Table) -> None:
        """See Logger."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(curve_page(curves, self._captions), encoding="utf-8")


@dataclass(frozen=True)
class _Axis:
    """Values of one direction, and the pixels between which they lie."""

    ticks: Sequence[float]
    low: float
    high: float
    from_px: float
    to_px: float

    def at(self, value: float) -> float:
        return self.from_px + (value - self.low) / (self.high - self.low) * (self.to_px - self.from_px)


@dataclass(frozen=True)
class _Panel:
    """A drawing area of the page: its frame in pixels, what it is called, and the unit of its values."""

    name: str
    unit: str
    left: float
    top: float
    width: float
    height: float

    def axes(self, steps: float, values: Sequence[float]) -> tuple[_Axis, _Axis]:
        """Steps from 0 to the right; values upwards, over round numbers."""
        across = _round_numbers(0.0, max(1.0, steps), 6 if self.width > 500 else 4)
        up = _round_numbers(min(values), max(values), 5 if self.height > 200 else 4)
        whole = [tick for tick in across if tick <= steps and tick == round(tick)]
        rightwards = _Axis(whole, 0.0, max(1.0, steps), self.left, self.left + self.width)
        return rightwards, _Axis(up, up[0], up[-1], self.top + self.height, self.top)


_LOSS = _Panel("Loss", "", 64, 44, 872, 280)
_METRIC = _Panel("", "", 64, 428, 384, 170)
_RATE = _Panel("Learning rate", "", 552, 428, 384, 170)


def curve_page(curves: pa.Table, captions: Captions) -> str:
    """The page, from a training_curves table; without held-out rows their curves are left out, and it says so."""
    drawing = _drawing(curves, captions) if curves.num_rows else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>Training of {captions.name}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>\n"
        f"<h1>Training of {captions.name}</h1>\n<p>{_sentence(curves, captions)}</p>\n"
        f"{drawing}</main>\n</body>\n</html>\n"
    )


def _drawing(curves: pa.Table, captions: Captions) -> str:
    train, holdout = (curves.filter(pc.equal(curves["split"], name)) for name in ("train", "holdout"))
    steps = float(max(curves["step"].to_pylist()))
    losses, held = _points(train, "loss"), _points(holdout, "loss")
    every = max(1, math.ceil(len(losses) / DRAWN_POINTS))
    kept = _kept(held, captions)
    shares = [(step, 100 * value) for step, value in _points(holdout, "metric")]
    metric = replace(_METRIC, name=captions.metric, unit=captions.metric_unit)
    shapes = [
        *_legend(every, bool(held)),
        *_panel(
            replace(_LOSS, unit=captions.loss), steps, [("train", _thinned(losses, every)), ("holdout", held)], kept
        ),
        *_panel(metric, steps, [("holdout", shares)], kept, at_least=(0.0,)),
        *_panel(_RATE, steps, [("rate", _steps_of(_points(train, "learning_rate")))], None, at_least=(0.0,)),
    ]
    label = f"Curves of loss, {captions.metric.split(',')[0].lower()} and learning rate"
    return f'<svg viewBox="0 0 960 656" role="img" aria-label="{label}">\n' + "\n".join(shapes) + "\n</svg>\n"


def _kept(held: Points, captions: Captions) -> float | None:
    """The step of the epoch whose weights were kept."""
    if not held:
        return None
    return min(held, key=lambda point: point[1])[0] if captions.keeps_best else held[-1][0]


def _sentence(curves: pa.Table, captions: Captions) -> str:
    if not curves.num_rows:
        return "It has no weights to train: it only keeps what it needs of the training images."
    held = _points(curves.filter(pc.equal(curves["split"], "holdout")), "loss")
    epochs, steps = max(curves["epoch"].to_pylist()) + 1, max(curves["step"].to_pylist())
    shown = f"Loss and learning rate over {steps:,} steps in {epochs} epoch{'s' if epochs > 1 else ''}"
    kept = _kept(held, captions)
    if kept is None:
        told = ", so training was stopped on its own loss" if captions.keeps_best else ""
        return f"{shown}; there were no held-out images{told}."
    epoch = [step for step, _ in held].index(kept) + 1
    return f"{shown}, and how the held-out images fared after each; the model of epoch {epoch} (filled dot) was kept."


def _legend(every: int, held: bool) -> list[str]:
    words = "training batches" if every == 1 else f"training batches, mean of {every}"
    entries = [("train", words), *([("holdout", "held-out images, after each epoch")] if held else [])]
    found, right = [], 936.0
    for kind, text in reversed(entries):
        right -= 6.7 * len(text)
        found.append(f'<line class="{kind}" x1="{right - 30:.1f}" y1="19" x2="{right - 8:.1f}" y2="19"/>')
        found.append(f'<text x="{right:.1f}" y="23.5">{text}</text>')
        right -= 54
    return found


def _panel(
    panel: _Panel,
    steps: float,
    lines: Sequence[tuple[str, Points]],
    best: float | None,
    at_least: tuple[float, ...] = (),
) -> list[str]:
    """Name, axes and curves of a panel."""
    unit = f'<tspan class="unit" dx="8">{panel.unit}</tspan>' if panel.unit else ""
    name = f'<text class="name" x="{panel.left}" y="{panel.top - 20}">{panel.name}{unit}</text>'
    lines = [(kind, points) for kind, points in lines if points]
    values = [value for _, points in lines for _, value in points]
    if not values:
        middle = f'x="{panel.left + panel.width / 2}" y="{panel.top + panel.height / 2}"'
        return [name, f'<text {middle} text-anchor="middle">no held-out images</text>']
    across, up = panel.axes(steps, [*values, *at_least])
    found = [name, *_grid(panel, across, up)]
    for kind, points in lines:
        placed = [(across.at(step), up.at(value)) for step, value in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        found.append(f'<polyline class="{kind}" points="{path}"/>')
        if kind == "holdout":
            for (step, value), (x, y) in zip(points, placed, strict=True):
                chosen = " best" if step == best else ""
                words = f"step {step:,.0f}: {value:.4g}"
                found.append(
                    f'<circle class="holdout{chosen}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{words}</title></circle>'
                )
    return found


def _grid(panel: _Panel, across: _Axis, up: _Axis) -> list[str]:
    left, right, bottom = panel.left, panel.left + panel.width, panel.top + panel.height
    found = []
    for tick in up.ticks:
        y = up.at(tick)
        found.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        found.append(f'<text x="{left - 10}" y="{y + 4.5:.1f}" text-anchor="end">{_number(tick)}</text>')
    found.append(f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    for tick in across.ticks:
        x = across.at(tick)
        found.append(f'<line class="axis" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}"/>')
        found.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{tick:,.0f}</text>')
    found.append(f'<text x="{right}" y="{bottom + 40}" text-anchor="end">optimiser steps</text>')
    return found


def _round_numbers(low: float, high: float, wanted: int) -> list[float]:
    """About so many multiples of 1, 2 or 5 times a power of ten that enclose low and high."""
    span = (high - low) or abs(high) or 1.0
    raw = span / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    unit = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / unit + 1e-9), math.ceil(high / unit - 1e-9)
    return [number * unit for number in range(first, max(last, first + 1) + 1)]


def _number(value: float) -> str:
    """At most four digits; a small number as 5 × 10⁻⁵."""
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g} × 10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _points(rows: pa.Table, column: str) -> Points:
    pairs = zip(rows["step"].to_pylist(), rows[column].to_pylist(), strict=True)
    return [(float(step), float(value)) for step, value in pairs if value is not None]


def _thinned(points: Points, every: int) -> Points:
    """Means of `every` neighbours."""
    parts = [points[start : start + every] for start in range(0, len(points), every)]
    return [(sum(step for step, _ in part) / len(part), sum(value for _, value in part) / len(part)) for part in parts]


def _steps_of(points: Points) -> Points:
    """Only the corners of a staircase."""
    kept: Points = []
    for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
        if before is None or after is None or before[1] != point[1] or after[1] != point[1]:
            kept.append(point)
    return kept
