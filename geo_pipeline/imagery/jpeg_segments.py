"""The segments of a JPEG file: counts its scans, and takes its metadata away without touching a coefficient.

Strict on purpose: what is not a plain baseline or progressive JPEG of 8 bits, grey or three colours, is left to the
decoder (`decode`), which encodes it anew. Kept are only the segments that a decoder needs; JFIF and Adobe, which say
how the colours are coded, are written anew, so that nothing of the source's own words remains. Dropped are EXIF, XMP,
ICC profiles (no decoder here applies them), Photoshop and maker data, comments, thumbnails, and all that follows the
end of the first picture (MPO's further pictures, films, hidden files).

Markers and segments: ITU-T T.81, annex B.
"""

import re
from dataclasses import dataclass

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_FRAMES = (0xC0, 0xC2)
"""Baseline and progressive, both with Huffman codes; other frames are encoded anew."""
_TABLES = (0xC4, 0xDB, 0xDD)
"""Huffman tables, quantisation tables, restart interval."""
_APP0, _APP14, _APP15 = 0xE0, 0xEE, 0xEF
_JFIF = b"JFIF\x00"
_PLAIN_JFIF = b"\xff\xe0\x00\x10" + _JFIF + b"\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE = b"Adobe"
_PLAIN_ADOBE = b"\xff\xee\x00\x0e" + _ADOBE + b"\x00\x64\x00\x00\x00\x00"
_FILL = re.compile(rb"\xff+")
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker that ends the coded data of a scan: neither a stuffed byte, a restart, nor fill bytes."""
MAX_SEGMENTS = 4096
"""A file of more is not taken apart; an extended XMP or a colour profile has some hundred."""


@dataclass(frozen=True)
class _Segment:
    """A marker with the place of its body, behind the length; `scan_end` is where the coded data of a scan ends."""

    marker: int
    begin: int
    end: int
    scan_end: int


def without_metadata(jpeg: bytes) -> bytes | None:
    """The same coded picture without metadata; None for a file that is not a whole, plain JPEG of 8 bits.

    A decoder gives the same pixels for both; damage in the coded data, which it overlooks, stays. Never raises.
    """
    segments = _segments(jpeg)
    if segments is None or not _plain(jpeg, segments):
        return None
    parts = [b"\xff\xd8"]
    for segment in segments:
        if segment.marker == _SOS or segment.marker in _FRAMES or segment.marker in _TABLES:
            parts += [bytes((0xFF, segment.marker)), jpeg[segment.begin - 2 : segment.scan_end]]
        else:
            parts.append(_colour_coding(segment.marker, jpeg[segment.begin : segment.end]))
    parts.append(b"\xff\xd9")
    return b"".join(parts)


def scan_count(jpeg: bytes, most: int) -> int:
    """How many scans the first picture of a JPEG file has; an upper bound where that is at most `most` or unclear.

    A progressive file of many empty scans keeps a decoder busy for hours.
    """
    bound = jpeg.count(b"\xff\xda")
    segments = _segments(jpeg) if bound > most else None
    return bound if segments is None else sum(segment.marker == _SOS for segment in segments)


def _segments(data: bytes) -> list[_Segment] | None:
    """The segments between the start and the first end of image; None where anything else is found."""
    if data[:2] != bytes((0xFF, _SOI)):
        return None
    found: list[_Segment] = []
    place = 2
    while len(found) < MAX_SEGMENTS:
        fill = _FILL.match(data, place)
        if fill is None or fill.end() >= len(data):
            return None
        marker, begin = data[fill.end()], fill.end() + 3
        if marker == _EOI:
            return found
        if not (marker in _FRAMES or marker in _TABLES or marker in (_SOS, _COM) or _APP0 <= marker <= _APP15):
            return None
        end = begin - 2 + int.from_bytes(data[begin - 2 : begin], "big")
        if end < begin or end > len(data):
            return None
        place = end
        if marker == _SOS:
            following = _SCAN_END.search(data, end)
            if following is None:
                return None
            place = following.start()
        found.append(_Segment(marker, begin, end, place))
    return None


def _plain(data: bytes, segments: list[_Segment]) -> bool:
    """One frame of 8 bits with one or three components, before the first of its scans."""
    order = [segment.marker for segment in segments if segment.marker in _FRAMES or segment.marker == _SOS]
    if len(order) < 2 or order[0] == _SOS or any(marker != _SOS for marker in order[1:]):
        return False
    frame = next(segment for segment in segments if segment.marker in _FRAMES)
    body = data[frame.begin : frame.end]
    return len(body) >= 6 and body[0] == 8 and body[5] in (1, 3) and len(body) == 6 + 3 * body[5]


def _colour_coding(marker: int, body: bytes) -> bytes:
    """What a decoder reads of a JFIF or Adobe segment, without the rest of it; nothing for all other segments."""
    if marker == _APP0 and len(body) >= 14 and body.startswith(_JFIF):
        return _PLAIN_JFIF
    if marker == _APP14 and len(body) >= 12 and body.startswith(_ADOBE):
        return _PLAIN_ADOBE + body[11:12]
    return b""
