"""Tells a summary at the end of a table, such as accuracies under predictions, from rows of photographs."""

import csv

from geo_pipeline.imagery.metadata.layout import is_header

LONGEST = 10
"""Rows that a summary may have."""


def is_summary(tail: bytes, delimiter: str) -> bool:
    """Whether what follows the last blank line is a summary: a line of words, then lines of numbers and nothing else.

    A line of words that names latitude and longitude is the header of more photographs, and no summary.
    """
    lines = tail.replace(b"\0", b"").decode("utf-8", "replace").splitlines()
    rows = [[cell.strip() for cell in row if cell.strip()] for row in csv.reader(lines, delimiter=delimiter)]
    rows = [row for row in rows if row]
    if not 2 <= len(rows) <= LONGEST or len(rows[0]) < 2 or is_header(rows[0]):
        return False
    return all(_is_word(cell) for cell in rows[0]) and all(_is_number(cell) for row in rows[1:] for cell in row)


def _is_word(cell: str) -> bool:
    return any(letter.isalpha() for letter in cell) and not _is_number(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
