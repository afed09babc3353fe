"""Which records of a listing are admitted to the catalogue, and why each other one is not: its first fault.

The columns come in as `columns_of` packs them: few values as dictionaries, the others with 64-bit offsets, so that
millions of rows are a few arrays and never Python objects.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.earth.coordinates import PROBLEMS, problem_codes
from geo_pipeline.imagery.source import LISTING
from geo_pipeline.imagery.split import POOL_SETS

REPEATED_COLUMNS = ("author", "set_name", "credit", "problem", "first_bytes_kind", "block")
"""Columns of a listing that hold few different values."""
Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class Admission:
    """`reasons[code[row]]` is why a record is refused; code 0 is an admitted one, `admitted` (K,) are their rows.

    `first` (N,) is the row that had the id of a `duplicate_id` before, -1 for other rows.
    """

    reasons: tuple[str, ...]
    code: np.ndarray
    first: np.ndarray

    @property
    def admitted(self) -> np.ndarray:
        """The rows that are admitted, in the order of the listing."""
        return np.flatnonzero(self.code == 0)

    def counts(self, rows: np.ndarray | slice = slice(None)) -> dict[str, int]:
        """How many of the rows are refused for each reason, the most frequent first."""
        found = np.bincount(self.code[rows], minlength=len(self.reasons))
        pairs = [(reason, int(count)) for reason, count in zip(self.reasons[1:], found[1:], strict=True) if count]
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def columns_of(listing: Iterable[pa.RecordBatch]) -> Columns:
    """All rows of a listing, one array for each column."""
    whole = pa.Table.from_batches(listing, LISTING)
    columns: Columns = {}
    for name in LISTING.names:
        column, whole = whole[name], whole.drop_columns([name])
        if name in REPEATED_COLUMNS:
            column = column.dictionary_encode().unify_dictionaries()
        elif pa.types.is_string(column.type):
            column = column.cast(pa.large_string())
        found = column.combine_chunks()
        columns[name] = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return columns


def admission(columns: Columns) -> Admission:
    """Judge every record.

    The first fault that holds is given: what the source itself says, no coordinate, an impossible coordinate, no id, no
    place of the bytes, an id that an admitted record had before (the first is kept).
    """
    lat, lon = (columns[name].to_numpy(zero_copy_only=False) for name in ("lat_deg", "lon_deg"))
    reason = columns["problem"].cast(pa.string())
    counted = _counted(columns)
    reason = pc.if_else(counted, pa.scalar(None, pa.string()), reason)
    absent = pc.or_(columns["lat_deg"].is_null(), columns["lon_deg"].is_null())
    no_id, no_place = (pc.equal(pc.fill_null(columns[name], ""), "") for name in ("image_id", "locator"))
    impossible = pa.array([None, *PROBLEMS]).take(pa.array(problem_codes(lat, lon)))
    faults = (
        pc.if_else(absent, "no_coordinate", None),
        impossible,
        pc.if_else(no_id, "no_id", None),
        pc.if_else(pc.and_not(no_place, counted), "missing_file", None),
    )
    reason = pc.coalesce(reason, *faults)
    first = _first_of_the_id(columns["image_id"], np.flatnonzero(reason.is_null().to_numpy(zero_copy_only=False)))
    reason = pc.coalesce(reason, pc.if_else(pa.array(first >= 0), "duplicate_id", None))
    encoded = reason.dictionary_encode()
    code = encoded.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False) + 1
    return Admission(("", *encoded.dictionary.to_pylist()), code, first)


def details(columns: Columns, judged: Admission, rows: np.ndarray) -> list[str]:
    """What was found in each of some refused records, for a person."""
    index = pa.array(rows)
    ids, problems, said, lats, lons = (
        columns[name].take(index).to_pylist() for name in ("image_id", "problem", "detail", "lat_deg", "lon_deg")
    )
    before = columns["locator"].take(pa.array(np.maximum(judged.first[rows], 0))).to_pylist()
    found = []
    for row, code in enumerate(judged.code[rows]):
        reason, words = judged.reasons[code], ""
        if reason == problems[row]:
            words = ""
        elif reason == "duplicate_id":
            words = f"The id {ids[row]} was given before, for {before[row]}; the first is kept."
        elif reason == "no_coordinate":
            words = "" if said[row] else "The source gives no coordinate."
        elif reason == "no_id":
            words = "The source gives no id."
        elif reason == "missing_file":
            words = "The source does not say where the bytes are."
        else:
            words = f"latitude {lats[row]}, longitude {lons[row]}"
        found.append("; ".join(part for part in (said[row], words) if part))
    return found


def _counted(columns: Columns) -> pa.Array:
    """Photographs of a benchmark whose file is gone: they stay in its denominator; decoding counts them as failed."""
    sets = columns["set_name"].cast(pa.string())
    queries = pc.and_(sets.is_valid(), pc.invert(pc.is_in(sets, pa.array(POOL_SETS))))
    return pc.and_(queries, pc.fill_null(pc.equal(columns["problem"].cast(pa.string()), "missing_file"), False))


def _first_of_the_id(ids: pa.Array, rows: np.ndarray) -> np.ndarray:
    """For each of all rows the earlier one of `rows` with its id, or -1."""
    first = np.full(len(ids), -1, np.int64)
    encoded = ids.take(pa.array(rows)).dictionary_encode()
    if len(encoded.dictionary) < len(rows):
        number = encoded.indices.to_numpy(zero_copy_only=False)
        earliest = np.full(len(encoded.dictionary), -1, np.int64)
        earliest[number[::-1]] = rows[::-1]
        repeated = earliest[number] != rows
        first[rows[repeated]] = earliest[number[repeated]]
    return first
