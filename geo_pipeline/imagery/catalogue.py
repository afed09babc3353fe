"""Makes the catalogue: every usable record of a source with its place, set and shard; all others go to quarantine.

Reading the source belongs to its own module, who is refused to `admission`, the rule of the sets to `split`, that of
the shards to `shard_plan`, the pixels to `ingest`.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.cell_numbers import tokens
from geo_pipeline.earth.cells import cell_ids
from geo_pipeline.imagery.admission import Admission, Columns, admission, columns_of, details
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.imagery.source import Source, SourceError
from geo_pipeline.imagery.split import SplitConfig, assign_sets
from geo_pipeline.imagery.stable_hash import stable_hashes

PLACE_LEVEL = 10
"""S2 level of a place: cells of about 10 km."""
_SHOWN_REASONS = 3
_OFFSET = r"![^\n]*@(?P<offset>[0-9]{1,18})\+[0-9]{1,18}$"
"""The byte offset (Parquet: the row) in the locator of a photograph inside a larger file."""


class EmptyCatalogueError(SourceError):
    """Nothing of the source can be used."""


@dataclass(frozen=True)
class Catalogue:
    """Every record of a source in its shard; the tables of a shard are cut when they are asked for.

    `columns` hold the listing (N rows), `order` (N,) its rows by shard, `places` and `sets` those of the K admitted
    records in the order of `admission.admitted`.
    """

    plan: ShardPlan
    columns: Columns
    judged: Admission
    order: np.ndarray
    starts: np.ndarray
    places: pa.DictionaryArray
    sets: pa.DictionaryArray

    @property
    def rows(self) -> int:
        """Records that are kept."""
        return len(self.sets)

    @property
    def rejected(self) -> int:
        """Records that are refused."""
        return len(self.order) - self.rows

    def kept(self, key: str) -> pa.Table:
        """The table `catalogue` of one shard, in order of image_id; storing it holds it to its contract."""
        rows = self._rows(key, admitted=True)
        rows = rows[pc.sort_indices(self._taken("image_id", rows)).to_numpy()]
        ids, locators, place = self._taken("image_id", rows), self._taken("locator", rows), self._position[rows]
        locators = pc.if_else(pc.equal(pc.fill_null(locators, ""), ""), ids, locators)
        columns = {
            "image_id": ids,
            "locator": locators,
            "source_offset": pc.struct_field(pc.extract_regex(locators, _OFFSET), "offset").cast(pa.int64()),
            "author": self._taken("author", rows),
            "lat_deg": self._taken("lat_deg", rows),
            "lon_deg": self._taken("lon_deg", rows),
            "set_name": self.sets.take(pa.array(place)),
            "shard": pa.array([key] * len(rows), pa.string()),
            "place_token": self.places.take(pa.array(place)),
            "credit": self._taken("credit", rows),
            "stamp": self._taken("stamp", rows),
        }
        return _shaped("catalogue", columns)

    def refused(self, key: str) -> pa.Table:
        """The table `quarantine` of one shard, in the order of the listing."""
        rows = self._rows(key, admitted=False)
        ids = self._taken("image_id", rows)
        columns = {
            "stage": pa.array(["catalogue"] * len(rows), pa.string()),
            "image_id": pc.if_else(pc.equal(ids, ""), None, ids),
            "locator": pc.fill_null(self._taken("locator", rows), ""),
            "reason": pa.array([self.judged.reasons[code] for code in self.judged.code[rows]], pa.string()),
            "detail": pa.array(details(self.columns, self.judged, rows), pa.string()),
            "first_bytes_kind": self._taken("first_bytes_kind", rows),
        }
        return _shaped("quarantine", columns)

    def reasons(self, key: str) -> dict[str, int]:
        """How many records of one shard are refused, by reason."""
        return self.judged.counts(self._rows(key, admitted=False))

    def version(self, key: str) -> str:
        """A digest (32 hex digits) of everything that one shard holds, kept and refused."""
        hasher = hashlib.sha256()
        for rows in (self.kept(key), self.refused(key)):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, rows.schema) as writer:
                writer.write_table(rows.combine_chunks())
            hasher.update(sink.getvalue())
        return hasher.hexdigest()[:32]

    @cached_property
    def _position(self) -> np.ndarray:
        """For each row its position among the admitted ones."""
        return np.cumsum(self.judged.code == 0) - 1

    def _rows(self, key: str, admitted: bool) -> np.ndarray:
        number = self.plan.keys.index(key)
        rows = self.order[self.starts[number] : self.starts[number + 1]]
        found: np.ndarray = rows[(self.judged.code[rows] == 0) == admitted]
        return found

    def _taken(self, name: str, rows: np.ndarray) -> pa.Array:
        return self.columns[name].take(pa.array(rows))


def build_catalogue(source: Source, split: SplitConfig, plan: ShardPlan) -> Catalogue:
    """Read the source's listing once and give every record its shard.

    Raises `EmptyCatalogueError` when no record is usable, `SourceError` for a source that is unusable as a whole or
    names a set without a shard, `SplitError` when the photographs cannot be split as asked.
    """
    columns = columns_of(source.listing())
    plan.refuse_unknown(columns["set_name"])
    judged = admission(columns)
    admitted = judged.admitted
    if not len(admitted):
        raise EmptyCatalogueError(_nothing_left(columns, judged))
    index = pa.array(admitted)
    lat, lon = (columns[name].take(index).to_numpy(zero_copy_only=False) for name in ("lat_deg", "lon_deg"))
    cells = cell_ids(lat, lon, level=PLACE_LEVEL)
    unique_cells, number = np.unique(cells, return_inverse=True)
    places = pa.DictionaryArray.from_arrays(
        pa.array(number.astype(np.int32)), pa.array(tokens(unique_cells), pa.string())
    )
    sets = assign_sets(columns["author"].take(index), cells, columns["set_name"].take(index), split)
    shard = plan.numbers(_owners(columns), _all_sets(columns["set_name"], admitted, sets))
    order = np.argsort(shard, kind="stable")
    starts = np.searchsorted(shard[order], np.arange(len(plan.keys) + 1))
    return Catalogue(plan, columns, judged, order, starts, places, sets)


def _owners(columns: Columns) -> np.ndarray:
    """A hash (N,) of what stays together in one shard: the block, or the id of a photograph that is read alone."""
    block = columns["block"]
    hashes = np.zeros(len(block), np.uint64)
    together = block.is_valid().to_numpy(zero_copy_only=False)
    blocks = block.indices.filter(pa.array(together)).to_numpy(zero_copy_only=False)
    hashes[together] = stable_hashes("shard", block.dictionary)[blocks]
    ids, locators = (pc.fill_null(columns[name].filter(pa.array(~together)), "") for name in ("image_id", "locator"))
    hashes[~together] = stable_hashes("shard", pc.if_else(pc.equal(ids, ""), locators, ids))
    return hashes


def _all_sets(given: pa.DictionaryArray, admitted: np.ndarray, sets: pa.DictionaryArray) -> pa.DictionaryArray:
    """The set of every record: as split for the admitted ones, else as the source gives it (or null)."""
    number = given.indices.fill_null(-len(sets.dictionary) - 1).to_numpy(zero_copy_only=False) + len(sets.dictionary)
    number[admitted] = sets.indices.to_numpy(zero_copy_only=False)
    names = pa.concat_arrays([sets.dictionary, given.dictionary.cast(pa.string())])
    return pa.DictionaryArray.from_arrays(pa.array(number, pa.int32(), mask=number < 0), names)


def _shaped(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    schema = load(name).arrow_schema
    return pa.Table.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _nothing_left(columns: Columns, judged: Admission) -> str:
    """The one clear message for a source without a usable photograph."""
    if not len(judged.code):
        return (
            "found no photograph at all; expected image files or metadata rows. Check the folder and the metadata path."
        )
    listed = ", ".join(f"{reason} {count}" for reason, count in judged.counts().items())
    firsts = np.sort(np.unique(judged.code, return_index=True)[1])[:_SHOWN_REASONS]
    shown = " ".join(
        f"{columns['locator'][row].as_py()}: {judged.reasons[judged.code[row]]}, {detail}"
        for row, detail in zip(firsts.tolist(), details(columns, judged, firsts), strict=True)
    )
    return (
        f"found {len(judged.code)} photographs and none that can be used ({listed}). The first of each reason: {shown} "
        "Expected images with a latitude and a longitude, in EXIF or in a metadata file (--metadata)."
    )


def shard_notes(catalogue: Catalogue, key: str) -> dict[str, object]:
    """How many photographs of a shard each set has, and how many were rejected, in all and by reason."""
    kept = catalogue.kept(key)
    sets = pa.table({"set": kept["set_name"]}).group_by("set").aggregate([([], "count_all")]).sort_by("set").to_pylist()
    notes: dict[str, object] = {f"set {row['set']}": row["count_all"] for row in sets}
    notes["rejected"] = catalogue.refused(key).num_rows
    return notes | {f"rejected: {reason}": count for reason, count in catalogue.reasons(key).items()}
