"""Reads the two EXIF facts that we use: the position, or why there is none, and the orientation. Never an error.

A position becomes the truth of a photograph and never anything else: `decode` strips all tags before an image is
stored.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image, UnidentifiedImageError

from geo_pipeline.imagery.file_kind import (
    DECODER_ERRORS,
    first_bytes_kind,
    photograph_formats,
    why_undecoded,
    why_unopened,
)

_GPS_IFD = 0x8825
_ORIENTATION = 0x0112
_LAT_REF, _LAT, _LON_REF, _LON = 1, 2, 3, 4
_LAST_GPS_TAG = 31
_TEXT_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*", re.ASCII)
_WHOLE = 1e-6
"""How far from a whole number a rational may be that stands for one."""


class ExifPosition(NamedTuple):
    """Latitude and longitude in degrees, or None both with `problem`, a word of the quarantine, and `detail`.

    `problem` is no_coordinate where the file can be opened, else the reason why it cannot, as `decode` gives it.
    """

    lat_deg: float | None = None
    lon_deg: float | None = None
    problem: str | None = None
    detail: str = ""


def position_from_exif(data: bytes) -> ExifPosition:
    """The position in the GPS tags of an image file.

    A tag whose parts are given as x/0 comes back as NaN, nothing is clipped: the catalogue judges the value.
    """
    kind = first_bytes_kind(data)
    if kind == "empty":
        return ExifPosition(problem="zero_bytes", detail="The file is empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damaged tags and of large images; neither matters here
            with Image.open(io.BytesIO(data), formats=photograph_formats()) as image:
                return _position_of(image)
    except UnidentifiedImageError:
        problem, detail = why_unopened(data, kind)
    except Image.DecompressionBombError as error:
        problem, detail = "decompression_bomb", f"{error} Shrink the image."
    except DECODER_ERRORS as error:
        problem, detail = why_undecoded(data, kind, error)
    return ExifPosition(problem=problem, detail=detail)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened image, 1 to 8; 1 where it is missing or damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _position_of(image: Image.Image) -> ExifPosition:
    try:
        exif = image.getexif()
        tags = exif.get_ifd(_GPS_IFD)
        if _LAT not in tags or _LON not in tags:
            return _nowhere(_what_is_missing(image, exif, tags))
        lat = _degrees(tags[_LAT], tags.get(_LAT_REF), negative="S", positive="N")
        lon = _degrees(tags[_LON], tags.get(_LON_REF), negative="W", positive="E")
    except _TagError as error:
        return _nowhere(f"The GPS tags hold {error}")
    except DECODER_ERRORS as error:
        return _nowhere(f"The GPS tags cannot be read ({error})")
    return ExifPosition(lat, lon)


def _what_is_missing(image: Image.Image, exif: Image.Exif, tags: Mapping[int, Any]) -> str:
    if _LAT in tags or _LON in tags:
        return f"The GPS tags hold {'a latitude and no longitude' if _LAT in tags else 'a longitude and no latitude'}"
    if _GPS_IFD in exif and not any(tag <= _LAST_GPS_TAG for tag in tags):
        return "The GPS tags are empty or cannot be read"
    if image.info.get("exif") and not len(exif):
        return "The EXIF tags are empty or cannot be read"
    return "The EXIF tags hold no GPS position"


def _nowhere(words: str) -> ExifPosition:
    return ExifPosition(problem="no_coordinate", detail=f"{words}, and no metadata file was given.")


class _TagError(ValueError):
    """Tags that are there and give no position."""


def _degrees(value: Any, reference: Any, *, negative: str, positive: str) -> float:
    """Degrees, minutes and seconds (or fewer parts) with the letter of their hemisphere.

    Some programs write the sign of the hemisphere into the numbers as well: it has to say what the letter says. Minutes
    and seconds are at most 60 and stand behind a whole number, unless they, or it, are all there is.
    """
    letter = reference.decode("ascii", "replace") if isinstance(reference, bytes) else str(reference or "")
    letter = letter.strip("\x00 ").upper()[:1]
    if letter not in (negative, positive):
        raise _TagError(f"{letter!r} where {negative} or {positive} is expected")
    parts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
    if not 1 <= len(parts) <= 3:
        raise _TagError(f"{len(parts)} numbers where degrees, minutes and seconds are expected")
    numbers = [_number(part) for part in parts]
    written = " ".join(f"{number:g}" for number in numbers)
    signed = next((number for number in numbers if number != 0.0), 0.0) < 0
    if any(number < 0 for number in numbers) and (letter == positive or not signed):
        raise _TagError(f"{written} {letter}, whose sign contradicts the letter")
    sizes = [abs(number) for number in numbers]
    for at, size in enumerate(sizes):
        if size > 60 and any(larger > 0 for larger in sizes[:at]):
            raise _TagError(f"{written}, minutes or seconds beyond 60")
        if _WHOLE < size % 1 < 1 - _WHOLE and any(smaller > 0 for smaller in sizes[at + 1 :]):
            raise _TagError(f"{written}, a fraction that is said twice")
    degrees = sum(size / scale for size, scale in zip(sizes, (1.0, 60.0, 3600.0), strict=False))
    return -degrees if letter == negative else degrees


def _number(value: Any) -> float:
    """A rational as a float; x/0 is NaN. Python would read the byte 51 as the digit 3, and 4_8 as 48."""
    if isinstance(value, bytes) or (isinstance(value, str) and _TEXT_NUMBER.fullmatch(value) is None):
        raise _TagError(f"{value!r} where a number is expected")
    try:
        return float(value)
    except ZeroDivisionError:
        return float("nan")
