"""Angles as people and models write them: `48.85`, `48.85° N`, `48°51'24" N`, `S 33,9`, `33 degrees 52 minutes South`.

Which angles make a coordinate is `prose_pairs` and `json_pairs`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Axis = Literal["lat", "lon"]
AngleFailure = Literal["declined", "unreadable_number", "contradictory_hemisphere", "out_of_range", "coordinate_range"]

_HEMISPHERES: dict[str, tuple[Axis, float]] = {
    "n": ("lat", 1.0),
    "s": ("lat", -1.0),
    "e": ("lon", 1.0),
    "w": ("lon", -1.0),
    "ost": ("lon", 1.0),
    "oeste": ("lon", -1.0),
    "ouest": ("lon", -1.0),
    "ovest": ("lon", -1.0),
}
"""By a word, or else its first letter. A lone O is west in Spanish and French, east in German: unreadable."""
_WORD = (
    r"[Nn]orth|[Ss]outh|[Ee]ast|[Ww]est|NORTH|SOUTH|EAST|WEST"
    r"|[Nn]ord|[Nn]orte|[Ss]ud|[Ss]üd|[Ss]ur|[Ee]ste?|[Oo]st|[Oo]este|[Oo]uest|[Oo]vest"
)
_BEFORE = rf"(?:(?<![A-Za-z\d.])(?P<before>{_WORD}|[NSEW])[\s:.]{{0,3}}|(?<![A-Za-z\d_.]))"
_AFTER = rf"(?(before)|(?:\s{{0,2}}\(?(?P<after>{_WORD}|[NSEWO])(?![A-Za-z'\d])\)?)?)"
_SIGN = r"(?:(?<![\w.)°'])(?<!\d\")(?P<sign>[-+]))?"
_DEGREES = r"(?P<degrees>\d{1,3}\.\d{1,20}(?!\d)|\d{1,3},\d{1,20}(?![\d.])|\d{1,3}(?!\d|\.\d)|(?<!\d)\.\d{1,20}(?!\d))"
_UNITS = (
    r"(?P<unit>\s?(?:°|deg(?:rees?|\b)\.?))?"
    r"(?:[\s,:]{0,2}(?P<minutes>\d{1,2}(?:[.,]\d{1,10})?)\s?(?:'(?!')|min(?:utes?)?\b\.?))?"
    r"(?:[\s,:]{0,2}(?P<seconds>\d{1,2}(?:[.,]\d{1,10})?)\s?(?:\"|''|sec(?:onds?)?\b\.?))?"
)
_NO_ANGLE = (
    r"(?!\s?(?:%|percent|km|kilomet|miles?\b|mi\b|m\b|met(?:er|re)|ft\b|feet|years?\b|people|persons?\b|°?\s?[CF]\b))"
)
ANGLE = re.compile(rf"{_BEFORE}{_SIGN}{_DEGREES}{_UNITS}{_NO_ANGLE}{_AFTER}")
_VALUE = re.compile(
    r"^(?:[~≈\s]|approx(?:imately|\.)?|about|around|circa|ca\.)*"
    rf"(?P<before>{_WORD}|[NSEWnsew])?\s*(?P<sign>[-+])?\s*(?P<degrees>\d+(?:[.,]\d*)?(?:[eE][-+]?\d+)?|\.\d+)"
    r"\s*(?P<unit>°|deg(?:rees?)?\.?)?"
    r"(?:\s*(?P<minutes>\d+(?:[.,]\d+)?)\s*(?:'(?!')|min(?:utes)?\b))?"
    r"(?:\s*(?P<seconds>\d+(?:[.,]\d+)?)\s*(?:\"|''|sec(?:onds)?\b))?"
    rf"\s*\(?(?P<after>{_WORD}|[NSEWOnsewo])?\)?[\s.]*$",
)
_RANGE = re.compile(r"\d\s*(?:°|deg(?:rees)?)?\s*[NSEWnsew]?\s*(?:-|to|\.\.+)\s*[-+]?\d")
_PLAIN = str.maketrans(
    dict.fromkeys("‐‑‒–—―−", "-") | dict.fromkeys("’′", "'") | dict.fromkeys("”″", '"') | {"\u00a0": " ", "º": "°"}
)
LONGEST_VALUE = 80
"""Characters of a text that may be one angle."""


@dataclass(frozen=True)
class Angle:
    """Signed degrees, and the axis its hemisphere letter names (None without one)."""

    degrees: float
    axis: Axis | None
    note: str | None = None


@dataclass(frozen=True)
class Stated:
    """An angle in a text: where it stands, what it is, and how it is written.

    `decimals`: digits behind the point or the comma. `marked`: with a degree sign, minutes or a hemisphere. `comma`: a
    comma for the point.
    """

    start: int
    end: int
    angle: Angle | AngleFailure
    axis: Axis | None
    decimals: int
    marked: bool
    comma: bool


def read_angle(value: object) -> Angle | AngleFailure:
    """Angle of a JSON value or a piece of text, or the reason why it is none.

    A word without digits, an empty text, null, true, a list: `declined`. Digits that are no single angle (units):
    `unreadable_number`; two with a dash between them: `coordinate_range`. A minus and a northern or eastern letter:
    `contradictory_hemisphere`.
    """
    if isinstance(value, bool) or value is None:
        return "declined"
    if isinstance(value, int | float):
        return Angle(float(value), None) if math.isfinite(value) else "declined"
    if not isinstance(value, str) or not any(character.isdigit() for character in value):
        return "declined"
    plain = value.translate(_PLAIN).strip()
    match = _VALUE.match(plain) if len(plain) <= LONGEST_VALUE else None
    if match is None:
        return "coordinate_range" if _RANGE.search(plain[:LONGEST_VALUE]) else "unreadable_number"
    return _angle_of(match)


def angles_in(text: str) -> Iterator[Stated]:
    """Every angle or number that could be one, in order."""
    for match in ANGLE.finditer(text):
        _, point, fraction = match["degrees"].replace(",", ".").partition(".")
        angle = _angle_of(match)
        letter = match["before"] or match["after"]
        known = None if letter is None else _hemisphere(letter)
        axis = None if known is None else known[0]
        marked = any(match[name] for name in ("before", "after", "unit", "minutes", "seconds"))
        yield Stated(
            match.start(), match.end(), angle, axis, len(fraction) if point else 0, marked, "," in match["degrees"]
        )


def _angle_of(match: re.Match[str]) -> Angle | AngleFailure:
    degrees, minutes, seconds = (
        float((match[name] or "0").replace(",", ".")) for name in ("degrees", "minutes", "seconds")
    )
    if minutes >= 60.0 or seconds >= 60.0 or (match["before"] and match["after"]):
        return "unreadable_number"
    degrees += minutes / 60.0 + seconds / 3600.0
    if degrees > 360.0:
        return "out_of_range"
    negative = (match["sign"] or "").strip() == "-"
    letter = match["before"] or match["after"]
    if letter is None:
        return Angle(-degrees if negative else degrees, None)
    known = _hemisphere(letter)
    if known is None:
        return "unreadable_number"
    axis, sign = known
    if negative and sign > 0:
        return "contradictory_hemisphere"
    return Angle(sign * degrees, axis, "minus_and_hemisphere" if negative else None)


def _hemisphere(word: str) -> tuple[Axis, float] | None:
    return _HEMISPHERES.get(word.lower(), _HEMISPHERES.get(word[0].lower()))
