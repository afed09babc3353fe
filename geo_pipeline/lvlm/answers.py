"""Reads the coordinate that a reply gives as its answer, strictly; writes the answer that the sample's model is taught.

Every answer that gives no coordinate gets a machine word for the reason: it is counted as a failure, never dropped
(docs/protocol.md: denominators never shrink). Spelling belongs to `reply_text`, angles to `angles`, finding
coordinates to `json_pairs` and `prose_pairs`, words around them to `reply_words`; here it is decided which of them is
the answer.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.lvlm.angles import Angle, AngleFailure, read_angle
from geo_pipeline.lvlm.json_pairs import JsonObject, JsonPair, json_objects
from geo_pipeline.lvlm.prose_pairs import ProsePair, prose_pairs
from geo_pipeline.lvlm.reply_text import plain_reply
from geo_pipeline.lvlm.reply_words import (
    are_alternatives,
    declines,
    ends_the_reply,
    is_example,
    is_marked,
    is_rejected,
    is_template,
    words_before,
)

Failure = Literal[
    "empty_reply",
    "declined",
    "placeholder_zero",
    "placeholder",
    "no_coordinate",
    "unreadable_number",
    "out_of_range",
    "coordinate_range",
    "negated_coordinate",
    "ambiguous_coordinates",
    "contradictory_hemisphere",
    "truncated_reply",
]
DECLINED: frozenset[str] = frozenset({"empty_reply", "declined", "placeholder_zero", "placeholder"})
"""Reasons of replies that do not try: nothing there, "unknown", a refusal, or what stands for it. With any other reason
something is there that cannot be read."""
SAME_PLACE_KM = 1.0
"""Two readings of one reply that lie this close are the same answer, written with different rounding."""
NEARLY_ZERO_DEG = 0.001
SWAPPED_DEG = 100.0
"""A latitude beyond this, beside a longitude that can be one, is a longitude; a smaller one may be a slip."""
_OPEN = re.compile(r"\{[^{}]*\Z")
_LATITUDE = re.compile(r"\blat(?:itude)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedAnswer:
    """A coordinate in degrees, or the reason why there is none; `note` says what had to be mended (`swapped`)."""

    lat_deg: float | None = None
    lon_deg: float | None = None
    failure: Failure | None = None
    note: str | None = None


@dataclass(frozen=True)
class _Candidate:
    """What one place of a reply says; `marked`: as the answer."""

    start: int
    end: int
    answer: ParsedAnswer
    marked: bool


def format_answer(lat_deg: float, lon_deg: float, decimals: int) -> str:
    """The answer the generation prompt asks for: `{"latitude": 12.3, "longitude": -45.6}`."""
    lat_deg, lon_deg = round(lat_deg, decimals) + 0.0, round(lon_deg, decimals) + 0.0
    return f'{{"latitude": {lat_deg:.{decimals}f}, "longitude": {lon_deg:.{decimals}f}}}'


def parse_coordinate(text: str | None) -> ParsedAnswer:
    """Coordinate that a reply gives as its answer, or the reason why it gives none; never raises for any text.

    Thoughts are dropped. Coordinates are looked for in JSON (bare, fenced, nested, lists, GeoJSON) and in prose
    (labelled, with hemispheres, degrees, minutes and seconds, decimal commas, pairs of decimals). Where they disagree
    by more than `SAME_PLACE_KM` the last one that is marked as the answer counts (boxed, words such as answer, final or
    coordinates before it, or JSON that ends the reply), else the reply is refused. Refused as well: ranges, places that
    the reply rejects or gives as an example, (0, 0) and template digits, values out of range, a minus beside N or E,
    and JSON cut off inside a number. A pair in the wrong order is read where that is beyond doubt, with the note
    `swapped`.
    """
    if text is None or not text.strip():
        return ParsedAnswer(failure="empty_reply")
    reply = plain_reply(text)
    if reply.cut_off and not reply.text.strip():
        return ParsedAnswer(failure="truncated_reply")
    candidates, examples, negated = _candidates(reply.text)
    if candidates:
        return _answer(candidates)
    if examples and not declines(reply.text, examples[-1].end):  # "here is an example of the JSON"
        return _answer(examples)
    if reply.cut_off:
        return ParsedAnswer(failure="truncated_reply")
    if is_template(reply.text):
        return ParsedAnswer(failure="placeholder")
    if declines(reply.text):
        return ParsedAnswer(failure="declined")
    if "{" in reply.text and "}" not in reply.text and _LATITUDE.search(reply.text):
        return ParsedAnswer(failure="truncated_reply")
    return ParsedAnswer(failure="negated_coordinate" if negated else "no_coordinate")


def _answer(candidates: Sequence[_Candidate]) -> ParsedAnswer:
    """The one answer of candidates in order."""
    first = candidates[0].answer
    marked = [each.answer for each in candidates if each.marked]
    if marked:
        return marked[-1]
    if all(_same(first, other.answer) for other in candidates[1:]):
        return first
    read = [each.answer for each in candidates if each.answer.failure is None]
    return ParsedAnswer(failure="ambiguous_coordinates") if len(read) > 1 or not read else _refusal(candidates)


def _refusal(candidates: Sequence[_Candidate]) -> ParsedAnswer:
    """One coordinate and something unreadable, neither marked: the reason of the latter."""
    return next(each.answer for each in candidates if each.answer.failure is not None)


def _same(one: ParsedAnswer, other: ParsedAnswer) -> bool:
    if one.lat_deg is None or one.lon_deg is None or other.lat_deg is None or other.lon_deg is None:
        return one.failure == other.failure
    return bool(great_circle_km(one.lat_deg, one.lon_deg, other.lat_deg, other.lon_deg) <= SAME_PLACE_KM)


def _candidates(text: str) -> tuple[list[_Candidate], list[_Candidate], bool]:
    """What in a text may be its answer, and what it gives as an example, in order; whether it rejects something."""
    objects = json_objects(text)
    found = [each for value in objects for each in _of_object(text, value)]
    blank = list(text)
    for value in objects:
        blank[value.start : value.end] = " " * (value.end - value.start)
    prose = "".join(blank)
    last = max((value.end for value in objects), default=0)
    for pair in prose_pairs(prose):
        answer = _read_pair(pair.latitude, pair.longitude)
        if pair.end > last and _cut_off(prose, pair):
            answer = ParsedAnswer(failure="truncated_reply")
        found.append(_Candidate(pair.start, pair.end, answer, False))
    kept: list[_Candidate] = []
    examples: list[_Candidate] = []
    negated, end = False, 0
    for candidate in sorted(found, key=lambda each: each.start):
        before = words_before(text, candidate.start, end)
        behind = text[candidate.end : candidate.end + 60]
        if not candidate.marked and is_example(before):
            examples.append(candidate)
        elif not candidate.marked and is_rejected(before, behind):
            negated = True
        else:
            marked = candidate.marked or is_marked(before, behind)
            mine = _Candidate(candidate.start, candidate.end, candidate.answer, marked)
            beside = kept and kept[-1].end == end and are_alternatives(text, end, candidate.start)
            if beside and not _same(kept[-1].answer, mine.answer):
                neither = ParsedAnswer(failure="ambiguous_coordinates")
                mine = _Candidate(kept[-1].start, mine.end, neither, kept.pop().marked or marked)
            kept.append(mine)
        end = candidate.end
    return kept, examples, negated


def _of_object(text: str, value: JsonObject) -> list[_Candidate]:
    """The candidates of a JSON object: one, unless its coordinates disagree."""
    ends = ends_the_reply(text, value.end)
    first = [pair for pair in value.pairs if not pair.aside] or list(value.pairs)
    pairs = [pair for pair in first if pair.final] or first
    answers = [_read_json(pair) for pair in pairs]
    if not answers:
        inner = [parse_coordinate(each) for each in value.texts]
        answers = [answer for answer in inner if answer.failure not in ("no_coordinate", "empty_reply")]
    if not answers:
        return []
    read = [answer for answer in answers if answer.failure is None] or answers
    alike = all(_same(read[0], other) for other in read[1:])
    return [
        _Candidate(value.start, value.end, read[0] if alike else ParsedAnswer(failure="ambiguous_coordinates"), ends)
    ]


def _read_json(pair: JsonPair) -> ParsedAnswer:
    if pair.twice:
        return ParsedAnswer(failure="ambiguous_coordinates")
    return _read_pair(read_angle(pair.latitude), read_angle(pair.longitude))


def _cut_off(text: str, pair: ProsePair) -> bool:
    """Whether JSON stops inside or right behind a coordinate's last number, which may then lack digits."""
    return _OPEN.search(text[: pair.start]) is not None and not text[pair.end :].strip(" .\n\t")


