"""The strict parser of answers: what it reads, what it refuses and why."""

import json
from typing import get_args

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geo_pipeline.lvlm import reply_text
from geo_pipeline.lvlm.answers import DECLINED, Failure, ParsedAnswer, format_answer, parse_coordinate
from geo_pipeline_tests.lvlm import written_replies


def _dms(value, letters):
    seconds = round(abs(value) * 3600, 2)
    whole, rest = divmod(seconds, 3600)
    return f"{whole:.0f}\u00b0{rest // 60:02.0f}'{rest % 60:05.2f}\"{letters[value < 0]}"


def _lettered(value, letters):
    return f"{abs(value):.4f}\u00b0 {letters[value < 0]}"


SPELLINGS = [
    ("json", lambda lat, lon: f'{{"latitude": {lat:.4f}, "longitude": {lon:.4f}}}'),
    ("fence", lambda lat, lon: f'Reasons.\n```json\n{{"lat": "{lat:.4f}", "lng": "{lon:.4f}"}}\n```'),
    ("list", lambda lat, lon: f'{{"coordinates": [{lat:.4f}, {lon:.4f}]}}'),
    ("point", lambda lat, lon: f'{{"type": "Point", "coordinates": [{lon:.4f}, {lat:.4f}]}}'),
    ("pair", lambda lat, lon: f"The photograph was taken at {lat:.4f}, {lon:.4f}."),
    ("boxed", lambda lat, lon: f"$$\\boxed{{{lat:.4f}, {lon:.4f}}}$$"),
    ("labels", lambda lat, lon: f"- **Latitude:** {lat:.4f}\n- **Longitude:** {lon:.4f}"),
    ("longitude first", lambda lat, lon: f"Longitude {lon:.4f}, latitude {lat:.4f}"),
    ("commas", lambda lat, lon: f"Latitude: {lat:.4f}; longitude: {lon:.4f}".replace(".", ",")),
    ("letters", lambda lat, lon: f"{_lettered(lat, 'NS')}, {_lettered(lon, 'EW')}"),
    ("minutes", lambda lat, lon: f"{_dms(lat, 'NS')} {_dms(lon, 'EW')}"),
    ("thinking", lambda lat, lon: f"<think>1.5, 2.5 or 50.25, 60.25?</think>Answer: ({lat:.4f}, {lon:.4f})"),
]

