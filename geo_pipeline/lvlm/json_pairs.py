"""Coordinates in the JSON objects of a text: latitude and longitude keys, directions, lists of two numbers, GeoJSON.

What a text states outside of its objects is `prose_pairs`, which of several coordinates is the answer `answers`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

MAX_OBJECTS = 64
"""Brackets at which JSON is tried, from the start and from the end: a reply with more is no answer."""
_TRAILING_COMMA = re.compile(r",(?=\s{0,40}[}\]])")
_LATITUDE = frozenset(
    {"latitude", "lat", "lat_deg", "latitude_deg", "gps_latitude", "breitengrad", "latitud", "纬度", "緯度"}
)
_LONGITUDE = frozenset(
    {
        "longitude",
        "lon",
        "lng",
        "long",
        "lon_deg",
        "longitude_deg",
        "gps_longitude",
        "längengrad",
        "longitud",
        "经度",
        "経度",
        "經度",
    }
)
_LISTS = frozenset(
    {
        "coordinates",
        "coordinate",
        "coords",
        "gps",
        "gps_coordinates",
        "latlng",
        "lat_lng",
        "latlon",
        "lat_lon",
        "position",
    }
    | {
        "location",
        "point",
        "answer",
        "final_answer",
        "prediction",
        "latitude_longitude",
        "lnglat",
        "lng_lat",
        "lonlat",
        "lon_lat",
    }
)
_LONGITUDE_FIRST = frozenset({"lnglat", "lng_lat", "lonlat", "lon_lat"})
_DIRECTIONS = ("_direction", "_dir", "_ref", "_hemisphere", "direction", "ref", "hemisphere")
_ASIDE = ("alternative", "candidate", "other", "second", "reject", "runner", "previous", "initial")
_FINAL = ("final", "answer", "best", "chosen", "conclusion", "result")


@dataclass(frozen=True)
class JsonPair:
    """Latitude and longitude as they stand in an object.

    `final`: under a key that says so. `aside`: under a key of alternatives. `twice`: given twice, differently.
    """

    latitude: object
    longitude: object
    final: bool = False
    aside: bool = False
    twice: bool = False


@dataclass(frozen=True)
class JsonObject:
    """An object of a text: where it stands and the coordinates in it; texts under keys of coordinates are `texts`."""

    start: int
    end: int
    pairs: tuple[JsonPair, ...]
    texts: tuple[str, ...] = ()


class _Members(dict[str, object]):
    """A JSON object that knows which keys stood in it twice with different values."""

    twice: frozenset[str] = frozenset()


def json_objects(text: str) -> list[JsonObject]:
    """Every JSON object of a text, outermost ones, in order."""
    decoder = json.JSONDecoder(
        parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_members
    )  # digits as written, no overflow
    text = _TRAILING_COMMA.sub(" ", text)
    brackets = [at for at, character in enumerate(text) if character == "{"]
    found: list[JsonObject] = []
    end = tried = 0
    for number, at in enumerate(brackets):
        if at < end or (tried >= MAX_OBJECTS and number < len(brackets) - MAX_OBJECTS):
            continue
        tried += 1
        try:
            value, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            continue
        pairs, texts = _within(value)
        found.append(JsonObject(at, end, tuple(pairs), tuple(texts)))
    return found


def _members(pairs: list[tuple[str, object]]) -> _Members:
    members = _Members()
    members.twice = frozenset(
        key.strip().lower() for key, value in pairs if any(key == name and value != other for name, other in pairs)
    )
    members.update(pairs)
    return members


def _within(value: object) -> tuple[list[JsonPair], list[str]]:
    """The coordinates of an object, outer ones first, and texts that may hold one."""
    pairs: list[JsonPair] = []
    texts: list[str] = []
    waiting: list[tuple[object, bool, bool]] = [(value, False, False)]
    while waiting:
        item, final, aside = waiting.pop()
        if isinstance(item, list):
            waiting.extend((each, final, aside) for each in reversed(item))
        elif isinstance(item, _Members):
            named = {key.strip().lower(): each for key, each in item.items()}
            pairs += [replace(pair, aside=aside) for pair in _own_pairs(named, item.twice, final)]
            texts += [each for key, each in named.items() if key in _LISTS and isinstance(each, str)]
            waiting.extend(
                (each, final or _says(key, _FINAL), aside or _says(key, _ASIDE))
                for key, each in reversed(list(named.items()))
            )
    return pairs, texts


def _own_pairs(named: Mapping[str, object], twice: frozenset[str], final: bool) -> Iterator[JsonPair]:
    latitudes, longitudes = ([key for key in named if key in known] for known in (_LATITUDE, _LONGITUDE))
    if latitudes and longitudes:
        latitude, longitude = latitudes[0], longitudes[0]
        yield JsonPair(
            _directed(named[latitude], named, latitude),
            _directed(named[longitude], named, longitude),
            final,
            twice=bool(twice & {latitude, longitude}),
        )
    point = str(named.get("type", "")).lower() == "point"
    for key, value in named.items():
        if key in _LISTS and isinstance(value, list) and len(value) in (2, 3) and not _nested(value):
            mine = final or _says(key, _FINAL)
            first, second = value[0], value[1]
            swapped = key in _LONGITUDE_FIRST or (point and key == "coordinates")
            yield JsonPair(second, first, mine) if swapped else JsonPair(first, second, mine)


def _says(key: str, words: Sequence[str]) -> bool:
    return any(word in key for word in words)


def _nested(values: Sequence[object]) -> bool:
    return any(isinstance(value, list | dict) for value in values)


def _directed(value: object, named: Mapping[str, object], key: str) -> object:
    """A value with the hemisphere that a key beside it gives, and degrees, minutes and seconds in one text."""
    if isinstance(value, _Members):
        parts = {name.strip().lower(): str(part) for name, part in value.items()}
        units = (
            ("degrees", "°"),
            ("degree", "°"),
            ("deg", "°"),
            ("minutes", "'"),
            ("min", "'"),
            ("seconds", '"'),
            ("sec", '"'),
        )
        text = "".join(f"{parts[name]}{sign}" for name, sign in units if parts.get(name) not in (None, "", "None"))
        if not text and "value" in parts:
            text = parts["value"]
        letter = next((parts[name] for name in parts if any(name.endswith(end) for end in _DIRECTIONS)), "")
        return f"{text} {letter}".strip()
    short = "lat" if key in _LATITUDE else "lon"
    beside = [f"{name}{end}" for name in dict.fromkeys((key, short)) for end in _DIRECTIONS if end.startswith("_")]
    letter = next((str(named[name]) for name in beside if named.get(name)), "")
    return f"{value} {letter}".strip() if letter and value is not None else value
