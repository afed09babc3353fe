"""Coordinates that a text states outside of JSON: labelled, with hemispheres, in degrees, or two numbers with decimals.

Two angles are a coordinate when only signs, labels and small words stand between them, and something says that they are
one. Which of several is the answer is `answers`.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from geo_pipeline.lvlm.angles import Angle, AngleFailure, Axis, Stated, angles_in

MAX_ANGLES = 1_000
"""Numbers of a text that are looked at, from the end."""
_LAT = r"(?:latitude|latitud|latitudine|breitengrad|breite|широта|纬度|緯度|lat)"
_LON = r"(?:longitude|longitud|longitudine|längengrad|länge|долгота|经度|経度|經度|long|lon|lng)"
_LABEL = re.compile(rf"(?<![^\W_])(?:(?P<lat>{_LAT})|(?P<lon>{_LON}))(?![^\W\d_])", re.IGNORECASE)
_SMALL = (
    r"and|und|et|y|e|by|is|of|the|its|at|are|approximately|approx|about|around|roughly|circa|ca|degrees?|decimal|value"
)
_GAP = re.compile(
    rf"(?:[\s,;:/|()\[\]{{}}\"'*_=~≈&.•+\\-]|(?<![^\W\d_])(?:{_SMALL}|{_LAT}|{_LON})(?![^\W\d_])){{0,60}}",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[\s,;]{1,3}")
_DASH = re.compile(r" ?(?:-|to|through|until|\.{2,3}) ?", re.IGNORECASE)
_AND = re.compile(r"\s*(?:and|to|-)\s*", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\b(?:between|from|range[sd]?)\s+(?:about|latitudes?|longitudes?|lat\.?|lon\.?|:|\s){0,4}$", re.IGNORECASE
)
_NAMED = re.compile(
    r"(?:\b(?:coordinates?|coords?|gps|geo|position|located at|lat\W{0,3}lon\w*|boxed|answer|location)\b\W{0,6}"
    r"(?:(?:is|are|at|approximately|about|around|roughly)\W{0,3}){0,3}|@|[?&](?:q|ll|center|query)=|geo:)$",
    re.IGNORECASE,
)
_NO_PLACE = re.compile(
    r"\b(?:confidence|probabilit\w+|scores?|similarit\w+|ratio|sized?|pixels?|bbox|bounding box)\W{0,4}"
    r"(?:is|are|of|:)?\s*$",
    re.IGNORECASE,
)
_MAPS = re.compile(r"!3d(-?\d{1,2}\.\d+)!4d(-?\d{1,3}\.\d+)")
_LEAD = 60
"""Characters before a number in which its label stands."""


@dataclass(frozen=True)
class ProsePair:
    """Two angles that a text states as a coordinate, latitude first. `swapped`: the text has longitude first."""

    start: int
    end: int
    latitude: Angle | AngleFailure
    longitude: Angle | AngleFailure


def prose_pairs(text: str) -> Iterator[ProsePair]:
    """The coordinates of a text, in order."""
    for match in _MAPS.finditer(text):
        yield ProsePair(match.start(), match.end(), Angle(float(match[1]), None), Angle(float(match[2]), None))
    stated = _with_ranges(text, list(angles_in(text))[-MAX_ANGLES:])
    used = -1
    for number, (first, second) in enumerate(itertools.pairwise(stated)):
        if number <= used or not _GAP.fullmatch(text, first.end, second.start):
            continue
        before = text[max(0, first.start - _LEAD) : first.start]
        after = stated[number + 2] if number + 2 < len(stated) else None
        listed = any(
            other is not None and other.decimals and not other.marked and _SEPARATOR.fullmatch(text, *between)
            for other, between in (
                (stated[number - 1] if number else None, (stated[number - 1].end, first.start)),
                (after, (second.end, after.start if after else 0)),
            )
        )
        axes = _axes(text, before, first, second, after)
        if axes is not None and _says_so(text, before, first, second, labelled=axes[2], listed=listed):
            used = number + 1
            lat, lon = (first, second) if axes[0] == "lat" else (second, first)
            yield ProsePair(first.start, second.end, lat.angle, lon.angle)


def _with_ranges(text: str, stated: list[Stated]) -> list[Stated]:
    """The same angles, those that are the two ends of a range as one without a value."""
    found: list[Stated] = []
    for angle in stated:
        if found and _is_range(text, found[-1], angle):
            begin = found.pop()
            found.append(
                Stated(
                    *(begin.start, angle.end, "coordinate_range", begin.axis or angle.axis),
                    *(angle.decimals, begin.marked or angle.marked, angle.comma),
                )
            )
        else:
            found.append(angle)
    return found


def _is_range(text: str, first: Stated, second: Stated) -> bool:
    gap = text[first.end : second.start]
    if first.axis is not None and second.axis is not None and first.axis != second.axis:
        return False
    lead = text[max(0, first.start - _LEAD) : first.start]
    return bool(_DASH.fullmatch(gap) or (_BETWEEN.search(lead) and _AND.fullmatch(gap)))


def _axes(
    text: str, before: str, first: Stated, second: Stated, after: Stated | None
) -> tuple[Axis, Axis, bool] | None:
    """The axes of two angles and whether labels say so; None where both have the same."""
    gap = text[first.end : second.start]
    lead = _GAP_END.search(before)
    leading = _labels(before[lead.start() :] if lead else "")
    between = _labels(gap)
    until = min(second.end + 20, after.start if after else len(text))
    trailing = _labels(text[second.end : until])[:1]
    one: Axis | None = first.axis
    two: Axis | None = second.axis
    labelled = False
    if len(leading) >= 2 and not between and leading[-2] != leading[-1]:
        labels: tuple[Axis | None, Axis | None] = (leading[-2], leading[-1])
    elif leading and between:
        labels = (leading[-1], between[-1])
    elif between and trailing and _LABEL.match(gap, len(gap) - len(gap.lstrip(" )"))):
        labels = (between[0], trailing[0])
    else:
        labels = (None, None)
    if labels[0] is not None and labels[1] is not None and labels[0] != labels[1]:
        labelled = True
        if (one not in (None, labels[0])) or (two not in (None, labels[1])):
            if one is None or two is None or one == two:
                return (labels[0], labels[1], True)
        else:
            one, two = labels
    if one is None and two is None:
        return ("lat", "lon", labelled)
    other: dict[Axis, Axis] = {"lat": "lon", "lon": "lat"}
    one = one if one is not None else other[two]  # type: ignore[index]
    two = two if two is not None else other[one]
    return None if one == two else (one, two, labelled)


_GAP_END = re.compile(_GAP.pattern.replace("{0,60}", "{1,60}") + r"$", re.IGNORECASE)


def _labels(text: str) -> list[Axis]:
    return ["lat" if match["lat"] else "lon" for match in _LABEL.finditer(text)]


def _says_so(text: str, before: str, first: Stated, second: Stated, labelled: bool, listed: bool) -> bool:
    """Whether two angles with nothing but small words between them are meant as a coordinate.

    `listed`: more numbers stand beside them in the same way.
    """
    if _NO_PLACE.search(before):
        return False
    gap = text[first.end : second.start]
    if labelled or (first.axis is not None and second.axis is not None):
        return True
    if first.comma != second.comma or (first.comma and "," in gap.strip() and ";" not in gap and " " not in gap):
        return False
    if re.search(r"[A-Za-z]{2}", gap) and not (first.marked and second.marked):
        return False
    if first.axis is not None or second.axis is not None or (first.marked and second.marked):
        return True
    named = _NAMED.search(before) is not None
    alone = not re.sub(r"[\s(){}\[\]`*.\"']", "", text[: first.start] + text[second.end :])
    if named or alone:  # without a blank behind the comma `48,85` may be one number
        return bool(re.search(r"\s|;|/", gap)) or (first.decimals > 0 and second.decimals > 0)
    decimals = min(first.decimals, second.decimals)
    if listed:
        return False
    if first.comma and (first.decimals == 3 or second.decimals == 3):
        return False  # thousands
    bracketed = before.rstrip()[-1:] in ("(", "[")
    return decimals >= (1 if bracketed else 2)
