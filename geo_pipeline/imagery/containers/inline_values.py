"""Values beside a photograph in its container, as text and degrees. Files of metadata belong to `metadata`."""

import math
from decimal import Decimal
from typing import Any


def text_of(value: Any) -> str | None:
    """Text without spaces around it: bytes read as UTF-8, numbers written out; None for empty text and other types."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = _written(value)
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "backslashreplace").decode().strip() or None  # a lone surrogate is no text to Arrow


def degrees_of(value: Any, name: str) -> tuple[float | None, str]:
    """A coordinate in degrees and what is wrong with it: None where there is none, NaN where it is no number.

    `name` is `latitude` or `longitude`, for the words.
    """
    text = text_of(value)
    if text is None:
        return None, "" if value is None or isinstance(value, str | bytes) else f"{name} is a {type(value).__name__}"
    try:
        return float(text), ""
    except ValueError:
        return math.nan, f"{name} {text[:40]!r} is not a number"


def _written(number: float | Decimal) -> str:
    """A number as text: whole ones without `.0`, those of more digits than Python writes (hostile) as hexadecimal."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    if isinstance(number, int) and number.bit_length() > 1024:
        return hex(number)
    return str(number)
