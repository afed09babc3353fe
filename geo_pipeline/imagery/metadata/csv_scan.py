"""Compiled kernels that cut CSV into records and cells: where each wanted cell lies, how many cells a record has.

What a line means follows Python's csv module, with one rule of its own: a quoted cell goes on over the end of its line
only where it is written properly, so that one stray quotation mark spoils one row and not the rest of the file.
Files, encodings and Arrow columns belong to `csv_tables`.
"""

import numpy as np

from geo_pipeline.earth.cell_kernels import compiled

LONGEST_QUOTED = 65_536
"""Bytes that a record of several lines may have."""
OPEN_QUOTE = 1
"""Flag of a record: a quotation mark is opened and not closed."""
EMPTY, NUMBER, COMMA_NUMBER, OTHER = 0, 1, 2, 3
"""What a cell may hold, see `number_kinds`."""
_LF, _CR, _SPACE, _TAB, _NUL = 10, 13, 32, 9, 0


@compiled
def scan(
    data: np.ndarray,
    at: int,
    final: bool,
    blank_before: bool,
    delimiter: int,
    quote: int,
    width: int,
    slot_of: np.ndarray,
    cells: np.ndarray,
    records: np.ndarray,
) -> tuple[int, int, int, int, int, bool]:
    """Cut `data` (uint8) from `at` into records, until its end, a record cut off (if not `final`), or rows are full.

    - `blank_before`: whether a blank record came right before `at`.
    - `delimiter`, `quote`: bytes as numbers (256: no quotes); `width`: cells of a proper record, from the header.
    - `slot_of` (columns,): the row of `cells` in which a column is kept, -1 for none.
    - fills `cells` (slots, capacity, 2) with start and end of each wanted cell, quotes included, and `records`
      (capacity, 4) with start, line (0 is the line of `at`), number of cells, flags. A record with more cells than
      `width` counts as proper where all cells too many are blank.

    Returns (records found, next position, lines passed, blank records passed over, the last record that follows a
    blank one or -1, `blank_before` of the next call).
    """
    length, capacity = len(data), records.shape[0]
    count, line, blank, after_blank = 0, 0, 0, -1
    while at < length and count < capacity:
        row = cells[:, count]
        stop, columns, filled, inside, _ = _record(data, at, length, delimiter, quote, False, slot_of, row)
        if not final and (stop == length or (stop == length - 1 and data[stop] == _CR)):
            break
        flags, lines = 0, 1
        if inside:
            limit = min(length, at + LONGEST_QUOTED)
            long_stop, long_columns, long_filled, long_inside, proper = _record(
                data, at, limit, delimiter, quote, True, slot_of, row
            )
            if proper and not final and long_stop >= length - 1:
                break
            closed = proper and not long_inside and (long_stop < limit or limit == length)
            if closed and long_columns == width and not _holds_records(data, stop, long_stop, delimiter, quote, width):
                lines += _line_ends(data, at, long_stop)
                stop, columns, filled = long_stop, long_columns, long_filled
            else:
                _record(data, at, length, delimiter, quote, False, slot_of, row)
                flags = OPEN_QUOTE
        if filled == 0:
            blank, blank_before = blank + 1, True
        else:
            if blank_before:
                after_blank, blank_before = count, False
            records[count, 0], records[count, 1] = at, line
            records[count, 2] = width if columns > width >= filled else columns
            records[count, 3] = flags
            count += 1
        line += lines
        at = stop + 1
        if stop < length - 1 and data[stop] == _CR and data[stop + 1] == _LF:
            at += 1
    return count, min(at, length), line, blank, after_blank, blank_before


