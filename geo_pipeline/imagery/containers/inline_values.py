"""Values beside a photograph in its container, as text and degrees. Files of metadata belong to `metadata`."""

import math
from decimal import Decimal
from typing import Any

from geo_pipeline.imagery.metadata.cells import number_of


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

    Numbers are those of metadata files: `48,2` is one, `inf` is none. `name` (`latitude` or `longitude`) is
    for the words.
    """
    text = text_of(value)
    if text is None:
        return None, "" if value is None or isinstance(value, str | bytes) else f"{name} is a {type(value).__name__}"
    number = number_of(text)
    return number, f"{name} {text[:40]!r} is not a number" if math.isnan(number) else ""


def _written(number: float | Decimal) -> str:
    """A number as text: whole ones without `.0`, those of more digits than Python writes (hostile) as hexadecimal."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    if isinstance(number, int) and number.bit_length() > 1024:
        return hex(number)
    return str(number)
