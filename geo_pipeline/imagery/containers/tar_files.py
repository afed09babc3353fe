"""Reads tar files of photographs: MP16-Pro's archive, and WebDataset shards with what stands beside each photograph.

Members that end as photographs do are photographs, and those without any ending whose first bytes are a photograph's;
hidden ones (macOS leaves `._name.jpg` behind) and all others are passed over, but for the sidecars of WebDataset. The
walk over the members belongs to `tar_members`, what belongs together in a WebDataset to `webdataset_samples`, other
containers to `msgpack_files` and `parquet_files`, the source over all of them to `containers.source`.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from geo_pipeline.imagery.containers.entries import Entry, digest_of
from geo_pipeline.imagery.containers.tar_members import Member, is_hidden, members
from geo_pipeline.imagery.containers.webdataset_samples import Sample, is_photograph, key_of, sidecar_of
from geo_pipeline.imagery.exif import ExifPosition, position_from_exif
from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.odd_endings import LOOKED_AT, begins_as_photograph, is_unended, odd_stem
from geo_pipeline.imagery.source import SourceError
from geo_pipeline.imagery.stores.store import PROBLEMS

LARGEST_PHOTOGRAPH = 256 << 20
_MOST_LACKING = 65_536
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"PK\x03\x04", "zip", "unzip, and give the folder"),
)


@dataclass(frozen=True)
class TarReader:
    """The `Reader` of tar files.

    With `sidecars`, members of one WebDataset key are one sample: its photograph, with what its `.json` or `.txt` says
    under the usual names (latitude, lon, author, id ...); a `.txt` may also be two numbers, latitude first, and a
    member may be named after one value (`000001.lat`). Members of a key have to stand together, as WebDataset writes
    them. With `exif`, the position in a photograph's EXIF counts where nothing else gives one.
    """

    sidecars: bool = False
    exif: bool = False

    suffixes = (".tar",)
    last_wins = True

    def entries(self, file: BinaryIO, name: str) -> Iterator[Entry]:
        """An entry per photograph, and one per member that is none and should not be there; see `tar_members`.

        Further problems: `zero_bytes`, `too_large`, `second_image`; `unknown_ending` for what begins as a photograph
        and has another ending, where none of the same stem came before (not with `sidecars`); `sidecars_apart`, once,
        where photographs without a position have sidecars elsewhere in the archive. Raises `SourceError` for a
        compressed archive.
        """
        refuse_compressed(file, name)
        if file.seek(0, 2) == 0:
            yield Entry(name, 0, 0, None, "empty", "zero_bytes", "The archive is empty; expected a tar file.")
            return
        apart = _Apart()
        for entry in self._members(file, name, apart):
            if self.exif:
                apart.see(entry)
            yield entry
        yield from apart.told()

    def _members(self, file: BinaryIO, name: str, apart: "_Apart") -> Iterator[Entry]:
        sample, stems = Sample(""), set[str]()
        for member in members(file):
            key, ending = key_of(member.name)
            if self.sidecars and not sample.takes(key, ending):
                yield from self._finished(sample, apart)
                sample = sample.following(key)
            apart.look(member, key, ending)
            if member.problem is not None:
                shown = member.name or f"{name} at byte {member.offset}"
                yield Entry(shown, member.offset, member.length, None, None, member.problem, member.detail)
            elif is_hidden(member.name):
                continue
            elif is_photograph(member.name) or (is_unended(member.name) and _begins_as_photograph(file, member)):
                entry = self._photograph(file, member)
                if len(stems) < _MOST_LACKING:
                    stems.add(posixpath.splitext(member.name)[0])
                if self.sidecars:
                    sample.add(entry, ending)
                else:
                    yield entry
            elif self.sidecars:
                sample.read(file, member, ending)
            elif (stem := odd_stem(member.name)) and stem not in stems and _begins_as_photograph(file, member):
                where = (member.name, member.offset, member.length)
                yield Entry(*where, None, None, "unknown_ending", PROBLEMS["unknown_ending"])
        yield from self._finished(sample, apart)

    def _finished(self, sample: Sample, apart: "_Apart") -> Iterator[Entry]:
        if sample.photographs and sample.beside:
            apart.sidecars.pop(sample.key, None)  # it stands beside them
        yield from sample.finished()

    def image(self, stored: bytes) -> bytes:
        """The photograph as it is: a member's bytes are the file's."""
        return stored

    def _photograph(self, file: BinaryIO, member: Member) -> Entry:
        name, offset, length = member.name, member.offset, member.length
        if length == 0:
            return Entry(name, offset, 0, None, "empty", "zero_bytes", "The file is empty.")
        file.seek(offset)
        if length > LARGEST_PHOTOGRAPH:
            kind = first_bytes_kind(file.read(512))
            words = f"It has {length} bytes; photographs of up to {LARGEST_PHOTOGRAPH} are read."
            return Entry(name, offset, length, None, kind, "too_large", words)
        data = file.read(length)
        if len(data) < length:
            words = f"found {len(data)} of its {length} bytes; the archive was cut while it was read."
            return Entry(name, offset, length, None, None, "truncated", words)
        found = position_from_exif(data) if self.exif else ExifPosition()
        # A photograph that cannot be opened says why; that it has no position says the source, which knows the rest.
        detail = "" if found.problem == "no_coordinate" else found.detail
        problem = found.problem if detail and not self.sidecars else None
        entry = Entry(name, offset, length, digest_of(data), first_bytes_kind(data), problem, detail)
        return entry._replace(lat_deg=found.lat_deg, lon_deg=found.lon_deg)


def _begins_as_photograph(file: BinaryIO, member: Member) -> bool:
    file.seek(member.offset)
    return begins_as_photograph(file.read(min(member.length, LOOKED_AT)))


@dataclass
class _Apart:
    """Sidecars named as photographs that have no position; of each, the keys of the first many are remembered."""

    lacking: set[str] = field(default_factory=set)
    sidecars: dict[str, Member] = field(default_factory=dict)
    first: Member | None = None
    count: int = 0
    table: Member | None = None

    def see(self, entry: Entry) -> None:
        """A photograph, after what stands beside it was read."""
        if entry.problem is None and entry.lat_deg is None:
            key = key_of(entry.name)[0]
            self._found(self.sidecars.pop(key, None))
            if len(self.lacking) < _MOST_LACKING:
                self.lacking.add(key)

    def look(self, member: Member, key: str, ending: str) -> None:
        """Any member."""
        if self.table is None and member.problem is None and member.name.lower().endswith(_TABLES):
            self.table = member
        if is_photograph(member.name) or sidecar_of(ending) is None:
            return
        if key in self.lacking:
            self._found(member)
        elif len(self.sidecars) < _MOST_LACKING:
            self.sidecars[key] = member

    def _found(self, member: Member | None) -> None:
        self.first = self.first or member
        self.count += member is not None

    def told(self) -> Iterator[Entry]:
        """One entry that says so, where there are any; else of those in other folders, else of a table."""
        named = {posixpath.basename(key) for key in self.lacking}
        elsewhere = [each for key, each in self.sidecars.items() if posixpath.basename(key) in named]
        if self.first is not None:
            first, how = self.first, f"{self.count} members such as {self.first.name} are"
            mend = "pack the archive anew with `tar --sort=name` and give --format webdataset"
        elif elsewhere:
            first, how = elsewhere[0], f"{len(elsewhere)} members such as {elsewhere[0].name} in other folders are"
            mend = "put them into the folders of the photographs and pack the archive so"
        elif self.table is not None and self.lacking:
            words = (
                f"The archive has {self.table.name}, which was not read. If it holds positions, take it out and give "
            )
            yield _entry_of(self.table, f"{words}--metadata.")
            return
        else:
            return
        words = "named as photographs of this archive that have no position, and were not read beside them"
        yield _entry_of(first, f"{how} {words}. If they hold positions, {mend}.")


def _entry_of(member: Member, words: str) -> Entry:
    return Entry(member.name, member.offset, member.length, None, None, "sidecars_apart", words)


def refuse_compressed(file: BinaryIO, name: str) -> None:
    """Raise `SourceError` for a compressed archive: its photographs lie at no place that can be read."""
    file.seek(0)
    start = file.read(8)
    for magic, kind, program in _COMPRESSED:
        if start.startswith(magic):
            raise SourceError(
                f"{name} is compressed ({kind}), so its photographs cannot be read each from its place. Unpack it once "
                f"({program}); photographs hardly shrink anyway."
            )
