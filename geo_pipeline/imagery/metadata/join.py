"""Joins the rows of a metadata file with the photographs that a source found: one record per row, none lost.

Reading the file belongs to `read`, finding the photographs to the readers of each kind of source, which names mean
the same photograph to `names`, judging coordinates to `catalogue`.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.metadata.names import AMBIGUOUS, UNMATCHED, Find, composed, normal, steps_by_id, steps_by_path
from geo_pipeline.imagery.photograph import DESCRIBED, schema
from geo_pipeline.imagery.source import LISTING

ENTRIES = schema(("name", "locator", "stamp", "block", "first_bytes_kind", "problem", "detail", *DESCRIBED))
"""What a source found, one row per photograph: its name, where it is read, what is wrong with it already, and what is
written beside it (null where nothing is)."""

_PROBLEMS = pa.array([None, "ambiguous_file", "missing_file", "duplicate_file", "no_coordinate"])
_WORDS = (
    "",
    "Which photograph {} means cannot be told: several have that name, or several rows name one. Give a path column.",
    "found no photograph named {}.",
    "An earlier row, or one that names it more exactly, has the photograph {}.",
    "",
)
_AMBIGUOUS, _MISSING, _DUPLICATE, _NO_COORDINATE = 1, 2, 3, 4


class Claim(NamedTuple):
    """Which entry each row means: `entry` (rows,) int64 or UNMATCHED, AMBIGUOUS; `step` (rows,): how far it was sought.

    Small steps compare whole names, later ones parts of them.
    """

    entry: np.ndarray
    step: np.ndarray


class _Texts(NamedTuple):
    """What is compared: of the rows paths and ids; of the entries names, ids, and paths as the metadata writes them."""

    path: pa.Array
    image_id: pa.Array
    names: pa.Array
    ids: pa.Array
    paths: pa.Array | None


def from_entries(entries: pa.Table) -> pa.Table:
    """The listing (LISTING) of a source without a metadata file: what is written beside each photograph counts.

    The id is the one written beside it, else its name. Without both coordinates the problem is `no_coordinate`.
    """
    located = pc.and_(pc.is_valid(entries["lat_deg"]), pc.is_valid(entries["lon_deg"]))
    lacking = pc.and_(pc.is_null(entries["problem"]), pc.invert(located))
    columns = {name: entries[name] for name in LISTING.names if name in ENTRIES.names}
    columns["image_id"] = pc.coalesce(entries["image_id"], entries["name"])
    columns["problem"] = pc.if_else(lacking, "no_coordinate", entries["problem"])
    detail = pc.fill_null(entries["detail"], "")
    wordless = pc.and_(lacking, pc.equal(detail, ""))
    columns["detail"] = pc.if_else(wordless, "No latitude and longitude stand beside it.", detail)
    return _listing(columns)


def joined(metadata: pa.Table, entries: pa.Table, paths: pa.Array | pa.ChunkedArray | None = None) -> pa.Table:
    """The listing (LISTING): a record per row of `metadata` (METADATA), in its order, then the entries it leaves out.

    A row means the entry that its path names, or its id where it has no path or where no path of the file is found (see
    `names`). `paths` gives each entry's path as this metadata file would write it, where that is not its name (a
    metadata file that lies outside the folder of images). What the metadata leaves empty is taken from the entry.

    Problems: `missing_file`, `ambiguous_file`, `duplicate_file` (another row has the same photograph; rows with a
    coordinate go before rows without, whole names before parts of names, earlier rows before later ones), the entry's
    own problem, `no_coordinate`; `no_metadata` for an entry that no row names.
    """
    metadata, entries = metadata.combine_chunks(), entries.combine_chunks()
    claim = _claims(metadata, entries, None if paths is None else normal(_whole(paths)))
    return pa.concat_tables([_row_records(metadata, entries, claim), _unnamed(entries, claim)])


def _claims(metadata: pa.Table, entries: pa.Table, paths: pa.Array | None) -> Claim:
    """The first step in which a row finds an entry decides; several entries in it are ambiguous.

    All steps are made with the names as they are, then with composed ones where that makes a difference.
    """
    claim = Claim(np.full(len(metadata), UNMATCHED, np.int64), np.zeros(len(metadata), np.int8))
    if not len(entries):
        return claim
    path, image_id = normal(_whole(metadata["path"])), _whole(metadata["image_id"])
    given = _Texts(path, image_id, _whole(entries["name"]), _whole(entries["image_id"]), paths)
    number = _all_steps(claim, given, 0)
    same_letters = _Texts(*(None if each is None else composed(each) for each in given))
    if any(each is not other for each, other in zip(given, same_letters, strict=True)):
        _all_steps(claim, same_letters, number)
    return claim


def _all_steps(claim: Claim, texts: _Texts, number: int) -> int:
    """Seek by path, then by id; steps are numbered from `number`, the next number is returned."""
    path, image_id, names, ids, paths = texts
    has_path = _mask(pc.is_valid(path))
    for find in steps_by_path(names, paths):
        _seek(claim, path, has_path, find, number)
        number += 1
    by_id = ~has_path if (claim.entry[has_path] != UNMATCHED).any() else np.ones(len(path), bool)
    by_id &= _mask(pc.is_valid(image_id))
    for find in steps_by_id(names, ids):
        _seek(claim, image_id, by_id, find, number)
        number += 1
    return number


def _seek(claim: Claim, wanted: pa.Array, rows: np.ndarray, find: Find, number: int) -> None:
    open_rows = np.flatnonzero(rows & (claim.entry == UNMATCHED))
    if len(open_rows):
        claim.entry[open_rows] = find(wanted if len(open_rows) == len(wanted) else wanted.take(pa.array(open_rows)))
        claim.step[open_rows] = number


def _row_records(metadata: pa.Table, entries: pa.Table, claim: Claim) -> pa.Table:
    """A record of LISTING per row of the metadata."""
    has = claim.entry >= 0
    index = pa.array(np.where(has, claim.entry, 0), mask=~has)
    entry = {name: _taken(entries[name], index) for name in ENTRIES.names}
    written = _filled(metadata["path"], metadata["image_id"])
    columns = {name: entry[name] for name in ("first_bytes_kind", "stamp", "block")}
    columns["locator"] = pc.fill_null(_filled(entry["locator"], written), "")
    columns |= {name: _filled(metadata[name], entry[name]) for name in ("author", "credit", "set_name")}
    columns["image_id"] = _filled(metadata["image_id"], entry["image_id"], entry["name"], written)
    neither = pc.and_(pc.is_null(metadata["lat_deg"]), pc.is_null(metadata["lon_deg"]))
    beside = pc.and_(neither, pc.is_valid(entry["lat_deg"]))
    columns |= {name: pc.if_else(beside, entry[name], metadata[name]) for name in ("lat_deg", "lon_deg")}
    unknown = _mask(pc.or_(pc.is_null(columns["lat_deg"]), pc.is_null(columns["lon_deg"])))
    code = np.zeros(len(metadata), np.int8)
    code[unknown] = _NO_COORDINATE
    own = _mask(pc.is_valid(entry["problem"]))
    code[own] = 0
    unreadable = unknown | ~np.isfinite(_whole(columns["lat_deg"]).to_numpy(zero_copy_only=False))
    code[_duplicates(claim, unreadable)] = _DUPLICATE
    code[claim.entry == UNMATCHED] = _MISSING
    code[claim.entry == AMBIGUOUS] = _AMBIGUOUS
    columns["problem"] = _filled(_PROBLEMS.take(pa.array(code)), entry["problem"])
    columns["detail"] = _detail(code, own, metadata, entry, written)
    return _listing(columns)


def _detail(
    code: np.ndarray, own: np.ndarray, metadata: pa.Table, entry: dict[str, pa.Array], written: pa.Array
) -> pa.Array:
    """What the metadata said of the row, with what the join found before it; words are made only where they are due."""
    detail = pc.fill_null(_whole(metadata["detail"]), "")
    at = np.flatnonzero((code != 0) & (code != _NO_COORDINATE) | own)
    if not len(at):
        return detail
    rows = pa.array(at)
    names = pc.fill_null(_whole(written).take(rows), "(no id and no path)").to_pylist()
    said = detail.take(rows).to_pylist()
    of_entry = pc.fill_null(entry["detail"].take(rows), "").to_pylist()
    words = [
        " ".join(part for part in (_WORDS[number].format(name) if number else beside, line) if part)
        for number, name, beside, line in zip(code[at].tolist(), names, of_entry, said, strict=True)
    ]
    mask = np.zeros(len(code), bool)
    mask[at] = True
    return pc.replace_with_mask(detail, pa.array(mask), pa.array(words, pa.string()))


def _duplicates(claim: Claim, unreadable: np.ndarray) -> np.ndarray:
    """Numbers of the rows whose entry another row has already, by the order that `joined` tells."""
    rows = np.flatnonzero(claim.entry >= 0)
    entry = claim.entry[rows]
    if not len(rows):
        return rows
    rows = rows[np.bincount(entry)[entry] > 1]
    entry = claim.entry[rows]
    order = np.lexsort((rows, claim.step[rows], unreadable[rows], entry))
    return rows[order[1:]][entry[order][1:] == entry[order][:-1]]


def _unnamed(entries: pa.Table, claim: Claim) -> pa.Table:
    """Records of the entries that no row names."""
    named = np.zeros(len(entries), bool)
    named[claim.entry[claim.entry >= 0]] = True
    left = entries.filter(pa.array(~named))
    columns = {name: left[name] for name in LISTING.names if name in ENTRIES.names}
    columns["image_id"] = pc.coalesce(left["image_id"], left["name"])
    own = pc.is_valid(left["problem"])
    columns["problem"] = pc.fill_null(left["problem"], "no_metadata")
    columns["detail"] = pc.if_else(own, pc.fill_null(left["detail"], ""), "No row of the metadata names it.")
    return _listing(columns)


def _listing(columns: dict[str, pa.ChunkedArray]) -> pa.Table:
    return pa.table({name: columns[name] for name in LISTING.names}, schema=LISTING)


def _taken(column: pa.ChunkedArray, index: pa.Array) -> pa.Array:
    """Values by row number; a column without values costs nothing."""
    if column.null_count == len(column):
        return pa.nulls(len(index), column.type)
    return _whole(column).take(index)


def _filled(first: pa.Array, *others: pa.Array) -> pa.Array:
    """The first value that is not null; columns that change nothing are left alone."""
    if not first.null_count or not others:
        return first
    useful = [each for each in others if each.null_count < len(each)]
    return pc.coalesce(first, *useful) if useful else first


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _mask(flags: pa.Array | pa.ChunkedArray) -> np.ndarray:
    mask: np.ndarray = flags.to_numpy(zero_copy_only=False) if isinstance(flags, pa.Array) else flags.to_numpy()
    return mask
