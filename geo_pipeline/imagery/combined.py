"""Several sources as one: a reference collection, and benchmarks that have their own images and metadata.

A locator, id or block of a benchmark is written `name|text`; those of the reference collection stay as they are, so
that a benchmark more changes nothing of the reference shards (a text of the reference that itself holds a `|` gets one
in front). An id can therefore stand in a benchmark and in the reference collection and is never taken for a duplicate:
denominators do not shrink. That both show one picture is for `duplicates` to find, by the pixels.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.source import LISTING, MissingImageError, Source, SourceError

MARK = "|"


@dataclass(frozen=True)
class SourcePart:
    """One source; `set_name` is the set of all its photographs, None for the reference collection.

    A reference collection may name sets itself; where it does not, the split decides.
    """

    set_name: str | None
    source: Source


@dataclass(frozen=True)
class CombinedSource:
    """The photographs of all parts, in the order of the parts. Raises SourceError where two parts are of one set."""

    parts: tuple[SourcePart, ...]

    def __post_init__(self) -> None:
        names = [part.set_name for part in self.parts]
        twice = sorted({str(name or "reference") for name in names if names.count(name) > 1})
        if twice:
            raise SourceError(
                f"found more than one source of photographs for {', '.join(twice)}; expected one each. Put the "
                "photographs of one set into one folder with one metadata file."
            )
        marked = [name for name in names if name is not None and (MARK in name or not name)]
        if marked:
            raise SourceError(f"found the set name {marked[0]!r}; expected a name without {MARK!r}.")

    def fingerprint(self) -> str:
        """Digest of the parts' names and fingerprints."""
        lines = [f"{part.set_name or ''}\0{part.source.fingerprint()}\n" for part in self.parts]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def listing(self) -> Iterator[pa.RecordBatch]:
        """See Source. Every photograph of a benchmark's part belongs to that benchmark, whatever its metadata says."""
        for part in self.parts:
            for batch in part.source.listing():
                yield _named_batch(part.set_name, batch)

    def read(self, locator: str) -> bytes:
        """See Source."""
        name, own = parted(locator)
        return self._source(name, locator).read(own)

    def read_many(self, locators: Sequence[str]) -> Iterator[bytes | MissingImageError]:
        """See Source. Neighbours of one part are read together."""
        for name, group in groupby(locators, key=lambda locator: parted(locator)[0]):
            mine = list(group)
            yield from self._source(name, mine[0]).read_many([parted(locator)[1] for locator in mine])

    def _source(self, name: str | None, locator: str) -> Source:
        for part in self.parts:
            if part.set_name == name:
                return part.source
        raise MissingImageError(
            f"{locator}: found no source of photographs for {name or 'the reference'}; expected one of "
            f"{', '.join(part.set_name or 'the reference' for part in self.parts)}. Make the catalogue again."
        )


def named(set_name: str | None, text: str) -> str:
    """A part's own locator, id or block as it is called in the whole; the inverse of `parted`."""
    if set_name is None:
        return MARK + text if MARK in text else text
    return f"{set_name}{MARK}{text}"


def parted(text: str) -> tuple[str | None, str]:
    """(set of the part, its own locator, id or block); None for the reference collection."""
    name, mark, own = text.partition(MARK)
    if not mark:
        return None, text
    return name or None, own


def _named_batch(set_name: str | None, batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in LISTING.names}
    for name in ("image_id", "locator", "block"):
        texts = columns[name]
        if set_name is None:
            prefix = pc.if_else(pc.match_substring(texts, MARK), MARK, "")
            columns[name] = pc.binary_join_element_wise(prefix, texts, "")
        elif name == "block":
            columns[name] = pc.binary_join_element_wise(set_name + MARK, texts, "")
        else:  # what is not given stays empty, and is refused as such
            empty = pc.equal(pc.fill_null(texts, ""), "")
            columns[name] = pc.if_else(empty, texts, pc.binary_join_element_wise(set_name + MARK, texts, ""))
    if set_name is not None:
        columns["set_name"] = pa.array([set_name] * batch.num_rows, pa.string())
    return pa.RecordBatch.from_arrays([columns[name] for name in LISTING.names], schema=LISTING)
