"""Where photographs come from, as values: a drawn planet or a folder. Each opens as an `imagery.source.Source`.

Reading a folder belongs to imagery, drawing a planet to sample_world; both are imported when the source is opened.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from geo_pipeline.imagery.source import Source
from geo_pipeline.sample_world.config import PlanetConfig


class SourceSpec(Protocol):
    """A description of a source that can stand in a frozen profile."""

    def open(self) -> Source:
        """The source itself."""
        ...

    def stamp(self, locators: Sequence[str]) -> str:
        """A digest that changes when the bytes behind one of these locators change; cheap, so it reads no image."""
        ...

    def missing(self) -> list[str]:
        """What has to be there before a run and is not; one sentence each."""
        ...


@dataclass(frozen=True)
class PlanetSpec:
    """A drawn planet: everything follows from the seed."""

    seed: int
    config: PlanetConfig = field(default_factory=PlanetConfig)

    def open(self) -> Source:
        """The drawn planet."""
        from geo_pipeline.sample_world.source import PlanetSource

        return PlanetSource(self.seed, self.config)

    def stamp(self, locators: Sequence[str]) -> str:
        """Seed and mixture: they decide every picture."""
        return hashlib.sha256(f"{self.seed}:{self.config}".encode()).hexdigest()[:32]

    def missing(self) -> list[str]:
        """Nothing: a planet is drawn."""
        return []


@dataclass(frozen=True)
class FolderSpec:
    """A folder of photographs, with a metadata file or with positions in EXIF."""

    images: Path
    metadata: Path | None = None

    def open(self) -> Source:
        """The folder."""
        from geo_pipeline.imagery.folder import FolderSource

        return FolderSource(self.images, self.metadata)

    def stamp(self, locators: Sequence[str]) -> str:
        """Size and time of change of each file; a file that is not there counts as such."""
        hasher = hashlib.sha256()
        for locator in locators:
            try:
                status = (self.images / locator).stat()
                hasher.update(f"{locator}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            except OSError:
                hasher.update(f"{locator}\0missing\n".encode("utf-8", "surrogateescape"))
        return hasher.hexdigest()[:32]

    def missing(self) -> list[str]:
        """The folder or the metadata file, where it is not there."""
        lines = (
            [] if self.images.is_dir() else [f"the folder of photographs {self.images} (give another with --images)"]
        )
        if self.metadata is not None and not self.metadata.is_file():
            lines.append(f"the metadata file {self.metadata} (give another with --metadata)")
        return lines
