"""Reads a coordinate out of a model's answer, strictly, and writes the answer that the sample's model is taught.

Every answer that gives no coordinate gets a machine word for the reason: it is counted as a failure, never dropped
(docs/protocol.md: denominators never shrink). Reading one number with its degree signs and hemispheres is
`lvlm.angles`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from geo_pipeline.lvlm.angles import Angle, read_angle

Failure = Literal[
    "empty_reply",
    "no_coordinate",
    "unreadable_number",
    "out_of_range",
    "placeholder_zero",
    "ambiguous_coordinates",
    "contradictory_hemisphere",
    "truncated_reply",
]

SAME_PLACE_DEG = 0.01
"""Two readings of one reply that lie this close are the same answer, written with different rounding."""

MAX_OBJECTS = 64
"""Brackets at which JSON is tried: a reply with more is no answer, and must not cost time."""

_LATITUDE_KEYS = frozenset({"latitude", "lat", "lat_deg", "latitude_deg", "gps_latitude"})
_LONGITUDE_KEYS = frozenset({"longitude", "lon", "lng", "long", "lon_deg", "longitude_deg", "gps_longitude"})
_NUMBER = r"[-+\u2212]?\d+(?:\.\d+)?"
_ANGLE = (
    rf"[NSEWnsew]?\s*{_NUMBER}\s*(?:°|º|deg(?:rees)?\b)?(?:\s*\d+(?:\.\d+)?\s*['′’])?"
    r"(?:\s*\d+(?:\.\d+)?\s*(?:\"|″|”|''))?(?:\s*(?:north|south|east|west|[NSEW])\b)?"
)
_BETWEEN_LABEL_AND_NUMBER = r"(?:[\s\"'*_:=≈~\\]|is|of|approximately|approx\.|about|around){0,24}"
_LABELLED = re.compile(
    rf"\blat(?:itude)?\b{_BETWEEN_LABEL_AND_NUMBER}(?P<lat>{_ANGLE})"
    r"[\s\"'*_,;+.)•\\-]{0,24}(?:and\s+)?(?:the\s+|its\s+)?[\"'*_]{0,4}"
    rf"\b(?:longitude|long|lon|lng)\b{_BETWEEN_LABEL_AND_NUMBER}(?P<lon>{_ANGLE})",
    re.IGNORECASE,
)
_LETTER_BEHIND = re.compile(
    rf"(?<![\w.])(?P<lat>{_NUMBER}[^A-Za-z\n,;]{{0,24}}?(?:north\b|south\b|[NS]\b))[\s,;/]*(?:and\s+)?"
    rf"(?P<lon>{_NUMBER}[^A-Za-z\n,;]{{0,24}}?(?:east\b|west\b|[EW]\b))",
    re.IGNORECASE,
)
_LETTER_BEFORE = re.compile(rf"\b(?P<lat>[NS]\s*{_NUMBER}\s*[°º]?)[\s,;/]*(?:and\s+)?(?P<lon>[EW]\s*{_NUMBER}\s*[°º]?)")
# A reply that is one pair and nothing else.
_BARE_PAIR = re.compile(
    rf"^[\s(\[`*]*(?P<lat>{_NUMBER}\s*[°º]?)\s*,(?P<blank>\s*)(?P<lon>{_NUMBER}\s*[°º]?)[\s)\]`*.]*$"
)
_LABEL_ANYWHERE = re.compile(r"\blat(?:itude)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedAnswer:
    """A coordinate in degrees, or the reason why there is none; `note` says what had to be mended (`swapped`)."""

    lat_deg: float | None = None
    lon_deg: float | None = None
    failure: Failure | None = None
    note: str | None = None


def format_answer(lat_deg: float, lon_deg: float, decimals: int) -> str:
    """The answer the generation prompt asks for: `{"latitude": 12.3, "longitude": -45.6}`."""
    lat_deg, lon_deg = round(lat_deg, decimals) + 0.0, round(lon_deg, decimals) + 0.0
    return f'{{"latitude": {lat_deg:.{decimals}f}, "longitude": {lon_deg:.{decimals}f}}}'


def parse_coordinate(text: str | None) -> ParsedAnswer:
    """Coordinate that a reply states, or the reason why it states none; never raises for any text.

    JSON (bare, fenced or in prose) decides where it has latitude and longitude keys; otherwise clearly labelled pairs,
    pairs with hemispheres, or a reply that is nothing but `lat, lon`. Numbers may be strings, carry degree signs,
    minutes, seconds and hemispheres. Refused: nothing there, words such as "Unknown", values out of range, (0, 0),
    several different coordinates, hemispheres that contradict, JSON cut off inside a number. A pair in the wrong order
    is read where that is beyond doubt (|lat| > 90 and |lon| <= 90), with the note `swapped`.
    """
    if text is None or not text.strip():
        return ParsedAnswer(failure="empty_reply")
    pairs = list(_json_pairs(text))
    if not pairs:
        prose = list(_prose_pairs(text))
        if any(isinstance(pair, ParsedAnswer) for pair in prose):
            return next(pair for pair in prose if isinstance(pair, ParsedAnswer))
        pairs = [pair for pair in prose if not isinstance(pair, ParsedAnswer)]
    if not pairs:
        return ParsedAnswer(failure="no_coordinate")
    return _one_of([_read_pair(lat, lon) for lat, lon in pairs])


def _one_of(answers: list[ParsedAnswer]) -> ParsedAnswer:
    read = [answer for answer in answers if answer.failure is None]
    if not read:
        return answers[0]
    first = read[0]
    for other in read[1:]:
        if first.lat_deg is None or first.lon_deg is None or other.lat_deg is None or other.lon_deg is None:
            continue
        if abs(first.lat_deg - other.lat_deg) > SAME_PLACE_DEG or abs(first.lon_deg - other.lon_deg) > SAME_PLACE_DEG:
            return ParsedAnswer(failure="ambiguous_coordinates")
    return first


def _json_pairs(text: str) -> Iterator[tuple[object, object]]:
    """Every (latitude, longitude) of every JSON object in the text, outermost objects first, nested ones included."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)  # digits as written, no overflow
    at = text.find("{")
    for _ in range(MAX_OBJECTS):
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            at = text.find("{", at + 1)
            continue
        yield from _pairs_within(value)
        at = text.find("{", end)


