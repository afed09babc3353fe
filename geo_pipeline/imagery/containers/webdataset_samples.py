"""WebDataset's samples: photographs of a tar file with what stands beside them, and whether a tar file has such.

A key is a member's name up to the first dot. A name that merely has dots in it (`IMG_1.0.jpg`, `012.left.jpg`) shares
its key with others, so a sample may be several photographs: none is passed over. The walk over a tar file and the bytes
of its photographs belong to `tar_files`, single values to `inline_values`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from geo_pipeline.imagery.containers.entries import Entry
from geo_pipeline.imagery.containers.inline_values import degrees_of, text_of
from geo_pipeline.imagery.containers.tar_members import Member, is_hidden, members
from geo_pipeline.imagery.metadata.read import ALIASES
from geo_pipeline.imagery.photograph import DESCRIBED, DESCRIBED_TEXTS
from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES

LARGEST_SIDECAR = 1 << 20
MOST_IN_SAMPLE, MOST_BESIDE_BYTES = 1024, 32 << 20
"""Most photographs of one sample that are held until its sidecars are read, and most bytes of sidecars."""
SIDECARS = ("json", "txt")
_LOOKED_AT = 24
_BY_ALIAS = {alias: known for known in DESCRIBED for alias in ALIASES[known]}
_POINT = r"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_EITHER = r"[-+−]?(?:\d+[.,]?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PAIRS = (
    re.compile(rf"\s*({_EITHER})(?:\s*[;|]\s*|,?\s+)({_EITHER})\s*", re.ASCII),
    re.compile(rf"\s*({_POINT})\s*,\s*({_POINT})\s*", re.ASCII),
)
"""Two numbers: with points or commas where something else than a bare comma parts them, else with points."""
_LINE = re.compile(r"\s*(\w+)\s*[:=]\s*(.*?)\s*")


@dataclass
class _Beside:
    """What the sidecars of one stem say: known values, and what could not be read."""

    values: dict[str, Any] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)


@dataclass
class Sample:
    """The members of one WebDataset key, while they pass by.

    Each is held under what its name has between the key and its ending: `left` for `012.left.jpg`, nothing for
    `012.jpg`. A sidecar is read for the photograph of the same name but for the ending (`012.left.json`), one of the
    key alone (`012.json`) for all of the sample; an id in the latter only where there is one photograph.
    """

    key: str
    photographs: list[tuple[str, Entry]] = field(default_factory=list)
    beside: dict[str, _Beside] = field(default_factory=dict)
    _last: str = ""
    _bytes: int = 0

    def takes(self, key: str, ending: str) -> bool:
        """False for a member that belongs to another sample, or for which there is no room: see `following`."""
        if key != self.key:
            return False
        sidecar = sidecar_of(ending)
        own = sidecar[0] if sidecar else ending.rpartition(".")[0]
        held = max(len(self.photographs), len(self.beside))
        full = held >= MOST_IN_SAMPLE or self._bytes >= MOST_BESIDE_BYTES
        if full and own not in ("", self._last):  # a photograph and its own sidecar stay together
            return False
        return held < 2 * MOST_IN_SAMPLE and self._bytes < 2 * MOST_BESIDE_BYTES

    def following(self, key: str) -> "Sample":
        """The next sample; what stands beside the whole key goes on to count where it has the same key."""
        shared = self.beside.get("")
        return Sample(key, beside={"": shared} if key == self.key and shared else {})

    def add(self, entry: Entry, ending: str) -> None:
        """Hold a photograph until its sidecars have passed by."""
        self._last = ending.rpartition(".")[0]
        self.photographs.append((self._last, entry))

    def read(self, file: BinaryIO, member: Member, ending: str) -> None:
        """Read a sidecar; other members are passed over."""
        sidecar = sidecar_of(ending)
        if sidecar is None:
            return
        own, what = sidecar
        self._last = own or self._last
        beside = self.beside.setdefault(own, _Beside())
        if member.length > LARGEST_SIDECAR:
            beside.details.append(f"{member.name} has {member.length} bytes and is not read")
            return
        self._bytes += member.length
        file.seek(member.offset)
        data = file.read(member.length)
        if what not in SIDECARS:
            beside.values[what] = data
            return
        try:
            beside.values |= _json_values(data) if what == "json" else _text_values(data)
        except (ValueError, RecursionError) as error:
            beside.details.append(f"{member.name} cannot be read ({str(error)[:80]})")

    def finished(self) -> Iterator[Entry]:
        """The photographs with what was found beside them, in their order.

        Where one is named by the key alone, the others are further images of it (`second_image`: a segmentation map, a
        smaller copy); where none is, each stands for itself.
        """
        plain = [entry for own, entry in self.photographs if not own]
        first = next((entry for entry in plain if entry.problem is None), plain[0] if plain else None)
        alone = first is not None or len({entry.name for _, entry in self.photographs}) == 1
        for own, entry in self.photographs:
            if first is None or entry.name == first.name or entry.problem is not None:
                yield self._described(own, entry, alone)
            else:
                words = f"The sample {self.key} has the photograph {first.name} already."
                yield entry._replace(problem="second_image", detail=words)

    def speaks(self) -> bool:
        """True when a sidecar stands beside a photograph."""
        return bool(self.beside.keys() & {"", *(own for own, _ in self.photographs)}) and bool(self.photographs)

    def has_position(self) -> bool:
        """True when a sidecar gives a latitude and a longitude."""
        return any({"lat_deg", "lon_deg"} <= beside.values.keys() for beside in self.beside.values())

    def sets_aside(self) -> bool:
        """True when one of several photographs with the same ending would count, as of `a.jpg` and `a.1.jpg`."""
        endings = [(own, entry.name.lower().rpartition(".")[2]) for own, entry in self.photographs]
        plain = {ending for own, ending in endings if not own}
        return any(own and ending in plain for own, ending in endings)

    def _described(self, own: str, entry: Entry, alone: bool) -> Entry:
        shared, mine = self.beside.get("", _Beside()), self.beside.get(own, _Beside())
        values = {known: value for known, value in shared.values.items() if alone or known != "image_id"} | mine.values
        details = [*shared.details, *(mine.details if own else [])]
        lat_deg, lat_words = degrees_of(values.get("lat_deg"), "latitude")
        lon_deg, lon_words = degrees_of(values.get("lon_deg"), "longitude")
        if lat_deg is None and lon_deg is None:
            lat_deg, lon_deg = entry.lat_deg, entry.lon_deg
        texts: dict[str, Any] = {known: text_of(values.get(known)) for known in DESCRIBED_TEXTS}
        return entry._replace(
            detail="; ".join(part for part in (entry.detail, *details, lat_words, lon_words) if part),
            lat_deg=lat_deg,
            lon_deg=lon_deg,
            **texts,
        )


def has_sidecars(file: BinaryIO) -> bool:
    """True for a WebDataset shard: among the first members a photograph has a sidecar.

    Not so where photographs of one ending would be set aside as further images of another, and no sidecar gives a
    position: that is a plain archive of names with dots, and a text beside them.
    """
    samples: dict[str, Sample] = {}
    for member in islice(members(file), _LOOKED_AT):
        if member.problem is None and not is_hidden(member.name):
            key, ending = key_of(member.name)
            sample = samples.setdefault(key, Sample(key))
            if is_photograph(member.name):
                sample.add(Entry(member.name, member.offset, member.length, None, None), ending)
            else:
                sample.read(file, member, ending)
    found = [sample for sample in samples.values() if sample.photographs]
    plain = any(sample.sets_aside() for sample in found) and not any(sample.has_position() for sample in found)
    return not plain and any(sample.speaks() for sample in found)


def key_of(name: str) -> tuple[str, str]:
    """WebDataset's key of a member and its ending: the name up to, and behind, the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending


def sidecar_of(ending: str) -> tuple[str, str] | None:
    """Whose sidecar this is (a photograph's own name behind the key, or "") and what it holds; None for no sidecar.

    What: `json`, `txt`, or the one known value after which it is named (`lat_deg` for `lat` and `lat.txt`).
    """
    own, _, what = (ending[:-4] if ending.lower().endswith(".txt") else ending).rpartition(".")
    if what.lower() in _BY_ALIAS:
        return own, _BY_ALIAS[what.lower()]
    own, _, what = ending.rpartition(".")
    return (own, what.lower()) if what.lower() in SIDECARS else None


def is_photograph(name: str) -> bool:
    """True for a name that ends as photographs do."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def _json_values(data: bytes) -> dict[str, Any]:
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError(f"found a {type(content).__name__}, expected an object")
    return _known(content)


def _text_values(data: bytes) -> dict[str, Any]:
    """Two numbers, or lines of `name: value`; any other text is a caption and says nothing."""
    text = data.decode("utf-8-sig", "replace")
    for pattern in _PAIRS:
        if pair := pattern.fullmatch(text):
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
