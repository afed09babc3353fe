"""Files of a folder that are photographs by their first bytes and not by their names.

One without any ending counts as a photograph. One whose ending goes on (`a.jpg_orig`, `a.jpg~`) is a copy where the
plain name lies beside it, and is passed over; else it is set aside with a problem, so that nothing is lost in silence.
Listing files belongs to `stores.files`, the folder as a source to `folder`.
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
_BARE = r"(^|/)[^/.]+$"
_GOES_ON = f"(?i)^(?P<plain>.*?(?:{_ENDINGS}))[^A-Za-z0-9/][^/]*$"
_KINDS = ("jpeg", "png", "gif", "webp", "heif", "avif", "jpeg2000")
"""What first bytes tell surely; raw files of cameras begin as a TIFF, and any text may begin as a BMP."""
_LOOKED_AT = 64


def candidates(found: pa.Table) -> pa.Table:
    """The files (files.FOUND) that are photographs by name, or may be by their bytes; in the same order."""
    names = found["name"]
    plain = pc.match_substring_regex(names, _PLAIN)
    goes_on = pc.struct_field(pc.extract_regex(names, _GOES_ON), "plain")
    alone = pc.and_(pc.is_valid(goes_on), pc.invert(pc.is_in(goes_on, names)))
    return found.filter(pc.or_(plain, pc.or_(pc.match_substring_regex(names, _BARE), alone)))


def photographs(found: pa.Table, files: Files) -> pa.Table:
    """Of the `candidates`, those that are photographs; `unknown_ending` is the problem of those whose ending goes on.

    Reads the first bytes of the files that their names do not tell.
    """
    asked = pc.and_(pc.is_null(found["problem"]), pc.invert(pc.match_substring_regex(found["name"], _PLAIN)))
    rows = np.flatnonzero(asked.to_numpy())
    if not len(rows):
        return found
    chosen = found.take(pa.array(rows))
    names, sizes = chosen["name"].to_pylist(), chosen["size"].to_pylist()
    wanted = [(name, 0, _LOOKED_AT if size >= _LOOKED_AT else None) for name, size in zip(names, sizes, strict=True)]
    kept, problems = np.ones(len(found), bool), found["problem"].to_pylist()
    for row, name, start in zip(rows.tolist(), names, files.read_ranges(wanted), strict=True):
        kept[row] = isinstance(start, bytes) and first_bytes_kind(start) in _KINDS
        if "." in name.rpartition("/")[2]:
            problems[row] = "unknown_ending"
    column = pa.array(problems, pa.string())
    return found.set_column(FOUND.get_field_index("problem"), "problem", column).filter(pa.array(kept))
