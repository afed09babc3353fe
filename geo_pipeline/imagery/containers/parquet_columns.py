"""Which columns of a Parquet file hold the photographs and what stands beside them, and the values of a batch.

Opening the file and reading its row groups belongs to `parquet_files`, files of metadata alone to `metadata`.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.containers.inline_values import degrees_of, text_of
from geo_pipeline.imagery.metadata.read import ALIASES
from geo_pipeline.imagery.photograph import DESCRIBED, DESCRIBED_TEXTS
from geo_pipeline.imagery.source import SourceError

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "photo", "picture", "image_bytes", "bytes", "data")
"""Names of the column with the photographs, in order of preference; letter case does not matter."""


class WrongColumnsError(SourceError):
    """A Parquet file without a column of photographs, or with two columns of one name."""


@dataclass(frozen=True)
class ImageColumns:
    """The columns that are read: the one with the images, its leaf of bytes, its leaf of paths, known ones by name.

    For plain bytes the column is its own leaf. `known` maps names of `metadata.ALIASES` to the file's own.
    """

    image: str
    bytes_leaf: str
    path_leaf: str | None
    known: dict[str, str]

    @property
    def beside(self) -> list[str]:
        """Every leaf that is read but the images' bytes."""
        return [*([self.path_leaf] if self.path_leaf else []), *self.known.values()]

    def images(self, batch: pa.RecordBatch) -> pa.Array:
        """The bytes of each image; a null image is null."""
        column = batch.column(batch.schema.get_field_index(self.image))
        return column if self.bytes_leaf == self.image else _part(column, self.bytes_leaf)

    def facts(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """What stands beside each image: fields of an `Entry`; `name` is the path, else the id, else None."""
        values = {key: _values(batch.column(batch.schema.get_field_index(name))) for key, name in self.known.items()}
        if self.path_leaf is not None:
            inner = _values(_part(batch.column(batch.schema.get_field_index(self.image)), self.path_leaf))
            outer = values.get("path", [None] * len(inner))
            values["path"] = [text_of(path) or text_of(other) for path, other in zip(inner, outer, strict=True)]
        empty: list[Any] = [None] * batch.num_rows
        rows = zip(*(values.get(key, empty) for key in ("path", *DESCRIBED)), strict=True)
        return [_facts(*row) for row in rows]


def image_columns(schema: pa.Schema, name: str) -> ImageColumns:
    """The columns to read of the file `name`; `WrongColumnsError` lists those found when none holds photographs."""
    twice = sorted({field.name for field in schema if len(schema.get_all_field_indices(field.name)) > 1})
    if twice:
        raise WrongColumnsError(
            f"{name}: found two columns named {', '.join(twice)}; expected each once. Rename one of them."
        )
    by_lower = {field.name.strip().lower(): field for field in schema}
    known = {
        key: by_lower[alias].name
        for key, aliases in ALIASES.items()
        if (alias := next((alias for alias in aliases if alias in by_lower), None)) is not None
        and _is_plain(by_lower[alias].type)
    }
    alike = Counter(field.name.strip().lower() for field in schema)
    image = next((wanted for wanted in IMAGE_COLUMNS if wanted in alike), "")
    for column in (image, *(column.strip().lower() for column in known.values())):
        if alike[column] > 1:
            words = " or ".join(sorted((f.name for f in schema if f.name.strip().lower() == column), reverse=True))
            raise WrongColumnsError(f"{name}: found two columns named {words}; expected one. Rename one of them.")
    for wanted in IMAGE_COLUMNS:
        field = by_lower.get(wanted)
        if field is None:
            continue
        if _is_bytes(field.type):
            return ImageColumns(field.name, field.name, None, known)
        inner = {part.name.lower(): part for part in field.type} if pa.types.is_struct(field.type) else {}
        if "bytes" in inner and _is_bytes(inner["bytes"].type):
            path = f"{field.name}.{inner['path'].name}" if "path" in inner and _is_plain(inner["path"].type) else None
            return ImageColumns(field.name, f"{field.name}.{inner['bytes'].name}", path, known)
    found = ", ".join(f"{field.name} ({field.type})" for field in list(schema)[:40]) or "(none)"
    raise WrongColumnsError(
        f"{name}: found the columns {found}; expected the photographs in a column named {', '.join(IMAGE_COLUMNS)} of "
        "type binary, or of type struct with bytes and path as Hugging Face writes it. Rename the column; a file of "
        "metadata alone goes to --metadata."
    )


def _part(column: pa.Array, leaf: str) -> pa.Array:
    """One field of a struct column, null where the struct is."""
    return pc.struct_field(column, leaf.rpartition(".")[2])


def _values(column: pa.Array) -> list[Any]:
    """Values of a plain column; text as bytes, for `text_of` also takes what is no UTF-8."""
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return (column.cast(pa.large_binary()) if _is_text(column.type) else column).to_pylist()


def _facts(path: object, *described: object) -> dict[str, Any]:
    """Fields of an `Entry` from the values of one row, the path and those of DESCRIBED."""
    values = dict(zip(DESCRIBED, described, strict=True))
    lat_deg, lat_detail = degrees_of(values["lat_deg"], "latitude")
    lon_deg, lon_detail = degrees_of(values["lon_deg"], "longitude")
    texts = {name: text_of(values[name]) for name in DESCRIBED_TEXTS}
    return {
        "name": text_of(path) or texts["image_id"],
        "detail": "; ".join(part for part in (lat_detail, lon_detail) if part),
        "lat_deg": lat_deg,
        "lon_deg": lon_deg,
        **texts,
    }


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_plain(kind: pa.DataType) -> bool:
    """Types whose values are one text or one number, each for itself or from a dictionary."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(number or _is_bytes(kind) or _is_text(kind))
