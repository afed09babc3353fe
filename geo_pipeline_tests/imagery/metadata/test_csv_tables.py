"""CSV as it occurs, against Python's csv module: what a record is, and that none is lost."""

import csv
import io
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from geo_pipeline.imagery.metadata.csv_scan import LONGEST_QUOTED
from geo_pipeline.imagery.metadata.csv_tables import CsvFile, CsvLayout
from geo_pipeline.imagery.source import SourceError

BLANKS = " \t\r\n\v\f\0"


def opened(text, delimiter):
    """Whether a text ends inside a quoted cell, as csv sees it."""
    try:
        list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def proper(text, delimiter):
    """Whether every quotation mark of a text opens, closes or doubles one in a quoted cell."""
    cell = rf'(?:"(?:[^"]|"")*"|[^"\r\n{re.escape(delimiter)}][^"\r\n{re.escape(delimiter)}]*|)'
    return re.fullmatch(rf"{cell}(?:{re.escape(delimiter)}{cell})*", text) is not None


def reference(data, delimiter, width):
    """(line, cells) of every record that is not blank, and the number of blank ones, in plain Python."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", data.decode("latin-1"))
    number, records, blank = 0, [], 0
    while number < len(lines):
        taken = 1
        text = lines[number].rstrip("\r\n")
        if opened(text, delimiter):
            whole = longer(lines[number:], delimiter, width)
            if whole is not None:
                text, taken = whole
        cells = (
            next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
            if taken > 1
            else one(text, delimiter)
        )
        cells = [cell.strip(BLANKS) for cell in cells]
        if not any(cell.strip('"' + BLANKS) for cell in cells[width:]):
            cells = cells[:width]
        if any(cell.strip('"' + BLANKS) for cell in cells):
            records.append((number + 1, cells))
        else:
            blank += 1
        number += taken
    return records, blank


def one(text, delimiter):
    return next(csv.reader([text], delimiter=delimiter), [])


def longer(lines, delimiter, width):
    """The record that begins with an open quote on the first line, and its number of lines; None when it is none."""
    text = ""
    for taken, line in enumerate(lines, start=1):
        text += line
        if len(text.rstrip("\r\n")) >= LONGEST_QUOTED:
            return None
        if taken > 1 and not opened(text, delimiter):
            inner = [each.rstrip("\r\n") for each in lines[1 : taken - 1]]
            alone = any('"' not in each and each.count(delimiter) == width - 1 for each in inner)
            text = text.rstrip("\r\n") if not text.endswith('"') else text
            fits = (
                proper(text, delimiter)
                and len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))) == width
            )
            return (text, taken) if fits and not alone else None
    return None


def read(data, delimiter=",", width=3, piece_bytes=1 << 24):
    """(line, cells) of every record as the library reads it, and the number of blank ones."""
    file = CsvFile(io.BytesIO(data), "m.csv", piece_bytes)
    layout = CsvLayout(delimiter, True, width, {str(number): number for number in range(width)})
    records = []
    for batch in file.batches(layout):
        columns = [batch.texts[str(number)].to_pylist() for number in range(width)]
        for row, line in enumerate(batch.line.tolist()):
            records.append((line, int(batch.width[row]), [column[row] or "" for column in columns]))
    return records, file.blank


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n1,2,3\n",
        "a,b,c\r\n1,2,3\r\n\r\n4,5,6",
        "a,b,c\r1,2,3\r",
        '"a","b ""quoted"" c",d\n',
        'a,"two\nlines, and a comma",c\n4,5,6\n',
        'a,"four\n\n\n lines",c\n4,5,6\n',
        'a,"open,c\n4,5,6\n',
        'a,5" x 7",c\n4,5,6\n',
        'a,"x"y,c\n',
        " a , \tb\t,\0c\0\n\0\0\0\n",
        "a,b\nc,d,e,f\ng,h,i,,,\n,,,,,\n",
        'x,"a\r\nb",z\r\n',
        '"\r",,\n1,2,3\n',
        '" \n\v\f",\r\n\v,\f,\n1,2,3\n',
    ],
)
def test_records_are_those_of_the_csv_module(text):
    records, blank = reference(text.encode(), ",", 3)
    found, found_blank = read(text.encode())
    assert [(line, width) for line, width, _ in found] == [(line, len(cells)) for line, cells in records]
    assert [cells for _, _, cells in found] == [([*cells, "", "", ""])[:3] for _, cells in records]
    assert found_blank == blank


def test_one_stray_quotation_mark_spoils_one_row():
    lines = [f"{row},x,y" for row in range(1000)]
    lines[10] = '10,"x,y'
    lines[500] = '500,"Smith, John",y'
    found, _ = read("\n".join(lines).encode())
    assert [line for line, _, _ in found] == list(range(1, 1001))
    assert [row for row, (_, width, _) in enumerate(found) if width != 3] == [10]
    lines[500] = '500,x",y'  # now a second one closes the first, with whole rows between them
    assert len(read("\n".join(lines).encode())[0]) == 1000


@settings(max_examples=300, deadline=None)
@example(text='"\r";', delimiter=";", width=2, piece_bytes=1)
@given(
    text=st.text(alphabet='ab,;"\n\r \v1\0é', max_size=60),
    delimiter=st.sampled_from(",;"),
    width=st.integers(2, 4),
    piece_bytes=st.integers(1, 80),
)
def test_any_text_is_cut_as_the_csv_module_cuts_it_wherever_the_pieces_end(text, delimiter, width, piece_bytes):
    data = text.encode("utf-8")
    assume(3 * data.count(b"\0") < len(data) or not data)  # else it may be UTF-16
    records, blank = reference(data, delimiter, width)
    found, found_blank = read(data, delimiter, width, piece_bytes)
    assert [(line, cells) for line, cells, _ in found] == [(line, len(cells)) for line, cells in records]
    expected = [[cell.encode("latin-1").decode("utf-8").strip() for cell in cells] for _, cells in records]
    assert [cells for _, _, cells in found] == [(cells + [""] * width)[:width] for cells in expected]
    assert found_blank == blank


def test_a_file_that_never_ends_a_row_is_refused():
    class Endless(io.RawIOBase):
        def read(self, count=-1):
            return b"x" * count

    with pytest.raises(SourceError, match=r"m\.csv: found more than 4 MiB without the end of a row from line 1 on"):
        CsvFile(Endless(), "m.csv", longest_record=1 << 22).batches(CsvLayout(",", True, 2, {"a": 0})).__next__()


def test_an_endless_open_quote_costs_a_row_and_not_the_file():
    data = b'a,"b,c\n' + b"1,2,3\n" * 50_000
    found, _ = read(data, piece_bytes=1000)
    assert len(found) == 50_001
    assert found[0][1] == 2