def _pairs_within(value: object) -> Iterator[tuple[object, object]]:
    waiting: list[object] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            latitude = [v for key, v in item.items() if key.strip().lower() in _LATITUDE_KEYS]
            longitude = [v for key, v in item.items() if key.strip().lower() in _LONGITUDE_KEYS]
            if latitude and longitude:
                yield latitude[0], longitude[0]
            waiting.extend(reversed(list(item.values())))


def _prose_pairs(text: str) -> Iterator[tuple[object, object] | ParsedAnswer]:
    labelled = list(_LABELLED.finditer(text))
    for match in labelled:
        # JSON that stops inside or right behind its last number may lack digits.
        cut_off = "{" in text and not text[match.end() :].strip(" .")
        yield ParsedAnswer(failure="truncated_reply") if cut_off else (match["lat"], match["lon"])
    if labelled:
        return
    lettered = [*_LETTER_BEHIND.finditer(text), *_LETTER_BEFORE.finditer(text)]
    yield from ((match["lat"], match["lon"]) for match in lettered)
    if lettered:
        return
    bare = _BARE_PAIR.match(text)
    # Without a blank behind the comma `48,85` may be one number: then both need a point.
    if bare and (bare["blank"] or ("." in bare["lat"] and "." in bare["lon"])):
        yield bare["lat"], bare["lon"]
    elif "{" in text and "}" not in text and _LABEL_ANYWHERE.search(text):
        yield ParsedAnswer(failure="truncated_reply")


def _read_pair(latitude: object, longitude: object) -> ParsedAnswer:
    read = read_angle(latitude), read_angle(longitude)
    for one in read:
        if not isinstance(one, Angle):
            return ParsedAnswer(failure=one)
    lat, lon = (one for one in read if isinstance(one, Angle))
    note = lat.note or lon.note
    if lat.axis == "lon" or lon.axis == "lat":
        if lat.axis == "lat" or lon.axis == "lon" or lat.axis is None or lon.axis is None:
            return ParsedAnswer(failure="contradictory_hemisphere")
        lat, lon, note = lon, lat, "swapped"
    elif 90.0 < abs(lat.degrees) <= 180.0 and abs(lon.degrees) <= 90.0 and lat.axis is None and lon.axis is None:
        lat, lon, note = lon, lat, "swapped"
    if abs(lat.degrees) > 90.0 or abs(lon.degrees) > 180.0:
        return ParsedAnswer(failure="out_of_range")
    if lat.degrees == 0.0 and lon.degrees == 0.0:
        return ParsedAnswer(failure="placeholder_zero")
    return ParsedAnswer(lat_deg=lat.degrees, lon_deg=lon.degrees, note=note)
