"""What follows from the 64-bit ids of S2 cells alone: levels, parents, the leaves inside, tokens.

Everything equals s2sphere's results bit for bit. Cells of coordinates and their geometry belong to `cells`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

MAX_LEVEL = 30
_TOKEN_CHARACTERS = 16
_ONE = np.uint64(1)


def lowest_bits(ids: np.ndarray) -> np.ndarray:
    """The lowest set bit (N,) uint64 of each id: it marks the level, and half the span of the cell's leaves."""
    return ids & (~ids + _ONE)


def range_limits(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first, last) leaf id inside each cell, both inclusive, each (N,) uint64."""
    span = lowest_bits(ids) - _ONE
    return ids - span, ids + span


def cell_levels(ids: ArrayLike) -> np.ndarray:
    """Levels (N,) int32, 0 (a face of the cube) to 30 (a leaf of about 1 cm). Raises ValueError for an invalid id."""
    cells = valid(ids)
    return (MAX_LEVEL - np.bitwise_count(lowest_bits(cells) - _ONE).astype(np.int32) // 2).astype(np.int32)


def parent_ids(ids: ArrayLike, level: int) -> np.ndarray:
    """Ids (N,) uint64 of the ancestors at `level`, a cell being its own. Raises ValueError where `level` is finer."""
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"found level {level}; expected 0 to {MAX_LEVEL}; choose a level of S2")
    cells = valid(ids)
    lowest = np.uint64(1 << 2 * (MAX_LEVEL - level))
    if (lowest_bits(cells) > lowest).any():
        raise ValueError(
            f"found cells coarser than level {level}; expected finer ones or equal; choose a coarser level"
        )
    return (cells & (~lowest + _ONE)) | lowest


def tokens(ids: ArrayLike) -> list[str]:
    """S2 tokens: hexadecimal without the zeros at the end. They are text, also those that look like numbers."""
    cells = valid(ids)
    digits = np.frombuffer(cells.astype(">u8").tobytes().hex().encode(), dtype=f"S{_TOKEN_CHARACTERS}")
    result: list[str] = np.strings.rstrip(digits, b"0").astype(f"U{_TOKEN_CHARACTERS}").tolist()
    return result


def ids_from_tokens(token_texts: Sequence[str]) -> np.ndarray:
    """Ids (N,) uint64 of S2 tokens. Raises ValueError for what is not a token, for example a token read as a number."""
    texts = np.asarray(token_texts)
    if texts.size == 0:
        return np.zeros(0, np.uint64)
    if texts.dtype.kind != "U":
        raise ValueError(
            f"found tokens of type {texts.dtype}; expected text; read the column as text, never as numbers"
        )
    lower = np.strings.lower(texts.reshape(-1))
    # Only hexadecimal digits may stand in a token: stripping them all must leave nothing.
    bad = (np.strings.str_len(lower) > _TOKEN_CHARACTERS) | (np.strings.strip(lower, "0123456789abcdef") != "")
    bad |= lower == ""
    if bad.any():
        raise ValueError(
            f"found {int(bad.sum())} texts that are no S2 tokens (first: {texts.reshape(-1)[np.argmax(bad)]!r}); "
            "expected 1 to 16 hexadecimal digits; read the column as text, never as numbers"
        )
    padded = np.strings.ljust(lower, _TOKEN_CHARACTERS, "0").astype(f"S{_TOKEN_CHARACTERS}")
    ids = np.frombuffer(bytes.fromhex(padded.tobytes().decode()), dtype=">u8").astype(np.uint64)
    return valid(ids)


def valid(ids: ArrayLike) -> np.ndarray:
    """The ids as a flat uint64 array; ValueError where an id names no cell."""
    cells = np.ascontiguousarray(np.asarray(ids, np.uint64).reshape(-1))
    bad = ((cells >> np.uint64(61)) > 5) | ((lowest_bits(cells) & np.uint64(0x1555555555555555)) == 0)
    if bad.any():
        raise ValueError(
            f"found {int(bad.sum())} numbers that are no S2 ids (first: {int(cells[np.argmax(bad)])}); expected "
            "64-bit ids of S2 cells; make them with cell_ids or ids_from_tokens, and never carry them as floats"
        )
    return cells
