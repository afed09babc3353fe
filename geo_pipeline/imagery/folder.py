"""A folder of photographs as a source, with a metadata file beside it or with the position in each photograph's EXIF.

With metadata, its rows are the records: the path of a row is relative to the metadata's own folder (or to the image
folder), or the image is found by its id. Without, every image file of the folder is a record; its author is unknown.
Files and URLs belong to `stores`, what a path means to `stores.folder_paths`, matching rows with files to
`metadata.join`, the EXIF of each file to `exif_index`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.exif_index import exif_facts
from geo_pipeline.imagery.metadata.join import ENTRIES, joined
from geo_pipeline.imagery.metadata.names import composed
from geo_pipeline.imagery.metadata.read import MetadataFormat, read_metadata
from geo_pipeline.imagery.odd_endings import candidates, photographs
from geo_pipeline.imagery.source import LISTING, LISTING_ROWS, MissingImageError
from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES, Files, file_digest
from geo_pipeline.imagery.stores.folder_paths import PathRule
from geo_pipeline.imagery.stores.store import PROBLEMS

_PHOTOGRAPH = r"(?i)/$|(^|/)[^/.]+$|(" + "|".join(rf"\{suffix}" for suffix in IMAGE_SUFFIXES) + ")$"
"""Names that a metadata file may mean: those that end as photographs do, and those without any ending."""


class FolderSource:
    """Photographs below `images`; `metadata` is a CSV, Parquet or JSON file, or None to read positions from EXIF.

    Both are local paths or fsspec URLs. A locator is the path relative to `images`, with forward slashes, so that
    tables survive a move of the folder. Links that lead out of the folder are refused unless `follow_links`.
    `metadata_format` is a published layout of the metadata; None: tell it from the file. With `index` (a local folder)
    what the EXIF says is kept there, so that only new and changed photographs are read again.
    """

    def __init__(
        self,
        images: Path | str,
        metadata: Path | str | None = None,
        follow_links: bool = False,
        metadata_format: MetadataFormat | None = None,
        index: Path | None = None,
    ) -> None:
        self.images = str(images)
        self.metadata = None if metadata is None else str(metadata)
        self.follow_links = follow_links
        self.metadata_format = metadata_format
        self.index = index

    def fingerprint(self) -> str:
        """Digest of the metadata's bytes and of every image file's name, size and time of change (or mark)."""
        digest = hashlib.sha256(repr(self.metadata_format).encode())
        if self.metadata is not None:
            digest.update(file_digest(self.metadata).encode())
        for batch in self._found().to_batches(max_chunksize=LISTING_ROWS):
            for name, identity in zip(batch["name"].to_pylist(), batch["identity"].to_pylist(), strict=True):
                digest.update(f"{name}\0{identity}\n".encode())
        return digest.hexdigest()

    def listing(self) -> Iterator[pa.RecordBatch]:
        """A record per metadata row in the file's order, then the files that no row names.

        Without metadata, a record per image file in order of path (which those are: `odd_endings`). Raises
        `SourceError` when there is no such folder or metadata file.
        """
        found = self._found()
        if self.metadata is None:
            records = self._with_exif(photographs(found, self._files))
        else:
            records = self._with_metadata(found, self.metadata)
        yield from records.to_batches(max_chunksize=LISTING_ROWS)

    def read(self, locator: str) -> bytes:
        """The bytes of one photograph; `MissingImageError` when there is no such file below the folder."""
        return self._files.read(locator)

    def read_many(self, locators: Sequence[str]) -> Iterator[bytes | MissingImageError]:
        """The bytes of many photographs, in their order; object stores are asked for several at a time."""
        return self._files.read_ranges([(locator, 0, None) for locator in locators])

    @cached_property
    def _files(self) -> Files:
        return Files(self.images, follow_links=self.follow_links)

    def _found(self) -> pa.Table:
        """The files that may be photographs, as a table of files.FOUND."""
        found = self._files.table()
        if self.metadata is None:
            return candidates(found)
        return found.filter(pc.match_substring_regex(found["name"], _PHOTOGRAPH))

    def _with_exif(self, found: pa.Table) -> pa.Table:
        """LISTING of the files with what their EXIF says; those with a problem are not read."""
        plain = pc.is_null(found["problem"])
        facts = exif_facts(found.filter(plain), self.read_many, self.index, self.images)
        read = pc.if_else(plain, pc.subtract(pc.cumulative_sum(plain.cast(pa.int64())), 1), None)
        facts = facts.take(read)
        entries = _entries(found)
        columns = {name: facts[name] for name in ("lat_deg", "lon_deg", "first_bytes_kind")}
        columns |= {"image_id": found["name"], "locator": found["name"], "stamp": found["identity"]}
        columns["problem"] = pc.coalesce(entries["problem"], facts["problem"])
        columns["detail"] = pc.if_else(plain, facts["detail"], entries["detail"])
        nothing = pa.nulls(len(found), pa.string())
        return pa.table({name: columns.get(name, nothing) for name in LISTING.names}, schema=LISTING)

    def _with_metadata(self, found: pa.Table, metadata: str) -> pa.Table:
        rows = read_metadata(metadata, self.metadata_format)
        rule = PathRule(self.images, metadata)
        paths = rule.below_root(rows["path"])
        written = rule.as_written(found["name"])
        named = composed(pa.concat_arrays([chunk for column in (paths, rows["image_id"]) for chunk in column.chunks]))
        plain = pc.match_substring_regex(found["name"], r"\.[^/.]+$|/$")
        meant = (pc.is_in(composed(each), named) for each in (found["name"], written))
        kept = pc.or_(plain, pc.or_(*meant))
        found, written = found.filter(kept), written.filter(kept)
        renamed = rows.set_column(rows.schema.get_field_index("path"), "path", paths)
        return _with_reasons(joined(renamed, _entries(found), written), rows["path"], rule)


def _entries(found: pa.Table) -> pa.Table:
    """Files as a table of ENTRIES."""
    detail = pc.fill_null(found["problem"], "")
    for word, sentence in PROBLEMS.items():
        detail = pc.if_else(pc.equal(detail, word), sentence, detail)
    columns = {"name": found["name"], "locator": found["name"], "stamp": found["identity"]}
    columns |= {"problem": found["problem"], "detail": detail}
    nothing = pa.nulls(len(found), pa.string())
    return pa.table({field.name: columns.get(field.name, nothing).cast(field.type) for field in ENTRIES})


def _with_reasons(records: pa.Table, written: pa.ChunkedArray, rule: PathRule) -> pa.Table:
    """The records; where a row names a file that is there and not read, its problem says why."""
    head = records.slice(0, len(written))
    lost = pc.and_(pc.fill_null(pc.equal(head["problem"], "missing_file"), False), pc.is_valid(written))
    rows = np.flatnonzero(lost.to_numpy(zero_copy_only=False))
    reasons = {row: reason for row in rows.tolist() if (reason := rule.reason(written[row].as_py())) is not None}
    if not reasons:
        return records
    changed = pa.array(np.isin(np.arange(len(records)), list(reasons)))
    for number, name in enumerate(("problem", "detail")):
        values = pa.array([reasons[row][number] for row in sorted(reasons)], pa.string())
        column = pc.replace_with_mask(records[name].combine_chunks(), changed, values)
        records = records.set_column(records.schema.get_field_index(name), name, column)
    return records