READ = {
    "json": ('{"latitude": 48.85, "longitude": 2.35}', (48.85, 2.35)),
    "integers": ('{"latitude": 40, "longitude": -74}', (40, -74)),
    "strings": ('{"latitude": "40.7", "longitude": "-74.0"}', (40.7, -74.0)),
    "fence": ('```json\n{"lat": 48.85, "lng": 2.35}\n```', (48.85, 2.35)),
    "nested in prose": ('Sure! {"place": {"coordinates": {"Latitude": "1.5", "Longitude": "2.5"}}} Bye.', (1.5, 2.5)),
    "degree signs": ('{"latitude": "40.71° N", "longitude": "74.01° W"}', (40.71, -74.01)),
    "degrees, minutes, seconds": ('{"latitude": "33°52\'12\\"S", "longitude": "151°12\'36\\" E"}', (-33.87, 151.21)),
    "typographic minutes": ("33°52′12″S 151°12′36″E", (-33.87, 151.21)),
    "typographic minus": ('{"latitude": "\u221233.9", "longitude": "151.2"}', (-33.9, 151.2)),
    "minus and hemisphere agree": ('{"latitude": "-33.9 S", "longitude": "151.2 E"}', (-33.9, 151.2)),
    "approximately": ('{"latitude": "approximately 40.0", "longitude": "~ -90.0"}', (40.0, -90.0)),
    "labels in Markdown": ("**Latitude:** 40.7128\n**Longitude:** -74.0060", (40.7128, -74.006)),
    "labels in a list": ("* Coordinates:\n\t+ Latitude: 33.9 S\n\t• Longitude: 151.2", (-33.9, 151.2)),
    "labels in a sentence": ("The latitude is about 40.7 and the longitude is about -74.0.", (40.7, -74.0)),
    "letters in front": ("S 33.9, E 151.2", (-33.9, 151.2)),
    "bare pair": ("(48.8566, 2.3522)", (48.8566, 2.3522)),
    "rounding apart": (
        '{"latitude": 48.8566, "longitude": 2.3522} {"latitude": 48.857, "longitude": 2.352}',
        (48.857, 2.352),
    ),
    "broken JSON with whole numbers": ('{"latitude": "1.5",\\ "longitude": "2.5"\\ }', (1.5, 2.5)),
}
REFUSED = {
    "nothing": ("", "empty_reply"),
    "blank": (" \n", "empty_reply"),
    "prose": ("I cannot tell where this is.", "declined"),
    "unknown": ('{"latitude": "Unknown", "longitude": "Unknown"}', "declined"),
    "empty strings": ('{"latitude": "", "longitude": ""}', "declined"),
    "null": ('{"latitude": null, "longitude": null}', "declined"),
    "half": ('{"latitude": 5.0, "longitude": null}', "declined"),
    "true": ('{"latitude": true, "longitude": 3}', "declined"),
    "NaN": ('{"latitude": NaN, "longitude": 3}', "declined"),
    "unknown in JSON, numbers in prose": (
        '{"latitude": "", "longitude": ""} Latitude: 4, longitude: 5',
        "declined",
    ),
    "numbers that are no coordinate": ("There are 12, maybe 13 people.", "no_coordinate"),
    "one number with a comma": ("48,85", "no_coordinate"),
    "range": ('{"latitude": "40-45", "longitude": "3"}', "coordinate_range"),
    "both out of range": ('{"latitude": 95, "longitude": 100}', "out_of_range"),
    "longitude out of range": ('{"latitude": 5, "longitude": 190}', "out_of_range"),
    "minutes out of range": ("33°75'S 151°12'E", "unreadable_number"),
    "null island": ('{"latitude": "0.0", "longitude": 0}', "placeholder_zero"),
    "two places": ('{"latitude": 1, "longitude": 2} or {"latitude": 50, "longitude": 2}', "ambiguous_coordinates"),
    "two places in prose": ("48.85N 2.35E or 51.5N 0.1W", "ambiguous_coordinates"),
    "north and minus": ('{"latitude": "-33.9 N", "longitude": "1"}', "contradictory_hemisphere"),
    "east for a latitude": ('{"latitude": "33.9 E", "longitude": "10"}', "contradictory_hemisphere"),
    "cut off in a number": ('{"latitude": 12.3, "longitude": -45', "truncated_reply"),
    "cut off at the point": ('{"latitude": 12.3, "longitude": -45.', "truncated_reply"),
    "cut off early": ('{"latitude": 12.', "truncated_reply"),
}


@pytest.mark.parametrize(("text", "place"), written_replies.READ)
def test_a_reply_as_models_write_it_is_read(text, place):
    parsed = parse_coordinate(text)
    assert parsed.failure is None
    assert (parsed.lat_deg, parsed.lon_deg) == (pytest.approx(place[0], abs=1e-5), pytest.approx(place[1], abs=1e-5))


@pytest.mark.parametrize(("text", "reason"), written_replies.REFUSED)
def test_a_reply_as_models_write_it_is_refused_with_its_reason(text, reason):
    assert parse_coordinate(text) == ParsedAnswer(failure=reason)


def test_every_reason_is_planted_and_belongs_to_one_of_two_classes():
    planted = {reason for _, reason in written_replies.REFUSED} | {reason for _, reason in REFUSED.values()}
    assert planted == set(get_args(Failure))
    assert set(get_args(Failure)) > DECLINED


