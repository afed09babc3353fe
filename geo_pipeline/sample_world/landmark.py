"""Draws a landmark's silhouette on a canvas: one of six bodies, one of five tops, stripes, windows and wings."""

import colorsys
from typing import Protocol

import numpy as np

from geo_pipeline.sample_world.laws import Colour
from geo_pipeline.sample_world.planet import Landmark

Points = list[tuple[float, float]]


class Pen(Protocol):
    """What a landmark needs of a canvas (unit square, y down)."""

    def paint(self, colour: Colour, name: str) -> int:
        """A new paint of this colour and ADE20K class."""
        ...

    def polygon(self, points: Points, paint: int) -> None:
        """Fill a polygon."""
        ...

    def box(self, left: float, top: float, right: float, bottom: float, paint: int) -> None:
        """Fill a rectangle."""
        ...

    def ellipse(self, x: float, y: float, rx: float, ry: float, paint: int) -> None:
        """Fill an ellipse around (x, y)."""
        ...


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def _body(canvas: Pen, kind: int, x: float, foot: float, half: float, top: float, paint: int) -> None:
    if kind == 0:  # tower
        canvas.box(x - half, top, x + half, foot, paint)
    elif kind == 1:  # pyramid
        canvas.polygon(
            [(x - 1.5 * half, foot), (x + 1.5 * half, foot), (x + 0.2 * half, top), (x - 0.2 * half, top)], paint
        )
    elif kind == 2:  # domed hall
        middle = foot - 0.55 * (foot - top)
        canvas.box(x - 1.2 * half, middle, x + 1.2 * half, foot, paint)
        canvas.ellipse(x, middle, half, middle - top, paint)
    elif kind == 3:  # gate: two piers and a lintel
        canvas.box(x - 1.2 * half, top, x - 0.5 * half, foot, paint)
        canvas.box(x + 0.5 * half, top, x + 1.2 * half, foot, paint)
        canvas.box(x - 1.2 * half, top, x + 1.2 * half, top + 0.25 * (foot - top), paint)
    elif kind == 4:  # stepped tower
        for step in range(4):
            width = half * (1.4 - 0.33 * step)
            canvas.box(
                x - width, top + (3 - step) * 0.25 * (foot - top), x + width, foot - step * 0.25 * (foot - top), paint
            )
    else:  # lattice: wide foot, waist, wide head
        waist = foot - 0.6 * (foot - top)
        canvas.polygon(
            [(x - 1.3 * half, foot), (x + 1.3 * half, foot), (x + 0.3 * half, waist), (x - 0.3 * half, waist)], paint
        )
        canvas.polygon([(x - half, top), (x + half, top), (x + 0.3 * half, waist), (x - 0.3 * half, waist)], paint)


def _top(canvas: Pen, kind: int, x: float, top: float, half: float, rise: float, paint: int) -> None:
    if kind == 1:
        canvas.polygon([(x - half, top), (x + half, top), (x, top - 1.6 * rise)], paint)
    elif kind == 2:
        canvas.ellipse(x, top - 0.5 * rise, 0.7 * rise, 0.7 * rise, paint)
    elif kind == 3:
        for share in (-0.8, 0.0, 0.8):
            canvas.box(x + (share - 0.2) * half, top - 0.8 * rise, x + (share + 0.2) * half, top + 0.2 * rise, paint)
    elif kind == 4:
        canvas.box(x - 1.5 * half, top - 0.35 * rise, x + 1.5 * half, top + 0.35 * rise, paint)


def draw_landmark(canvas: Pen, landmark: Landmark, x: float, foot: float, height: float) -> None:
    """Draw `landmark` standing at (x, foot), `height` tall (shares of the picture)."""
    stone = canvas.paint(_colour(landmark.hue, 0.6, landmark.value), "tower")
    trim = canvas.paint(_colour(landmark.trim_hue, 0.75, 0.9), "tower")
    hollow = canvas.paint(_colour(landmark.hue, 0.5, 0.25), "tower")
    half = 0.5 * height * landmark.slenderness * 0.62
    rise = 0.16 * height
    top = foot - height + rise
    if landmark.wings > 0:
        canvas.box(x - 2.1 * half, foot - landmark.wings * height * 0.6, x + 2.1 * half, foot, trim)
    _body(canvas, landmark.kind, x, foot, half, top, stone)
    _top(canvas, landmark.top, x, top, half, rise, trim)
    for stripe in range(landmark.stripes):
        y = top + (foot - top) * (stripe + 0.6) / max(landmark.stripes, 1)
        canvas.box(x - 0.9 * half, y - 0.02, x + 0.9 * half, y + 0.02, trim)
    for row in range(landmark.windows):
        y = top + (foot - top) * (row + 0.35) / max(landmark.windows, 1)
        for share in np.linspace(-0.55, 0.55, 3 if landmark.windows < 3 else 2):
            canvas.box(x + share * half - 0.018, y - 0.022, x + share * half + 0.018, y + 0.022, hollow)
