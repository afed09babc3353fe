"""Splits a delimited text file into its header and its blocks of rows, with line numbers for messages.

A blank line ends a block: many public files carry a summary after one. What the columns mean, and whether a block is
data, belongs to `prediction_files`.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from geo_pipeline.scoring.accuracy import ScoreError


class FileError(ScoreError):
    """A file that cannot be scored; the message says what was found, what was expected and what to do next."""


@dataclass(frozen=True)
class Row:
    """One row of text fields and its line number, counted from 1."""

    line: int
    fields: tuple[str, ...]

    def value(self, column: int) -> str:
        """The field without white space around it; empty where the row is shorter than the header."""
        return self.fields[column].strip() if column < len(self.fields) else ""


@dataclass(frozen=True)
class ColumnFile:
    """A header and the blocks of rows below it, at least one block; blocks after the first follow a blank line."""

    path: Path
    header: tuple[str, ...]
    blocks: tuple[tuple[Row, ...], ...]

    @property
    def rows(self) -> list[Row]:
        """The rows of all blocks."""
        return [row for block in self.blocks for row in block]


def read_column_file(path: Path) -> ColumnFile:
    """Read comma-, tab- or semicolon-separated UTF-8 text; the header decides which. Raises FileError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"found no readable text at {path} ({error}); expected a CSV file in UTF-8; check the path"
        ) from error
    first, _, _ = text.partition("\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=first.count))
    blocks: list[list[Row]] = [[]]
    header: tuple[str, ...] = ()
    try:
        for fields in reader:
            if not header:
                header = tuple(field.strip() for field in fields)
            elif any(field.strip() for field in fields):
                blocks[-1].append(Row(reader.line_num, tuple(fields)))
            elif blocks[-1]:
                blocks.append([])
    except csv.Error as error:
        raise FileError(
            f"found line {reader.line_num} of {path} unreadable ({error}); expected CSV; correct the file"
        ) from error
    filled = tuple(tuple(block) for block in blocks if block)
    if not any(header) or not filled:
        raise FileError(f"found no rows in {path}; expected a line of column names and rows below it; check the path")
    return ColumnFile(path, header, filled)