@pytest.mark.parametrize("case", READ)
def test_it_reads(case):
    text, (lat_deg, lon_deg) = READ[case]
    parsed = parse_coordinate(text)
    assert parsed.failure is None
    assert (parsed.lat_deg, parsed.lon_deg) == (pytest.approx(lat_deg), pytest.approx(lon_deg))
    assert parsed.note != "swapped"


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_with_a_reason(case):
    text, reason = REFUSED[case]
    parsed = parse_coordinate(text)
    assert (parsed.failure, parsed.lat_deg, parsed.lon_deg) == (reason, None, None)


def test_none_is_an_empty_reply():
    assert parse_coordinate(None).failure == "empty_reply"


@pytest.mark.parametrize(
    "text", ['{"latitude": 139.7, "longitude": 35.6}', '{"latitude": "139.7 E", "longitude": "35.6 N"}']
)
def test_an_order_swapped_beyond_doubt_is_read_and_noted(text):
    parsed = parse_coordinate(text)
    assert (parsed.lat_deg, parsed.lon_deg, parsed.note) == (35.6, 139.7, "swapped")


@settings(max_examples=60, deadline=None)
@given(st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 6))
def test_what_is_formatted_is_parsed_again(lat_deg, lon_deg, decimals):
    answer = format_answer(lat_deg, lon_deg, decimals)
    assert "-0.0}" not in answer
    parsed = parse_coordinate(answer)
    if round(lat_deg, decimals) == 0 and round(lon_deg, decimals) == 0:
        assert parsed.failure == "placeholder_zero"
    else:
        assert parsed.lat_deg == pytest.approx(lat_deg, abs=0.51 * 10**-decimals)
        assert parsed.lon_deg == pytest.approx(lon_deg, abs=0.51 * 10**-decimals)
    assert json.loads(answer).keys() == {"latitude", "longitude"}


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("{}[]\":,.-°'NSEWlatudeongi0123456789 \n"), max_size=80) | st.text(max_size=80))
def test_no_text_makes_it_raise_or_leave_the_earth(text):
    parsed = parse_coordinate(text)
    if parsed.failure is None:
        assert parsed.lat_deg is not None
        assert parsed.lon_deg is not None
        assert abs(parsed.lat_deg) <= 90
        assert abs(parsed.lon_deg) <= 180
    else:
        assert parsed.lat_deg is None


@settings(max_examples=60, deadline=None)
@given(st.floats(-89.9, 89.9), st.floats(-179.9, 179.9), st.sampled_from([point for point, _ in SPELLINGS]))
def test_a_coordinate_is_read_in_every_spelling(lat_deg, lon_deg, spelling):
    lat_deg, lon_deg = round(lat_deg, 4), round(lon_deg, 4)
    assume(abs(lat_deg) > 0.01 and abs(lon_deg) > 0.01)
    write = dict(SPELLINGS)[spelling]
    parsed = parse_coordinate(write(lat_deg, lon_deg))
    assert parsed.failure in (None, "placeholder")
    if parsed.failure is None:
        assert (parsed.lat_deg, parsed.lon_deg) == (pytest.approx(lat_deg, abs=2e-4), pytest.approx(lon_deg, abs=2e-4))


def test_of_a_long_reply_only_the_end_is_read():
    """The whole is never searched, so that the time does not grow with it."""
    assert parse_coordinate("Answer: 48.8584, 2.2945" + " x" * reply_text.LONGEST).failure == "no_coordinate"
    found = parse_coordinate("x" * reply_text.LONGEST + " \n\nFinal answer: 12.3456, -45.6789")
    assert (found.lat_deg, found.lon_deg) == (12.3456, -45.6789)


def test_deeply_nested_brackets_do_no_harm():
    assert parse_coordinate('{"a":' * 5000).failure == "no_coordinate"


@pytest.mark.shared_data
def test_replies_of_four_models_are_read_or_refused(shared_dir):
    files = sorted((shared_dir / "data" / "replies").glob("*.jsonl"))
    assert len(files) == 4
    for file in files:
        replies = [json.loads(line)["raw_response"] for line in file.read_text(encoding="utf-8").splitlines()]
        assert len(replies) == 271
        failures = sum(parse_coordinate(reply).failure is not None for reply in replies)
        assert 19 <= failures <= 131, file.name
