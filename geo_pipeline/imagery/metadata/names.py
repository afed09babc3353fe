"""Which names mean the same photograph: a path or an id in a metadata file, and the name under which a source keeps it.

Every step looks for texts among the names in one way, exact ways first. What follows from a match belongs to `join`.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UNMATCHED, AMBIGUOUS = -1, -2
Find = Callable[[pa.Array], np.ndarray]
"""From wanted texts (no nulls) to the number of the name that each means, int64, or UNMATCHED, AMBIGUOUS."""
_DEEPEST = 12
"""Folders above a name that are looked at when one name may be the end of another."""
_SUFFIX = r"\.[A-Za-z0-9]{1,5}$"
_FLICKR = r"^.*?(\d+_[0-9a-f]{10}_\d+_\d+@N\d\d)\b.*$"
"""IM2GPS's own part of a name, behind a place and a number (`Rome_00024_`) that some copies have and others lack."""


def steps_by_path(names: pa.Array, paths: pa.Array | None) -> Iterator[Find]:
    """Ways to find a path.

    As the metadata writes it, as it is, as the end of a name, with a name as its end, and as the end of a name whose
    suffix has letters of another size (`.JPG`).
    """
    if paths is not None:
        yield lambda wanted: find(wanted, paths)
    yield lambda wanted: find(wanted, names)
    yield lambda wanted: find_ending(wanted, names)
    yield lambda wanted: find_beginning_above(wanted, names)
    yield lambda wanted: _unshared(find_ending(_small_suffix(wanted), _small_suffix(names)), wanted)


def steps_by_id(names: pa.Array, ids: pa.Array) -> Iterator[Find]:
    """Ways to find an id, exact ones first.

    It is the name, or the id written beside the photograph; the end of a name at a slash (its last part, for instance);
    the same without the name's suffix; a name in which underscores stand for the id's slashes (MP16-Pro); the same
    photograph of Flickr with or without a place before it (IM2GPS); it has the name as its end; either is the end of
    the other but for the suffix. In the last three different ids may mean one name: then none of them does.
    """
    yield lambda wanted: find(wanted, names)
    if ids.null_count < len(ids):
        yield lambda wanted: find(wanted, ids)
    yield lambda wanted: find_ending(wanted, names)
    yield lambda wanted: find_ending(wanted, bare(names))
    yield lambda wanted: _find_flat(wanted, names)
    yield lambda wanted: _find_flickr(wanted, names)
    yield lambda wanted: find_beginning_above(wanted, names)
    yield lambda wanted: _unshared(find_ending(bare(wanted), bare(names)), wanted)
    yield lambda wanted: find_beginning_above(bare(wanted), bare(names))


def find(wanted: pa.Array, keys: pa.Array) -> np.ndarray:
    """The number of the key that equals each wanted text; null equals nothing."""
    encoded = wanted.dictionary_encode()
    hits = _ints(pc.index_in(keys, value_set=encoded.dictionary, skip_nulls=True))
    at = np.flatnonzero(hits >= 0)
    meant = np.full(len(encoded.dictionary) + 1, UNMATCHED, np.int64)  # the last is for null
    meant[hits[at]] = at
    count = np.bincount(hits[at], minlength=len(meant))
    meant[count > 1] = AMBIGUOUS
    return meant[_ints(encoded.indices)]


def find_ending(wanted: pa.Array, names: pa.Array) -> np.ndarray:
    """The name that ends in each wanted text, at a slash or as a whole."""
    found = np.full(len(wanted), UNMATCHED, np.int64)
    depths = _depths(wanted)
    for depth in np.unique(depths[depths < _DEEPEST]).tolist():
        rows = np.flatnonzero(depths == depth)
        found[rows] = find(wanted.take(pa.array(rows)), last(names, depth + 1))
    return found


