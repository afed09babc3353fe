"""Files of a folder that are photographs by their first bytes and not by their names.

One without any ending counts as a photograph; digits behind a dot are none. One whose ending goes on (`a.jpg_orig`,
`a.jpg~`) or may be anybody's (`.orig`, `.dat`) is a copy where a photograph of the same stem lies beside it, and is
passed over; else it is set aside with a problem, so that nothing is lost in silence. Listing files belongs to
`stores.files`, the folder as a source to `folder`.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES, Files
from geo_pipeline.imagery.stores.store import FOUND

_ENDINGS = "|".join(re.escape(suffix) for suffix in IMAGE_SUFFIXES)
_PLAIN = f"(?i)/$|({_ENDINGS})$"
_BARE = r"(^|/)[^/.]+$|\.[^A-Za-z/][^./]*$|\.$"
_GOES_ON = f"(?i)^(?P<stem>.*?)(?:{_ENDINGS})[^A-Za-z0-9/][^/]*$"
_OTHER = r"^(?P<stem>.*?)\.[A-Za-z][^./]*$"
_OF_OTHERS = (
    "json|jsonl|ndjson|geojson|csv|tsv|txt|md|rst|xml|xmp|html|htm|yaml|yml|toml|ini|cfg|log|url|lnk|lock|md5|sha256",
    "parquet|arrow|feather|npy|npz|pkl|pickle|pt|pth|onnx|safetensors|h5|hdf5|mat|db|sqlite|duckdb|msg|msgpack|idx",
    "tar|gz|tgz|zip|bz2|xz|7z|zst|rar|pdf|svg|eps|ai|psd|xcf|doc|docx|xls|xlsx|ppt|pptx|py|ipynb|sh|js|css|c|h|java|go|rs",
    "mp4|mov|avi|mkv|m4v|3gp|webm|mts|lrv|thm|mp3|wav|m4a|aac|ogg|aae|gpx|kml",
    "dng|arw|cr2|cr3|nef|nrw|orf|rw2|rwl|raf|srw|pef|raw|3fr|erf|iiq|kdc|mef|mos|x3f",
)
"""Endings of tables, texts, archives, programs, films and their stills, and of raw files: never looked into."""
_NAMED_OTHERWISE = rf"(?i)\.({'|'.join(_OF_OTHERS)})$"
_KINDS = ("jpeg", "png", "gif", "webp", "heif", "avif", "jpeg2000", "tiff")
"""What first bytes tell surely; any text may begin as a BMP."""
LOOKED_AT = 64
"""First bytes that are read to tell."""


def candidates(found: pa.Table) -> pa.Table:
    """The files (files.FOUND) that are photographs by name, or may be by their bytes; in the same order."""
    names = found["name"]
    plain = pc.match_substring_regex(names, _PLAIN)
    bare = _unended(names)
    stems = pc.replace_substring_regex(names.filter(plain), f"(?i)({_ENDINGS})$", "")
    stem = pc.coalesce(*(pc.struct_field(pc.extract_regex(names, each), "stem") for each in (_GOES_ON, _OTHER)))
    alone = pc.and_(pc.is_valid(stem), pc.invert(pc.is_in(stem, stems)))
    odd = pc.and_(alone, pc.invert(pc.match_substring_regex(names, _NAMED_OTHERWISE)))
    return found.filter(pc.or_(plain, pc.or_(bare, odd)))


def photographs(found: pa.Table, files: Files) -> pa.Table:
    """Of the `candidates`, those that are photographs; `unknown_ending` is the problem of those with another ending.

    Reads the first bytes of the files that their names do not tell.
    """
    asked = pc.and_(pc.is_null(found["problem"]), pc.invert(pc.match_substring_regex(found["name"], _PLAIN)))
    rows = np.flatnonzero(asked.to_numpy())
    if not len(rows):
        return found
    chosen = found.take(pa.array(rows))
    names, sizes = chosen["name"].to_pylist(), chosen["size"].to_pylist()
    bare = _unended(chosen["name"]).to_pylist()
    wanted = [(name, 0, LOOKED_AT if size >= LOOKED_AT else None) for name, size in zip(names, sizes, strict=True)]
    kept, problems = np.ones(len(found), bool), found["problem"].to_pylist()
    for row, unended, start in zip(rows.tolist(), bare, files.read_ranges(wanted), strict=True):
        kept[row] = isinstance(start, bytes) and begins_as_photograph(start)
        if not unended:
            problems[row] = "unknown_ending"
    column = pa.array(problems, pa.string())
    return found.set_column(FOUND.get_field_index("problem"), "problem", column).filter(pa.array(kept))


def _unended(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether names have no ending of any kind, not even one behind that of a photograph (`a.jpg.1`)."""
    return pc.and_(pc.match_substring_regex(names, _BARE), pc.invert(pc.match_substring_regex(names, _GOES_ON)))


def is_unended(name: str) -> bool:
    """Whether a single name has no ending of any kind."""
    return re.search(_BARE, name) is not None and re.search(_GOES_ON, name) is None


def odd_stem(name: str) -> str | None:
    """What stands before an ending that may be anybody's; None for a name that ends as photographs do, or as others."""
    if re.search(_PLAIN, name) or re.search(_NAMED_OTHERWISE, name):
        return None
    match = re.search(_GOES_ON, name) or re.search(_OTHER, name)
    return None if match is None else match["stem"]


def begins_as_photograph(start: bytes) -> bool:
    """Whether first bytes tell surely that a photograph follows."""
    return first_bytes_kind(start) in _KINDS
