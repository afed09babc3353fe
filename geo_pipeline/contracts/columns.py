"""The parts a contract is made of: columns, rules, problems and rejections; plain values, no behaviour.

Reading them from YAML belongs to `document`, making a dataframely schema of them to `schema`.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "binary": pa.binary(),
    "double": pa.float64(),
    "float": pa.float32(),
    "halffloat": pa.float16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
}
"""Physical type names a contract may use, besides `list<...>` of one of them."""


@dataclass(frozen=True)
class Limits:
    """What a single value must keep to; None where there is no limit. Limits of a list column hold for its items."""

    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    pattern: str | None = None
    allowed: tuple[str | int | float, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column: its name, Arrow type name, meaning, unit and limits."""

    name: str
    physical_type: str
    description: str
    required: bool = False
    unique: bool = False
    unit: str | None = None
    limits: Limits = Limits()
    min_items: int | None = None

    @property
    def is_list(self) -> bool:
        """True for `list<...>` columns."""
        return self.physical_type.startswith("list<")

    @property
    def item_type(self) -> str:
        """Physical type name of a value: of the items for a list column, else the column's own."""
        return self.physical_type[5:-1] if self.is_list else self.physical_type

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the column."""
        item = ARROW_TYPES[self.item_type]
        return pa.list_(item) if self.is_list else item

    @property
    def constraints(self) -> tuple[str, ...]:
        """The limits in words, for people: `between -90 and 90`, `unique`, `one of train, holdout`."""
        words: list[str] = []
        low, high = self.limits.minimum, self.limits.maximum
        if low is not None and high is not None:
            words.append(f"between {low:g} and {high:g}")
        elif low is not None:
            words.append(f"at least {low:g}")
        elif high is not None:
            words.append(f"at most {high:g}")
        if self.limits.pattern is not None:
            words.append(f"matches {self.limits.pattern}")
        if self.limits.allowed:
            words.append("one of " + ", ".join(str(value) for value in self.limits.allowed))
        if self.limits.min_length is not None:
            words.append(f"at least {self.limits.min_length} long")
        if self.min_items is not None:
            words.append(f"at least {self.min_items} items")
        return tuple(words)


@dataclass(frozen=True)
class Rule:
    """A rule across columns: `violation` is a condition that holds for exactly the rows that break it."""

    name: str
    description: str
    violation: str
    language: Literal["sql", "polars"] = "sql"


@dataclass(frozen=True)
class Problem:
    """One way in which a table breaks its contract: the check's name, how many rows, and up to three of them."""

    check: str
    column: str | None
    expected: str
    rows: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for an error message."""
        where = f"column {self.column}: " if self.column else ""
        shown = f", for instance {'; '.join(self.examples)}" if self.examples else ""
        count = f"{self.rows} row{'s' if self.rows != 1 else ''} break this" if self.rows else "found otherwise"
        return f"{where}{self.check}: expected {self.expected}; {count}{shown}"
