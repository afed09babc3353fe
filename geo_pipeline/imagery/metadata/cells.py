"""Turns text cells into the columns of METADATA: numbers with points or commas, and words for what cannot be read.

Cutting a file into cells belongs to `csv_tables`; whether a coordinate lies on Earth is judged by `catalogue`.
"""

import math
import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.metadata.csv_scan import COMMA_NUMBER, EMPTY, NUMBER, OTHER, number_kinds
from geo_pipeline.imagery.metadata.csv_tables import CellBatch
from geo_pipeline.imagery.metadata.layout import METADATA, MetadataFormat
from geo_pipeline.imagery.photograph import DESCRIBED_TEXTS

_LONGEST_SHOWN = 40
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)


def degrees(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(values float64, kinds uint8), each (rows,): NaN where a text is EMPTY or stays OTHER than a finite number."""
    offsets, data = text_buffers(texts)
    kinds = number_kinds(data, offsets)
    values = np.full(len(texts), np.nan)
    for kind in (NUMBER, COMMA_NUMBER):
        at = np.flatnonzero(kinds == kind)
        if len(at):
            plain = texts if len(at) == len(texts) else texts.take(pa.array(at))
            plain = pc.replace_substring(plain, ",", ".") if kind == COMMA_NUMBER else plain
            values[at] = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
    at = np.flatnonzero(kinds == OTHER)
    if len(at):
        encoded = texts.take(pa.array(at)).dictionary_encode()
        unique = np.array([number_of(text) for text in encoded.dictionary.to_pylist()])
        values[at] = unique[encoded.indices.to_numpy()]
        kinds[at[np.isfinite(values[at])]] = NUMBER
    return values, kinds


def text_buffers(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets int32 (rows + 1,) and bytes uint8 of texts; a null has no bytes."""
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    _, offsets, data = texts.buffers()
    first = texts.offset
    numbers = np.frombuffer(offsets, np.int32)[first : first + len(texts) + 1] if len(texts) else np.zeros(1, np.int32)
    return numbers, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)


def table_of(cells: CellBatch, layout: MetadataFormat, width: int, headers: Mapping[str, str]) -> pa.Table:
    """A batch of records as METADATA. `width`: cells of a proper record; `headers`: what the file calls a column."""
    rows = len(cells.line)
    lat, lat_kinds = degrees(cells.texts["lat_deg"])
    lon, lon_kinds = degrees(cells.texts["lon_deg"])
    ragged = cells.width != width
    lat[ragged] = lon[ragged] = np.nan
    detail = _details(cells, width, headers, {"lat_deg": lat_kinds, "lon_deg": lon_kinds})
    columns: dict[str, pa.Array] = {
        name: cells.texts.get(name, pa.nulls(rows, pa.string())) for name in ("path", *DESCRIBED_TEXTS)
    }
    columns["lat_deg"] = pa.array(lat, mask=(lat_kinds == EMPTY) & ~ragged)
    columns["lon_deg"] = pa.array(lon, mask=(lon_kinds == EMPTY) & ~ragged)
    columns["detail"] = detail
    columns["line"] = pa.array(cells.line, pa.int64())
    return refined(columns, layout)


def refined(columns: Mapping[str, pa.Array], layout: MetadataFormat) -> pa.Table:
    """Columns of METADATA as a table, with the set and the author as the layout has them."""
    refined = dict(columns)
    if layout.author_pattern is not None:
        refined["author"] = pc.replace_substring_regex(refined["author"], f"^.*?{layout.author_pattern}$", r"\1")
    if layout.set_name is not None:
        refined["set_name"] = pc.fill_null(refined["set_name"], layout.set_name)
    return pa.table({name: refined[name] for name in METADATA.names}, schema=METADATA)


def _details(
    cells: CellBatch, width: int, headers: Mapping[str, str], kinds: Mapping[str, np.ndarray]
) -> pa.StringArray:
    """Words for the rows with something wrong, "" for the others."""
    ragged = cells.width != width
    wrong = ragged | cells.open_quote
    for each in kinds.values():
        wrong = wrong | (each == EMPTY) | (each == OTHER)
    at = np.flatnonzero(wrong)
    if not len(at):
        return pa.repeat("", len(wrong))
    texts = {name: cells.texts[name].take(pa.array(at)).to_pylist() for name in kinds}
    words = [""] * len(wrong)
    for place, row in enumerate(at.tolist()):
        parts = ["a quotation mark is not closed"] if cells.open_quote[row] else []
        if ragged[row]:
            parts.append(f"found {cells.width[row]} cells, expected {width}")
        else:
            parts += [
                f"{headers[name]} is {shown(texts[name][place])}"
                for name in kinds
                if kinds[name][row] in (EMPTY, OTHER)
            ]
        words[row] = "; ".join(parts)
    return pa.array(words, pa.string())


def shown(text: str | None) -> str:
    """A cell for a message."""
    if text is None:
        return "empty"
    return repr(text) if len(text) <= _LONGEST_SHOWN else repr(text[:_LONGEST_SHOWN]) + "..."


def number_of(text: str) -> float:
    """One text as `degrees` reads it (a comma for a point, a sign in front, the typographic minus); NaN for others."""
    text = text.replace("−", "-")
    if _NUMBER.fullmatch(text) is None:
        return math.nan
    value = float(text.replace(",", "."))
    return value if math.isfinite(value) else math.nan
