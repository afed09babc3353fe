"""Photographs inside larger files as one source, whatever the reader of the format; with or without a metadata file.

A container is read once, in one pass, to know what lies where (`index` keeps that); its photographs are then
read from their places. The files themselves belong to `files`, the choice of the reader to `opening`, the join with a
metadata file to `join`.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.containers.entries import Place, Reader, ReadsPlaces, place_of, quoted
from geo_pipeline.imagery.containers.index import INDEX, INDEX_VERSION, index_of
from geo_pipeline.imagery.metadata.join import ENTRIES, from_entries, joined
from geo_pipeline.imagery.metadata.read import MetadataFormat, read_metadata
from geo_pipeline.imagery.source import LISTING_ROWS, MissingImageError, SourceError
from geo_pipeline.imagery.stores.files import Files, absolute, file_digest
from geo_pipeline.imagery.stores.store import FoundFile

BLOCK_BYTES = 8 << 20
"""Photographs that begin in the same piece of a container of this size share a block."""
READERS_AT_ONCE = 4


@dataclass(frozen=True)
class ContainerSource:
    """The photographs in the containers at `root` (a folder, one file or a pattern; local or an fsspec URL).

    With `metadata` (CSV, Parquet or JSON, local or a URL) its rows are the records; without, what stands beside each
    photograph in its container. `metadata_format` is a published layout of the metadata; None: tell it from the file.
    With `index` (a local folder) the entries of each container are kept there, so that only new and changed containers
    are read again; `kind` names the reader in it.
    """

    root: str
    reader: Reader
    kind: str
    metadata: str | None = None
    index: Path | None = None
    metadata_format: MetadataFormat | None = None

    def fingerprint(self) -> str:
        """Digest of the containers' names, sizes and identities and of the metadata's bytes; opens no container."""
        digest = hashlib.sha256(f"{self.kind} {INDEX_VERSION} {self.metadata_format}\n".encode())
        for file in self._containers():
            digest.update(f"{file.name}\0{file.size}\0{file.identity}\n".encode())
        if self.metadata is not None:
            digest.update(file_digest(self.metadata).encode())
        return digest.hexdigest()

    def listing(self) -> Iterator[pa.RecordBatch]:
        """Batches of LISTING: in the order of the metadata, or of container and offset.

        Raises `SourceError` when there is no container, or one is of another kind.
        """
        containers = self._containers()
        with ThreadPoolExecutor(min(READERS_AT_ONCE, os.cpu_count() or 1)) as pool:
            tables = list(pool.map(self._entries, containers))
        entries = pa.concat_tables(tables)
        if self.metadata is None:
            records = from_entries(entries)
        else:
            records = joined(read_metadata(self.metadata, self.metadata_format), entries)
        yield from records.to_batches(max_chunksize=LISTING_ROWS)

    def read(self, locator: str) -> bytes:
        """The bytes of one photograph; `MissingImageError` when they cannot be had."""
        (data,) = self.read_many([locator])
        if isinstance(data, MissingImageError):
            raise data
        return data

    def read_many(self, locators: Sequence[str]) -> Iterator[bytes | MissingImageError]:
        """The bytes of many photographs, in their order; neighbours in one container are read together."""
        places = [_place_or_error(locator) for locator in locators]
        good = [place for place in places if isinstance(place, Place)]
        reader = self.reader
        data = self._from_places(reader, good) if isinstance(reader, ReadsPlaces) else self._from_ranges(good)
        for place in places:
            yield place if isinstance(place, MissingImageError) else next(data)

    @cached_property
    def _files(self) -> Files:
        return Files(self.root, self.reader.suffixes, follow_links=True)  # the hub's cache is made of links

    def _containers(self) -> list[FoundFile]:
        """The containers in order of name; the metadata file is none of them."""
        beside = None if self.metadata is None else absolute(self.metadata)
        files = [file for file in self._files.found() if absolute(self._files.full_name(file.name)) != beside]
        if not files:
            endings = ", ".join(f"*{suffix}" for suffix in self.reader.suffixes)
            raise SourceError(f"found no container in {self.root}; expected files named {endings}. Check the path.")
        return files

    def _entries(self, container: FoundFile) -> pa.Table:
        """A table of ENTRIES of one container."""
        found = index_of(self._files, container, self.reader, self.kind, self.index)
        name = container.name
        start = f"{quoted(name)}!"
        where = pc.binary_join_element_wise(_text(found["offset"]), _text(found["length"]), "+")
        by_offset = pc.divide(found["offset"], BLOCK_BYTES)
        image_id = found["image_id"]
        if self.metadata is None:  # ids that stay when containers are added, although two may use one name
            image_id = pc.coalesce(image_id, pc.binary_join_element_wise(_stem(name), found["name"], "/"))
        columns = {
            "locator": pc.binary_join_element_wise(pc.binary_join_element_wise(start, found["name"], ""), where, "@"),
            "stamp": found["digest"],
            "block": pc.binary_join_element_wise(name, _text(pc.coalesce(found["block"], by_offset)), "#"),
            "image_id": image_id,
        }
        return pa.table(
            {name: columns.get(name, found[name] if name in INDEX.names else None) for name in ENTRIES.names}
        ).cast(ENTRIES)

    def _from_ranges(self, places: Sequence[Place]) -> Iterator[bytes | MissingImageError]:
        wanted = [(place.container, place.offset, place.length) for place in places]
        for stored in self._files.read_ranges(wanted):
            try:
                yield stored if isinstance(stored, MissingImageError) else self.reader.image(stored)
            except MissingImageError as error:
                yield error

    def _from_places(self, reader: ReadsPlaces, places: Sequence[Place]) -> Iterator[bytes | MissingImageError]:
        for container, group in groupby(places, lambda place: place.container):
            offsets = [place.offset for place in group]
            try:
                file = self._files.open(container)
            except MissingImageError as error:
                yield from (error for _ in offsets)
                continue
            with file:
                yield from reader.images(file, offsets)


def _stem(container: str) -> str:
    folder, _, name = container.rpartition("/")
    return f"{folder}/{name.rpartition('.')[0] or name}".lstrip("/")


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def _place_or_error(locator: str) -> Place | MissingImageError:
    try:
        return place_of(locator)
    except MissingImageError as error:
        return error