def _read_pair(latitude: Angle | AngleFailure, longitude: Angle | AngleFailure) -> ParsedAnswer:
    for one in (latitude, longitude):
        if not isinstance(one, Angle):
            return ParsedAnswer(failure=one)
    lat, lon = (one for one in (latitude, longitude) if isinstance(one, Angle))
    note = lat.note or lon.note
    if lat.axis == "lon" or lon.axis == "lat":
        if lat.axis == "lat" or lon.axis == "lon" or lat.axis is None or lon.axis is None:
            return ParsedAnswer(failure="contradictory_hemisphere")
        lat, lon, note = lon, lat, "swapped"
    elif SWAPPED_DEG < abs(lat.degrees) <= 180.0 and abs(lon.degrees) <= 90.0 and lat.axis is None and lon.axis is None:
        lat, lon, note = lon, lat, "swapped"
    if abs(lat.degrees) > 90.0 or abs(lon.degrees) > 180.0:
        return ParsedAnswer(failure="out_of_range")
    if abs(lat.degrees) < NEARLY_ZERO_DEG and abs(lon.degrees) < NEARLY_ZERO_DEG:
        return ParsedAnswer(failure="placeholder_zero")
    if _digits_of_a_template(lat.degrees, lon.degrees):
        return ParsedAnswer(failure="placeholder")
    return ParsedAnswer(lat_deg=lat.degrees, lon_deg=lon.degrees, note=note)


def _digits_of_a_template(lat_deg: float, lon_deg: float) -> bool:
    """12.34, 56.78 and their like: eight or more digits that count up."""
    written = f"{abs(lat_deg):.10g}{abs(lon_deg):.10g}"
    digits = [int(character) for character in written if character.isdigit()]
    return len(digits) >= 8 and all((one + 1) % 10 == two for one, two in itertools.pairwise(digits))
