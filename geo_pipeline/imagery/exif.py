"""Reads the two EXIF facts that we use: the position and the orientation. Damaged tags give None or 1, never an error.

A position becomes the truth of a photograph and never anything else: `decode` strips all tags before an image is
stored.
"""

import io
import struct
import warnings
from collections.abc import Sequence
from typing import Any

from PIL import Image, UnidentifiedImageError

from geo_pipeline.imagery.file_kind import photograph_formats

_GPS_IFD = 0x8825
_ORIENTATION = 0x0112
_LAT_REF, _LAT, _LON_REF, _LON = 1, 2, 3, 4
_TAG_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, struct.error)
"""What Pillow raises on damaged tags, seen with the hostile files of public EXIF collections."""


def coordinates_from_exif(data: bytes) -> tuple[float, float] | None:
    """Latitude and longitude in degrees from the GPS tags of an image file, or None where none can be read.

    A tag whose parts are given as x/0 comes back as NaN, nothing is clipped: the catalogue judges the value.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damaged tags and of large images; neither matters here
            with Image.open(io.BytesIO(data), formats=photograph_formats()) as image:
                tags = image.getexif().get_ifd(_GPS_IFD)
                return _position(tags)
    except (UnidentifiedImageError, Image.DecompressionBombError, *_TAG_ERRORS):
        return None


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened image, 1 to 8; 1 where it is missing or damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _TAG_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _position(tags: dict[int, Any]) -> tuple[float, float] | None:
    if _LAT not in tags or _LON not in tags:
        return None
    lat = _degrees(tags[_LAT], tags.get(_LAT_REF), negative="S", positive="N")
    lon = _degrees(tags[_LON], tags.get(_LON_REF), negative="W", positive="E")
    return None if lat is None or lon is None else (lat, lon)


def _degrees(value: Any, reference: Any, *, negative: str, positive: str) -> float | None:
    """Degrees, minutes and seconds (or fewer parts) with their hemisphere; None without a hemisphere."""
    letter = reference.decode("ascii", "replace") if isinstance(reference, bytes) else str(reference or "")
    letter = letter.strip("\x00 ").upper()[:1]
    if letter not in (negative, positive):
        return None
    parts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
    if not 1 <= len(parts) <= 3:
        return None
    degrees = 0.0
    for part, scale in zip(parts, (1.0, 60.0, 3600.0), strict=False):
        degrees += _number(part) / scale
    return -degrees if letter == negative else degrees


def _number(value: Any) -> float:
    """A rational as a float; x/0 is NaN."""
    try:
        return float(value)
    except ZeroDivisionError:
        return float("nan")
