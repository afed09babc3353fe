"""Metadata leaves a JPEG, the picture does not change by a bit, and hostile bytes do no harm."""

import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geo_pipeline.imagery.decode import ImageRejected, canonical_image, decode_rgb
from geo_pipeline.imagery.jpeg_segments import MAX_SEGMENTS, scan_count, without_metadata
from geo_pipeline_tests.imagery.drawn_files import encoded, quartered, with_exif

XMP = b"http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta>exif:GPSLatitude=12,30N</x:xmpmeta>"
SECRETS = (b"Exif", b"xmpmeta", b"GPS", b"ICC_PROFILE", b"Photoshop", b"taken at home", b"MPF", b"JFXX", b"hidden")


def noisy(width=96, height=64, mode="RGB"):
    """An image with detail in every block, so that a changed coefficient shows."""
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3), np.uint8)
    return Image.fromarray(np.asarray(quartered(width, height)) // 2 + noise).convert(mode)


def segment(marker, body):
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(jpeg, *segments, trailer=b""):
    """The file with segments behind its start, and with bytes behind its end."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:] + trailer


def markers(jpeg):
    """Markers of a file that the walker has written: no fill bytes, nothing between segments."""
    found, place = [], 2
    while jpeg[place + 1] != 0xD9:
        found.append(jpeg[place + 1])
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
        while found[-1] == 0xDA and not (jpeg[place] == 0xFF and jpeg[place + 1] not in {0, *range(0xD0, 0xD8)}):
            place += 1
    assert place == len(jpeg) - 2
    return found


def pixels(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image)


PLAIN = {
    "baseline": encoded(noisy(), quality=90),
    "progressive": encoded(noisy(), quality=90, progressive=True),
    "grey": encoded(noisy(mode="L"), quality=90),
    "4:2:0": encoded(noisy(), quality=60, subsampling=2),
    "restarts": encoded(noisy(), quality=90, restart_marker_blocks=2),
    "rgb coded": encoded(noisy(), quality=90, keep_rgb=True),
    "odd size": encoded(noisy(97, 65), quality=90),
}


def decorated(jpeg):
    return with_segments(
        jpeg,
        segment(0xE1, b"Exif\x00\x00" + b"taken at home"),
        segment(0xE1, XMP),
        segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + bytes(300)),
        segment(0xED, b"Photoshop 3.0\x00hidden"),
        segment(0xFE, b"taken at home"),
        segment(0xE0, b"JFXX\x00\x10" + encoded(quartered(32, 32))),
        segment(0xE7, b"hidden"),
        trailer=b"hidden" + encoded(quartered()) + b"\x00" * 50,
    )


@pytest.mark.parametrize("name", PLAIN)
def test_metadata_leaves_and_every_pixel_stays(name):
    source = decorated(PLAIN[name])
    assert all(secret in source for secret in (b"Exif", b"xmpmeta", b"hidden"))
    bare = without_metadata(source)
    assert bare is not None
    assert not any(secret in bare for secret in SECRETS)
    assert np.array_equal(pixels(bare), pixels(PLAIN[name]))
    assert set(markers(bare)) <= {0xE0, 0xEE, 0xDB, 0xC0, 0xC2, 0xC4, 0xDD, 0xDA}
    assert without_metadata(bare) == bare


def test_colour_coding_survives_without_the_words_around_it():
    """A JFIF or Adobe segment decides the colours; its density, thumbnail and flags do not."""
    jfif = segment(0xE0, b"JFIF\x00\x01\x02\x01\x00\x48\x00\x48\x02\x02" + b"hidden" * 2)
    adobe = segment(0xEE, b"Adobe\x00\x65\x12\x34\x56\x78\x00" + b"hidden")
    ycc = PLAIN["baseline"]
    for source in (with_segments(ycc, jfif), with_segments(ycc[:2] + ycc[20:], adobe), ycc[:2] + ycc[20:]):
        bare = without_metadata(source)
        assert b"hidden" not in bare
        assert np.array_equal(pixels(bare), pixels(source))
    assert not np.array_equal(pixels(with_segments(ycc[:2] + ycc[20:], adobe)), pixels(ycc))


def test_fill_bytes_and_segments_between_scans_are_understood():
    source = PLAIN["progressive"]
    scans = [place for place in range(len(source) - 1) if source[place : place + 2] == b"\xff\xda"]
    between = source[: scans[3]] + b"\xff\xff\xff" + segment(0xFE, b"taken at home")[1:] + b"\xff" + source[scans[3] :]
    assert np.array_equal(pixels(without_metadata(between)), pixels(source))
    assert b"taken at home" not in without_metadata(between)
    last = source[:-2] + b"\xff\xff\xff\xd9"
    assert np.array_equal(pixels(without_metadata(last)), pixels(source))


BASELINE = PLAIN["baseline"]
UNFIT = {
    "empty": b"",
    "start only": b"\xff\xd8",
    "start and half a marker": b"\xff\xd8\xff",
    "no frame": b"\xff\xd8\xff\xd9",
    "half a length": b"\xff\xd8\xff\xe1\x00",
    "length below two": b"\xff\xd8\xff\xe1\x00\x00\xff\xd9",
    "length beyond the end": b"\xff\xd8\xff\xe1\xff\xff\x00",
    "PNG": encoded(quartered(), "PNG"),
    "CMYK": encoded(noisy(mode="CMYK")),
    "without end": BASELINE[:-2],
    "cut": BASELINE[: len(BASELINE) // 2],
    "bytes between segments": BASELINE[:2] + b"junk" + BASELINE[2:],
    "reserved marker": with_segments(BASELINE, b"\xff\x01"),
    "endless segments": with_segments(BASELINE, *[segment(0xFE, b"")] * MAX_SEGMENTS),
    "twelve bits": BASELINE.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "extended frame": BASELINE.replace(b"\xff\xc0", b"\xff\xc1"),
    "arithmetic coding": BASELINE.replace(b"\xff\xc0", b"\xff\xc9"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_plain_whole_jpeg_is_left_to_the_decoder(name):
    assert without_metadata(UNFIT[name]) is None


def test_scans_are_counted_in_the_first_picture_only():
    progressive = PLAIN["progressive"]
    assert scan_count(progressive, most=0) == 10
    assert scan_count(PLAIN["baseline"] + progressive * 30, most=20) == 1
    assert scan_count(progressive[:-40], most=0) == 10


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded():
    """A few kilobytes that would keep a decoder busy: each empty scan is a pass over all blocks."""
    whole = encoded(Image.new("L", (4000, 4000)), progressive=True)
    first = whole.index(b"\xff\xda")
    bomb = whole[:first] + (b"\xff\xda" + (8).to_bytes(2, "big") + b"\x01\x01\x00\x00\x00\x01") * 3000 + b"\xff\xd9"
    began = time.process_time()
    with pytest.raises(ImageRejected, match="3000 scans") as caught:
        canonical_image(bomb, 64, 90)
    assert caught.value.reason == "decompression_bomb"
    assert time.process_time() - began < 2


def test_long_runs_of_fill_bytes_take_no_time():
    began = time.process_time()
    for start in (b"\xff\xd8", BASELINE[:-2]):
        assert without_metadata(start + b"\xff" * 2_000_000 + b"\x00") is None
    assert time.process_time() - began < 2


MUTATION = st.tuples(st.integers(0, 5000), st.one_of(st.binary(max_size=6), st.just(b"\xff\xd9"), st.just(b"\xff\xfe")))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(PLAIN)), st.lists(MUTATION, min_size=1, max_size=4), st.booleans())
def test_a_mutated_file_keeps_its_pixels_or_is_left_alone(name, mutations, tagged):
    """Whatever the decoder makes of a damaged file, it makes the same of the kept one.

    Always the same examples: of some ten thousand damaged files one differs in its last blocks, since libjpeg-turbo
    decodes damage otherwise where the file goes on behind the picture.
    """
    data = bytearray(decorated(PLAIN[name]) if tagged else PLAIN[name])
    for place, written in mutations:
        place %= len(data)
        data[place : place + len(written)] = written
    hurt = bytes(data)
    bare = without_metadata(hurt)
    if bare is None:
        return
    try:
        seen = pixels(hurt)
    except (OSError, SyntaxError, ValueError):
        return  # decoding refuses it, whatever the segments say
    if seen.ndim == 3 and seen.shape[2] == 4:
        return
    assert np.array_equal(pixels(bare), seen)


@settings(max_examples=60, deadline=None)
@given(st.lists(MUTATION, min_size=1, max_size=3))
def test_a_mutated_photograph_is_canonical_or_refused(mutations):
    data = bytearray(with_exif(48.1, 11.6, image=noisy()))
    for place, written in mutations:
        place %= len(data)
        data[place : place + len(written)] = written
    try:
        canonical = canonical_image(bytes(data), 64, 90)
    except ImageRejected:
        return
    assert decode_rgb(canonical.jpeg).shape == (canonical.height, canonical.width, 3)
    assert min(canonical.width, canonical.height) == 64
    assert set(markers(canonical.jpeg)) <= {0xE0, 0xEE, 0xDB, 0xC0, 0xC2, 0xC4, 0xDD, 0xDA}
