"""What is known of a photograph before the catalogue: every column once, with its type and meaning.

The tables on the way (what a container or a folder holds, what a metadata file says, the listing of a source) name the
columns they carry and take them from here. The catalogue and all later tables have contracts.
"""

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """The Arrow type of a column, and what a value says."""

    type: pa.DataType
    meaning: str


COLUMNS: dict[str, Column] = {
    "image_id": Column(pa.string(), "Identifier of the photograph; null where the source gives none."),
    "name": Column(pa.string(), "Path with forward slashes, relative to the source or to its container."),
    "path": Column(pa.string(), "Path of the photograph as a metadata file writes it."),
    "locator": Column(pa.string(), "Where its source reads the bytes."),
    "stamp": Column(pa.string(), "Changes when the bytes change: size and time of a file, a digest of a tar's member."),
    "block": Column(
        pa.string(), "Piece of a larger file whose photographs are read together; null: a file of its own."
    ),
    "author": Column(pa.string(), "Author, where known."),
    "lat_deg": Column(pa.float64(), "Latitude in degrees, unchecked; NaN where it is written but cannot be read."),
    "lon_deg": Column(pa.float64(), "Longitude in degrees, unchecked; NaN where it is written but cannot be read."),
    "credit": Column(pa.string(), "Attribution that its licence asks for, where known."),
    "set_name": Column(pa.string(), "Set that the source fixes; null where it fixes none."),
    "problem": Column(pa.string(), "Machine word why the photograph cannot be used; null where nothing is known."),
    "detail": Column(pa.string(), "The problem, or what could not be read, for a person; mostly empty."),
    "first_bytes_kind": Column(pa.string(), "Kind of file that the first bytes show; null where they were not read."),
}
"""All columns that a photograph may have on its way to the catalogue."""

DESCRIBED = ("image_id", "author", "lat_deg", "lon_deg", "credit", "set_name")
"""What may be written beside a photograph: in its container, its sidecar or a metadata file."""

DESCRIBED_TEXTS = tuple(name for name in DESCRIBED if COLUMNS[name].type == pa.string())
"""Those of DESCRIBED that are texts."""


def schema(names: Iterable[str], **other: pa.DataType) -> pa.Schema:
    """Arrow fields of these columns in this order; `other` gives the types of columns that only one table has.

    KeyError for a name that is neither in COLUMNS nor in `other`.
    """
    return pa.schema([(name, other[name] if name in other else COLUMNS[name].type) for name in names])
