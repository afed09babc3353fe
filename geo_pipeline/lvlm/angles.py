"""Reads one angle as people and models write it: `48.85`, `"48.85° N"`, `48°51'24" N`, `S 33.9`, `two` not.

Which angle belongs to which axis, and whether a pair makes sense, is `geo_pipeline.lvlm.answers`.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

Axis = Literal["lat", "lon"]
AngleFailure = Literal["no_coordinate", "unreadable_number", "contradictory_hemisphere", "out_of_range"]

_HEMISPHERES: dict[str, tuple[Axis, float]] = {
    "n": ("lat", 1.0),
    "north": ("lat", 1.0),
    "s": ("lat", -1.0),
    "south": ("lat", -1.0),
    "e": ("lon", 1.0),
    "east": ("lon", 1.0),
    "w": ("lon", -1.0),
    "west": ("lon", -1.0),
}
_HEMISPHERE = r"(?:north|south|east|west|[nsew])"
_PATTERN = re.compile(
    r"^(?:[~≈\s]|approx(?:imately|\.)?|about|around|circa)*"
    rf"(?P<before>{_HEMISPHERE})?\s*(?P<sign>[-+])?\s*(?P<degrees>\d+(?:\.\d*)?|\.\d+)"
    r"\s*(?:°|º|deg(?:rees?)?\.?)?"
    r"(?:\s*(?P<minutes>\d+(?:\.\d+)?)\s*(?:'|′|’|min(?:utes)?\b))?"
    r"(?:\s*(?P<seconds>\d+(?:\.\d+)?)\s*(?:\"|″|”|''|sec(?:onds)?\b))?"
    rf"\s*(?P<after>{_HEMISPHERE})?[\s.]*$",
    re.IGNORECASE,
)
_MINUSES = str.maketrans({"\u2212": "-", "\u2013": "-", "\u00a0": " "})


@dataclass(frozen=True)
class Angle:
    """Signed degrees, and the axis its hemisphere letter names (None without one)."""

    degrees: float
    axis: Axis | None
    note: str | None = None


def read_angle(value: object) -> Angle | AngleFailure:
    """Angle of a JSON value or a piece of text, or the reason why it is none.

    A word without digits, an empty text, null, true, a list: `no_coordinate`. Digits that are no single angle (ranges,
    decimal commas, units): `unreadable_number`. A minus and a northern or eastern letter: `contradictory_hemisphere`.
    """
    if isinstance(value, bool) or value is None:
        return "no_coordinate"
    if isinstance(value, int | float):
        return Angle(float(value), None) if math.isfinite(value) else "no_coordinate"
    if not isinstance(value, str) or not any(character.isdigit() for character in value):
        return "no_coordinate"
    match = _PATTERN.match(value.translate(_MINUSES).strip())
    if match is None:
        return "unreadable_number"
    minutes, seconds = float(match["minutes"] or 0.0), float(match["seconds"] or 0.0)
    if minutes >= 60.0 or seconds >= 60.0 or (match["before"] and match["after"]):
        return "unreadable_number"
    degrees = float(match["degrees"]) + minutes / 60.0 + seconds / 3600.0
    if degrees > 360.0:
        return "out_of_range"
    negative = match["sign"] == "-"
    letter = match["before"] or match["after"]
    if letter is None:
        return Angle(-degrees if negative else degrees, None)
    axis, sign = _HEMISPHERES[letter.lower()]
    if negative and sign > 0:
        return "contradictory_hemisphere"
    return Angle(sign * degrees, axis, "minus_and_hemisphere" if negative else None)