def find_beginning_above(wanted: pa.Array, names: pa.Array) -> np.ndarray:
    """The name in which each wanted text ends, at a slash: the name lacks folders that the text has."""
    found = np.full(len(wanted), UNMATCHED, np.int64)
    depths, wanted_depths = _depths(names), _depths(wanted)
    for depth in np.unique(depths[depths < _DEEPEST])[::-1].tolist():
        rows = np.flatnonzero((wanted_depths > depth) & (found == UNMATCHED))
        if len(rows):
            numbers = np.flatnonzero(depths == depth)
            inner = find(last(wanted.take(pa.array(rows)), depth + 1), names.take(pa.array(numbers)))
            found[rows] = np.where(inner >= 0, numbers[np.maximum(inner, 0)], inner)
    return _unshared(found, wanted)


def _unshared(found: np.ndarray, wanted: pa.Array) -> np.ndarray:
    """Matches, but AMBIGUOUS where different texts mean one name."""
    rows = np.flatnonzero(found >= 0)
    if not len(rows):
        return found
    texts, size = _ints(wanted.dictionary_encode().indices)[rows], int(found.max()) + 1
    least, most = np.full(size, len(found), np.int64), np.full(size, -1, np.int64)
    np.minimum.at(least, found[rows], texts)
    np.maximum.at(most, found[rows], texts)
    shared = (least < most)[found[rows]]
    found[rows[shared]] = AMBIGUOUS
    return found


def normal(paths: pa.Array) -> pa.Array:
    """Paths with forward slashes and without `./` in front or `//` inside."""
    if not pc.any(pc.match_substring_regex(paths, r"\\|//|^\./")).as_py():
        return paths
    return pc.replace_substring_regex(
        pc.replace_substring_regex(pc.replace_substring(paths, "\\", "/"), "/+", "/"), r"^(\./)+", ""
    )


def composed(texts: pa.Array) -> pa.Array:
    """Texts with letters and their marks as one character (NFC): macOS writes the names of files decomposed."""
    if pc.all(pc.string_is_ascii(texts)).as_py() is not False:
        return texts
    return pc.utf8_normalize(texts, form="NFC")


def last(paths: pa.Array, parts: int = 1) -> pa.Array:
    """The last parts of paths; shorter paths stay whole."""
    folders = "[^/]*/" * (parts - 1)
    return pc.replace_substring_regex(paths, f"^.*/({folders}[^/]*)$", r"\1")


def bare(paths: pa.Array) -> pa.Array:
    """Paths without a suffix."""
    return pc.replace_substring_regex(paths, _SUFFIX, "")


def _small_suffix(paths: pa.Array) -> pa.Array:
    """Paths with the suffix in small letters."""
    stems = bare(paths)
    suffixes = pc.utf8_lower(paths)
    return pc.binary_join_element_wise(
        stems, pc.replace_substring_regex(suffixes, r"^.*?(\.[a-z0-9]{1,5})?$", r"\1"), ""
    )


def _find_flat(wanted: pa.Array, names: pa.Array) -> np.ndarray:
    flat, short = pc.replace_substring(wanted, "/", "_"), last(names)
    found = find(flat, short)
    rows = np.flatnonzero(found == UNMATCHED)
    found[rows] = find(flat.take(pa.array(rows)), bare(short))
    return found


def _find_flickr(wanted: pa.Array, names: pa.Array) -> np.ndarray:
    found = np.full(len(wanted), UNMATCHED, np.int64)
    rows = np.flatnonzero(pc.match_substring_regex(wanted, _FLICKR).to_numpy(zero_copy_only=False))
    if len(rows):
        parts = pc.replace_substring_regex(wanted.take(pa.array(rows)), _FLICKR, r"\1")
        found[rows] = find(parts, pc.replace_substring_regex(names, _FLICKR, r"\1"))
    return found


def _depths(paths: pa.Array) -> np.ndarray:
    """Number of slashes of each path."""
    return _ints(pc.count_substring(paths, "/"))


def _ints(column: pa.Array) -> np.ndarray:
    """Whole numbers, -1 for null."""
    return np.asarray(pc.fill_null(column, -1).to_numpy(zero_copy_only=False), np.int64)