@compiled
def _record(
    data: np.ndarray,
    at: int,
    limit: int,
    delimiter: int,
    quote: int,
    spanning: bool,
    slot_of: np.ndarray,
    row: np.ndarray,
) -> tuple[int, int, int, bool, bool]:
    """One record: (where it stops, cells, cells up to the last that is not blank, inside quotes?, proper?)."""
    columns, filled, proper, inside = 0, 0, True, False
    row[:] = 0
    position = at
    while True:
        start, blank = position, True
        inside = position < limit and data[position] == quote
        if inside:
            position += 1
        while position < limit:
            byte = data[position]
            if inside:
                if byte == quote:
                    if position + 1 < limit and data[position + 1] == quote:
                        position += 1
                    else:
                        inside = False
                        after = data[position + 1] if position + 1 < limit else _LF
                        proper = proper and (after in (delimiter, _LF, _CR))
                elif not spanning and (byte in (_LF, _CR)):
                    break
            elif byte in (delimiter, _LF, _CR):
                break
            elif byte == quote:
                proper = False
            if not (byte in (quote, _SPACE, _NUL) or _TAB <= byte <= _CR):
                blank = False
            if spanning and not proper:
                return position, columns, filled, inside, False
            position += 1
        if columns < len(slot_of) and slot_of[columns] >= 0:
            row[slot_of[columns], 0], row[slot_of[columns], 1] = start, position
        columns += 1
        if not blank:
            filled = columns
        if inside or position >= limit or data[position] != delimiter:
            return position, columns, filled, inside, proper
        position += 1


@compiled
def _holds_records(data: np.ndarray, start: int, end: int, delimiter: int, quote: int, width: int) -> bool:
    """Whether a whole line between two positions looks like a record of its own, so that no cell may swallow it."""
    delimiters, plain, whole = 0, True, False
    for position in range(start, end):
        byte = data[position]
        if byte in (_LF, _CR):
            if whole and plain and delimiters == width - 1:
                return True
            delimiters, plain, whole = 0, True, True
        elif byte == delimiter:
            delimiters += 1
        elif byte == quote:
            plain = False
    return False


@compiled
def _line_ends(data: np.ndarray, start: int, end: int) -> int:
    found = 0
    for position in range(start, end):
        if data[position] == _LF or (
            data[position] == _CR and (position + 1 == len(data) or data[position + 1] != _LF)
        ):
            found += 1
    return found


@compiled
def copy_cells(data: np.ndarray, cells: np.ndarray, quote: int, out: np.ndarray, offsets: np.ndarray) -> int:
    """Copy cells (rows, 2) behind one another into `out`, unquoted and without blanks or NULs at their ends.

    Fills `offsets` (rows + 1,); returns the number of bytes written.
    """
    at = 0
    offsets[0] = 0
    for row in range(cells.shape[0]):
        first = at
        position, end = cells[row, 0], cells[row, 1]
        inside = position < end and data[position] == quote
        if inside:
            position += 1
        while position < end:
            byte = data[position]
            if inside and byte == quote:
                if position + 1 < end and data[position + 1] == quote:
                    position += 1
                else:
                    inside = False
                    position += 1
                    continue
            if at > first or not (byte <= _SPACE and (byte in (_SPACE, _NUL) or _TAB <= byte <= _CR)):
                out[at] = byte
                at += 1
            position += 1
        while at > first and (out[at - 1] == _SPACE or out[at - 1] == _NUL or _TAB <= out[at - 1] <= _CR):
            at -= 1
        offsets[row + 1] = at
    return at


@compiled
def number_kinds(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """What each text is (uint8): EMPTY, NUMBER (`-12.5`, `3e-05`), COMMA_NUMBER (`-12,5`), or OTHER."""
    kinds = np.empty(len(offsets) - 1, np.uint8)
    for row in range(len(kinds)):
        position, end = offsets[row], offsets[row + 1]
        kinds[row] = _number_kind(data, position, end)
    return kinds


@compiled
def _number_kind(data: np.ndarray, position: int, end: int) -> int:
    if position == end:
        return EMPTY
    if data[position] == 45:  # -
        position += 1
    digits, points, commas = 0, 0, 0
    while position < end and (48 <= data[position] <= 57 or data[position] == 46 or data[position] == 44):
        digits += 48 <= data[position] <= 57
        points += data[position] == 46
        commas += data[position] == 44
        position += 1
    if digits == 0 or points + commas > 1:
        return OTHER
    if position < end and (data[position] == 101 or data[position] == 69):  # e, E
        position += 1
        if position < end and (data[position] == 45 or data[position] == 43):
            position += 1
        if not 1 <= end - position <= 2:
            return OTHER
        while position < end and 48 <= data[position] <= 57:
            position += 1
    if position != end:
        return OTHER
    return COMMA_NUMBER if commas else NUMBER
