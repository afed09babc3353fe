"""Reads the metadata columns of JSON: one object per line (JSONL), or one list of objects.

A line that is no object stays as a row that says so. Cells are read as texts, so that numbers keep their digits; what
they mean belongs to `cells`.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.metadata.cells import table_of
from geo_pipeline.imagery.metadata.csv_tables import CellBatch
from geo_pipeline.imagery.metadata.layout import MetadataFormat, wanted_columns
from geo_pipeline.imagery.source import SourceError

SUFFIXES = (".jsonl", ".ndjson", ".json")
_NO_OBJECT = "no JSON object"
Record = dict[str, object] | None


def json_table(file: BinaryIO, layout: MetadataFormat, where: str) -> pa.Table:
    """The rows of a JSON file as a table of METADATA; `line` counts lines, or the objects of a list.

    Raises `SourceError` when it is no text, a list that is cut short, or without the columns.
    """
    try:
        text = file.read().decode("utf-8-sig")
        records = list(_of_list(text) if text.lstrip()[:1] == "[" else _of_lines(text))
    except ValueError as error:  # no UTF-8, or no JSON
        words = str(error).splitlines()[0][:200]
        raise SourceError(
            f"{where}: cannot be read as JSON ({words}); expected one object per line, or one list of objects, in "
            "UTF-8. Write it again, or give a CSV."
        ) from error
    names = list(dict.fromkeys(name for _, record in records for name in record or ()))
    wanted = wanted_columns(names, layout, where)
    headers = {known: names[number] for known, number in wanted.items()}
    texts = {
        known: _texts([record.get(name) if record else None for _, record in records])
        for known, name in headers.items()
    }
    count = len(records)
    line = np.array([number for number, _ in records], np.int64)
    table = table_of(CellBatch(texts, line, np.ones(count, np.int64), np.zeros(count, bool)), layout, 1, headers)
    broken = pa.array([record is None for _, record in records], pa.bool_())
    detail = pc.if_else(broken, _NO_OBJECT, table["detail"])
    return table.set_column(table.schema.get_field_index("detail"), "detail", detail)


def _of_lines(text: str) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, _record(_parsed(line))
            except ValueError:
                yield number, None


def _of_list(text: str) -> Iterator[tuple[int, Record]]:
    for number, value in enumerate(_parsed(text), 1):
        yield number, _record(value)


def _parsed(text: str) -> list[object]:
    parsed: list[object] = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    return parsed


def _record(value: object) -> Record:
    return value if isinstance(value, dict) else None


def _texts(values: list[object]) -> pa.StringArray:
    """Stripped texts, empty ones null; what is no text to Arrow (no text or number, half a pair) as JSON writes it."""
    texts = [value if isinstance(value, str) or value is None else json.dumps(value) for value in values]
    texts = [each and each.encode("utf-8", "backslashreplace").decode() for each in texts]  # as containers do
    stripped = pc.utf8_trim_whitespace(pa.array(texts, pa.string()))
    return pc.if_else(pc.equal(pc.binary_length(stripped), 0), pa.scalar(None, pa.string()), stripped)
