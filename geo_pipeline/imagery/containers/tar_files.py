"""Reads tar files of photographs: MP16-Pro's archive, and WebDataset shards with what stands beside each photograph.

Members that end as photographs do are photographs; hidden ones (macOS leaves `._name.jpg` behind) and all others are
passed over, but for the sidecars of WebDataset. The walk over the members belongs to `tar_members`, other containers to
`msgpack_files` and `parquet_files`, the source over all of them to `containers.source`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from geo_pipeline.imagery.containers.entries import Entry, digest_of
from geo_pipeline.imagery.containers.inline_values import degrees_of, text_of
from geo_pipeline.imagery.containers.tar_members import Member, members
from geo_pipeline.imagery.exif import coordinates_from_exif
from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.metadata.read import ALIASES
from geo_pipeline.imagery.source import SourceError
from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES

LARGEST_PHOTOGRAPH = 256 << 20
LARGEST_SIDECAR = 1 << 20
MOST_IN_SAMPLE = 64
"""Most photographs of one sample that are held until its sidecars are read."""
SIDECARS = ("json", "txt")
_LOOKED_AT = 24
_COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"PK\x03\x04", "zip", "unzip, and give the folder"),
)
_FIELDS = ("image_id", "author", "lat_deg", "lon_deg", "credit", "set_name")
_BY_ALIAS = {alias: known for known in _FIELDS for alias in ALIASES[known]}
_PAIR = re.compile(r"\s*([-+]?\d+(?:\.\d*)?)\s*[,;\s]\s*([-+]?\d+(?:\.\d*)?)\s*")
_LINE = re.compile(r"\s*(\w+)\s*[:=]\s*(.*?)\s*")


@dataclass(frozen=True)
class TarReader:
    """The `Reader` of tar files.

    With `sidecars`, members of one WebDataset key are one sample: its first photograph, with what its `.json` or `.txt`
    says under the usual names (latitude, lon, author, id ...); a `.txt` may also be two numbers, latitude first, and a
    member may be named after one value (`000001.lat`). Members of a key have to stand together, as WebDataset writes
    them. With `exif`, the position in a photograph's EXIF counts where nothing else gives one.
    """

    sidecars: bool = False
    exif: bool = False

    suffixes = (".tar",)
    last_wins = True

    def entries(self, file: BinaryIO, name: str) -> Iterator[Entry]:
        """An entry per photograph, and one per member that is none and should not be there; see `tar_members`.

        Further problems: `zero_bytes`, `too_large`, `second_image`. Raises `SourceError` for a compressed archive.
        """
        refuse_compressed(file, name)
        if file.seek(0, 2) == 0:
            yield Entry(name, 0, 0, None, "empty", "zero_bytes", "The archive is empty; expected a tar file.")
            return
        sample = _Sample("")
        for member in members(file):
            key, ending = key_of(member.name)
            if self.sidecars and (key != sample.key or len(sample.entries) >= MOST_IN_SAMPLE):
                yield from sample.finished()
                sample = _Sample(key)
            if member.problem is not None:
                shown = member.name or f"{name} at byte {member.offset}"
                yield Entry(shown, member.offset, member.length, None, None, member.problem, member.detail)
            elif is_hidden(member.name):
                continue
            elif member.name.lower().endswith(IMAGE_SUFFIXES):
                entry = self._photograph(file, member)
                if self.sidecars:
                    sample.entries.append((ending, entry))
                else:
                    yield entry
            elif self.sidecars:
                sample.take(file, member, ending)
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
            words = f"Found {len(data)} of its {length} bytes; the archive was cut while it was read."
            return Entry(name, offset, length, None, None, "truncated", words)
        position = coordinates_from_exif(data) if self.exif else None
        lat_deg, lon_deg = position or (None, None)
        return Entry(name, offset, length, digest_of(data), first_bytes_kind(data), lat_deg=lat_deg, lon_deg=lon_deg)


@dataclass
class _Sample:
    """The members of one WebDataset key, while they pass by."""

    key: str
    entries: list[tuple[str, Entry]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)

    def take(self, file: BinaryIO, member: Member, ending: str) -> None:
        """Read a sidecar; other members are passed over."""
        known = _BY_ALIAS.get(ending.lower().removesuffix(".txt"))
        if known is None and ending.lower() not in SIDECARS:
            return
        if member.length > LARGEST_SIDECAR:
            self.details.append(f"{member.name} has {member.length} bytes and is not read")
            return
        file.seek(member.offset)
        data = file.read(member.length)
        if known is not None:
            self.values[known] = data
        else:
            try:
                self.values |= _json_values(data) if ending.lower() == "json" else _text_values(data)
            except (ValueError, RecursionError) as error:
                self.details.append(f"{member.name} cannot be read ({str(error)[:80]})")

    def finished(self) -> Iterator[Entry]:
        """The photographs with what was found beside them."""
        plain = [entry for ending, entry in self.entries if "." not in ending]
        passed = plain or [entry for _, entry in self.entries[:1]]
        for number, entry in enumerate(passed):
            if number and entry.problem is None:
                words = f"The sample {self.key} has the photograph {passed[0].name} already."
                yield entry._replace(problem="second_image", detail=words)
            else:
                yield self._described(entry)

    def _described(self, entry: Entry) -> Entry:
        lat_deg, lat_words = degrees_of(self.values.get("lat_deg"), "latitude")
        lon_deg, lon_words = degrees_of(self.values.get("lon_deg"), "longitude")
        if lat_deg is None and lon_deg is None:
            lat_deg, lon_deg = entry.lat_deg, entry.lon_deg
        detail = "; ".join(part for part in (entry.detail, *self.details, lat_words, lon_words) if part)
        return entry._replace(
            detail=detail,
            image_id=text_of(self.values.get("image_id")),
            author=text_of(self.values.get("author")),
            lat_deg=lat_deg,
            lon_deg=lon_deg,
            credit=text_of(self.values.get("credit")),
            set_name=text_of(self.values.get("set_name")),
        )


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


def has_sidecars(file: BinaryIO) -> bool:
    """True when a photograph among the first members has a sidecar of the same key: a WebDataset shard."""
    kinds: dict[str, set[bool]] = {}
    for member in islice(members(file), _LOOKED_AT):
        key, ending = key_of(member.name)
        if member.problem is None and not is_hidden(member.name):
            photograph = member.name.lower().endswith(IMAGE_SUFFIXES)
            if photograph or ending.lower() in SIDECARS or ending.lower() in _BY_ALIAS:
                kinds.setdefault(key, set()).add(photograph)
    return any(len(seen) == 2 for seen in kinds.values())


def key_of(name: str) -> tuple[str, str]:
    """WebDataset's key of a member and its ending: the name up to, and behind, the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending


def is_hidden(name: str) -> bool:
    """True for a name of which a part begins with a dot."""
    return name.startswith(".") or "/." in name


def _json_values(data: bytes) -> dict[str, Any]:
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError(f"found a {type(content).__name__}, expected an object")
    return _known(content)


def _text_values(data: bytes) -> dict[str, Any]:
    """Two numbers, or lines of `name: value`; any other text is a caption and says nothing."""
    text = data.decode("utf-8-sig", "replace")
    pair = _PAIR.fullmatch(text)
    if pair:
        return {"lat_deg": pair[1], "lon_deg": pair[2]}
    return _known({match[1]: match[2] for line in text.splitlines() if (match := _LINE.fullmatch(line))})


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """The values under our names; of several aliases the first in order of preference counts."""
    by_lower = {str(name).strip().lower(): value for name, value in values.items()}
    found: dict[str, Any] = {}
    for alias, known in _BY_ALIAS.items():
        if by_lower.get(alias) is not None:
            found.setdefault(known, by_lower[alias])
    return found
