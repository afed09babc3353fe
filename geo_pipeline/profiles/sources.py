"""Where photographs come from, as values: a drawn planet, files, or several of these together.

Each opens as an `imagery.source.Source`. Reading files belongs to imagery, drawing a planet to sample_world; both are
imported when the source is opened.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from geo_pipeline.imagery.source import Source
from geo_pipeline.sample_world.config import PlanetConfig

if TYPE_CHECKING:
    from geo_pipeline.imagery.metadata.layout import MetadataFormat
    from geo_pipeline.imagery.opening import Kind

_PATTERN = frozenset("*{[?")


class SourceSpec(Protocol):
    """A description of a source that can stand in a frozen profile."""

    def open(self, index: Path | None = None) -> Source:
        """The source itself; in the folder `index` it may keep what it found in large files."""
        ...

    def missing(self) -> list[str]:
        """What has to be there before a run and is not; one sentence each."""
        ...

    def readers(self) -> tuple[Callable[..., Source], ...]:
        """What opens it: code on which the list of photographs depends."""
        ...

    def drawn_by(self) -> tuple[Callable[..., Source], ...]:
        """What draws its photographs; nothing where they lie in files, whose bytes the catalogue's stamps stand for."""
        ...


@dataclass(frozen=True)
class PlanetSpec:
    """A drawn planet: everything follows from the seed."""

    seed: int
    config: PlanetConfig = field(default_factory=PlanetConfig)

    def open(self, index: Path | None = None) -> Source:
        """The drawn planet."""
        from geo_pipeline.sample_world.source import PlanetSource

        return PlanetSource(self.seed, self.config)

    def missing(self) -> list[str]:
        """Nothing: a planet is drawn."""
        return []

    def readers(self) -> tuple[Callable[..., Source], ...]:
        """What draws the planet."""
        from geo_pipeline.sample_world.source import PlanetSource

        return (PlanetSource,)

    def drawn_by(self) -> tuple[Callable[..., Source], ...]:
        """The same."""
        return self.readers()


@dataclass(frozen=True)
class FilesSpec:
    """Photographs in files: a folder, one container or a pattern; absolute local paths or fsspec URLs.

    `metadata` is CSV, Parquet or JSON; `kind` says how the files are to be read, None to tell it from their names;
    `metadata_format` is the published layout of the metadata, None to tell it from the file. `named` is the option by
    which a user gave the files, for messages. `follow_links`: links of loose photographs may lead out of their folder.
    """

    images: str
    metadata: str | None = None
    kind: "Kind | None" = None
    metadata_format: "MetadataFormat | None" = None
    named: str = "--images"
    follow_links: bool = False

    def open(self, index: Path | None = None) -> Source:
        """The files. Raises SourceError when they cannot be used as a whole."""
        from geo_pipeline.imagery.opening import open_source

        return open_source(self.images, self.metadata, self.kind, index, self.follow_links, self.metadata_format)

    def missing(self) -> list[str]:
        """The photographs or the metadata file, where they are on this machine and not there."""
        lines = []
        metadata_option = "--metadata" if self.named == "--images" else self.named
        if _is_local(self.images) and not _is_there(Path(self.images)):
            lines.append(f"the photographs {self.images} (give others with {self.named})")
        if self.metadata is not None and _is_local(self.metadata) and not Path(self.metadata).is_file():
            lines.append(f"the metadata file {self.metadata} (give another with {metadata_option})")
        return lines

    def readers(self) -> tuple[Callable[..., Source], ...]:
        """What opens files of any kind."""
        from geo_pipeline.imagery.opening import open_source

        return (open_source,)

    def drawn_by(self) -> tuple[Callable[..., Source], ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True)
class Part:
    """One of several sources: `set_name` is the benchmark that its photographs are, None for the reference."""

    set_name: str | None
    spec: SourceSpec


@dataclass(frozen=True)
class CombinedSpec:
    """Several sources as one: the reference collection, and benchmarks with images and metadata of their own."""

    parts: tuple[Part, ...]

    def open(self, index: Path | None = None) -> Source:
        """All parts; each has a folder of its own in `index`."""
        from geo_pipeline.imagery.combined import CombinedSource, SourcePart

        def opened(part: Part) -> Source:
            return part.spec.open(index / (part.set_name or "reference") if index is not None else None)

        return CombinedSource(tuple(SourcePart(part.set_name, opened(part)) for part in self.parts))

    def missing(self) -> list[str]:
        """What is missing of any part."""
        return [line for part in self.parts for line in part.spec.missing()]

    def readers(self) -> tuple[Callable[..., Source], ...]:
        """What opens the parts, and puts them together."""
        from geo_pipeline.imagery.combined import CombinedSource

        return (CombinedSource, *(reader for part in self.parts for reader in part.spec.readers()))

    def drawn_by(self) -> tuple[Callable[..., Source], ...]:
        """What draws the photographs of a part."""
        return tuple(each for part in self.parts for each in part.spec.drawn_by())


def files_spec(
    images: str | Path,
    metadata: str | Path | None = None,
    kind: "Kind | None" = None,
    metadata_format: "MetadataFormat | None" = None,
    named: str = "--images",
    follow_links: bool = False,
) -> FilesSpec:
    """The spec of files as a user writes them: local paths may be relative or begin with `~`."""
    beside = absolute_place(metadata) if metadata is not None else None
    return FilesSpec(absolute_place(images), beside, kind, metadata_format, named, follow_links)


def absolute_place(place: str | Path) -> str:
    """A local path made absolute and normal; a URL as it is."""
    text = str(place)
    return os.path.normpath(Path(text.removeprefix("file://")).expanduser().absolute()) if _is_local(text) else text


def _is_local(place: str) -> bool:
    return "://" not in place or place.startswith("file://")


def _is_there(place: Path) -> bool:
    return place.parent.is_dir() if _PATTERN & set(place.name) and not place.exists() else place.exists()
