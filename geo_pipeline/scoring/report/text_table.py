"""A table of text, and how numbers are spelled in one: percent, points, kilometres.

Holds no rows of its own: those belong in the modules of each report's tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NOT_KNOWN = "–"


@dataclass(frozen=True)
class TextTable:
    """A table ready to print. `emphasis` holds (row, column) of cells to stress; columns in `left` are words.

    `marked` rows stand out from the others (ours among published ones). `groups` are titles over the columns, each with
    the number of columns below it, all columns together; an empty title stands over nothing. A `dense` table has many
    columns: where a page can, it sets intervals below their numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int] = frozenset({0})
    emphasis: frozenset[tuple[int, int]] = frozenset()
    marked: frozenset[int] = frozenset()
    groups: tuple[tuple[str, int], ...] = ()
    dense: bool = False

    def full_titles(self) -> tuple[str, ...]:
        """The columns' titles with those of their groups before them, for a text that has one line of titles."""
        above = [title for title, width in self.groups for _ in range(width)] or [""] * len(self.columns)
        return tuple(f"{group}: {name}" if group else name for group, name in zip(above, self.columns, strict=True))


def percent(fraction: float | None) -> str:
    """One decimal, without the sign: 0.4296 is `43.0`."""
    return NOT_KNOWN if fraction is None or np.isnan(fraction) else f"{100 * fraction:.1f}"


def percent_with_interval(fraction: float, low: float, high: float) -> str:
    """`43.0 (39.1–46.7)` from fractions."""
    return f"{percent(fraction)} ({percent(low)}–{percent(high)})"


def points(difference: float, low: float, high: float) -> str:
    """A difference of two accuracies in points with its interval, from fractions: `+4.2 (-0.3 to +8.8)`."""
    # Adding zero turns a rounded -0.0 into 0.0.
    value, lower, upper = (round(100 * each, 1) + 0.0 for each in (difference, low, high))
    return f"{value:+.1f} ({lower:+.1f} to {upper:+.1f})"


def p_value_text(p_value: float) -> str:
    """Three decimals, or `< 0.001`."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def kilometres(value: float) -> str:
    """A distance for reading: `0.42`, `12`, `1,234`; `∞` where at least half of the images failed."""
    if np.isnan(value):
        return NOT_KNOWN
    if np.isinf(value):
        return "∞"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def threshold_titles(values: Sequence[float]) -> tuple[str, ...]:
    """`25 km` for 25.0."""
    return tuple(f"{value:g} km" for value in values)


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
