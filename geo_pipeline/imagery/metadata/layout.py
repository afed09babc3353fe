"""What a metadata file's columns are called and mean, and how a published layout is described as a value.

Reading files belongs to `read`, the layouts of the benchmarks to their entries in `benchmarks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from geo_pipeline.imagery.photograph import schema
from geo_pipeline.imagery.source import SourceError

ALIASES: dict[str, tuple[str, ...]] = {
    "image_id": ("image_id", "img_id", "id", "photo_id"),
    "path": ("path", "file", "filename", "file_name", "image_path"),
    "lat_deg": ("latitude", "lat", "lat_deg"),
    "lon_deg": ("longitude", "lon", "lng", "lon_deg", "long"),
    "author": ("author", "photographer"),
    "credit": ("attribution", "credit"),
    "set_name": ("set_name", "set", "benchmark"),
}
"""Column names that are understood, in order of preference; letter case does not matter."""

METADATA = schema((*ALIASES, "detail", "line"), line=pa.int64())
"""One row per row of the file. Texts are stripped, empty ones null. A coordinate whose cell is empty is null, one that
cannot be read is NaN; `detail` (never null, mostly empty) says why. `line` is where the row begins, counted from 1 (in
Parquet: the number of the row)."""


class ColumnsError(SourceError):
    """A file without the columns that are wanted of it."""


@dataclass(frozen=True)
class MetadataFormat:
    """How a metadata file is laid out, as far as the file itself does not tell. The default: the file tells it all.

    - `columns`: pairs of a column of METADATA and the header that holds it (before ALIASES, in order of preference) or,
      in a file without a header, the number of the column counted from 0.
    - `required`: the same pairs, of headers that the user names: such a column must be there, and no other will do.
    - `header`: False for a file whose first line already is a photograph. Should its first line name a latitude and a
      longitude column all the same, it is read as a header.
    - `delimiter`: None to tell it from the first line; `quote`: False where quotation marks are letters like others.
    - `needs_image`: False when only coordinates are wanted, so that neither an id nor a path column need be there.
    - `author_pattern`: an expression with one group, the part of the author's cell that is the author.
    - `set_name`: the set of the rows that name none; `expected_rows`: how many photographs the published file has.
    """

    columns: tuple[tuple[str, str | int], ...] = ()
    required: tuple[tuple[str, str], ...] = ()
    header: bool = True
    delimiter: str | None = None
    quote: bool = True
    needs_image: bool = True
    author_pattern: str | None = None
    set_name: str | None = None
    expected_rows: int | None = None

    def __post_init__(self) -> None:
        """Refuse columns that are unknown, or numbered beside a header, or named without one."""
        wrong = [known for known, _ in self.columns if known not in ALIASES]
        if wrong:
            raise ValueError(f"found the columns {', '.join(wrong)}; expected some of {', '.join(ALIASES)}.")
        numbers = [column for _, column in self.columns if isinstance(column, int)]
        if not self.header and (len(numbers) != len(self.columns) or min(numbers, default=-1) < 0):
            raise ValueError(
                f"found the columns {self.columns} of a file without a header; expected numbers counted from 0."
            )
        if self.header and numbers:
            raise ValueError(f"found numbered columns {self.columns} of a file with a header; expected header names.")


COORDINATES_ONLY = MetadataFormat(needs_image=False)
"""Any table with a latitude and a longitude column."""


def known_columns(names: Sequence[str], layout: MetadataFormat) -> dict[str, int]:
    """Which column of METADATA stands where under these headers; of equal headers the first counts."""
    by_lower = {name.strip().lower(): number for number, name in reversed(list(enumerate(names)))}
    found, required = {}, dict(layout.required)
    for known, aliases in ALIASES.items():
        if known in required:
            aliases = (required[known].strip().lower(),)
        own = tuple(str(column).lower() for mine, column in layout.columns if mine == known and known not in required)
        number = next((by_lower[name] for name in (*own, *aliases) if name in by_lower), None)
        if number is not None:
            found[known] = number
    return found


def is_header(names: Sequence[str]) -> bool:
    """Whether a line names a latitude and a longitude column."""
    return {"lat_deg", "lon_deg"} <= known_columns(names, MetadataFormat()).keys()


def wanted_columns(names: Sequence[str], layout: MetadataFormat, where: str) -> dict[str, int]:
    """`known_columns`; `SourceError` when coordinates or images cannot be told, or a wanted column is there twice."""
    found = known_columns(names, layout)
    lower = [name.strip().lower() for name in names]
    twice = [number for number in found.values() if lower.count(lower[number]) > 1]
    if twice:
        alike = [name for name in names if name.strip().lower() == lower[twice[0]]]
        raise SourceError(
            f"{where}: found the columns {' and '.join(_shown(name) for name in alike)}; expected one of that name, "
            "whatever its letter case, for which of them counts cannot be told. Rename or remove the others."
        )
    listed = ", ".join(_shown(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
    for known, header in layout.required:
        if known not in found:
            raise ColumnsError(
                f"{where}: found the columns {listed or '(none)'}; expected {header!r}, which was named for {known}. "
                "Name a column that is there."
            )
    missing = [known for known in ("lat_deg", "lon_deg") if known not in found]
    if layout.needs_image and "image_id" not in found and "path" not in found:
        missing.append("image_id or path")
    if not missing:
        return found
    understood = "; ".join(f"{known}: {', '.join(aliases)}" for known, aliases in ALIASES.items())
    raise ColumnsError(
        f"{where}: found the columns {listed or '(none)'}; no column for {', '.join(missing)}. Understood are (in any "
        f"letter case) {understood}. Rename the columns{_headerless(names)}."
    )


def _headerless(names: Sequence[str]) -> str:
    """Advice for a first line with numbers in it."""
    numbers = [name for name in names if name.strip().lstrip("+-").replace(".", "", 1).isdigit()]
    return ", or write a header line above the first photograph" if numbers else ""


def _shown(name: str) -> str:
    """A header for a message: short, and without characters that cannot be printed."""
    return name.strip()[:40] if name.isprintable() else repr(name.strip()[:40])
