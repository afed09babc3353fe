"""A planet as a source of photographs, behind the same interface as a folder of real ones (`imagery.source`)."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
from PIL import Image

from geo_pipeline.imagery.source import MissingImageError, SourceRecord, batches_of, read_each
from geo_pipeline.sample_world.config import PlanetConfig
from geo_pipeline.sample_world.planet import Planet, found
from geo_pipeline.sample_world.scene import draw


@dataclass(frozen=True)
class PlanetSource:
    """The photographs of the planet of one seed. Ids are opaque: they say nothing of place, view or order.

    Sent to another process it leaves the drawn planet behind: the seed is enough to found it again.
    """

    seed: int
    config: PlanetConfig = field(default_factory=PlanetConfig)

    @cached_property
    def planet(self) -> Planet:
        """The planet, founded at first use."""
        return found(self.seed, self.config)

    def fingerprint(self) -> str:
        """Changes when the seed or the mixture changes."""
        return hashlib.sha256(f"planet:{self.seed}:{self.config}".encode()).hexdigest()

    def listing(self) -> Iterator[pa.RecordBatch]:
        """Batches of LISTING, in the planet's (untelling) order."""
        return batches_of(self.records())

    def records(self) -> Iterator[SourceRecord]:
        """Every photograph, in the same order."""
        stamp = self.fingerprint()[:16]  # seed and mixture decide every picture
        for index, photograph in enumerate(self.planet.photographs):
            image_id = hashlib.sha256(f"photograph:{self.seed}:{index}".encode()).hexdigest()[:16]
            yield SourceRecord(
                image_id,
                str(index),
                photograph.author,
                photograph.lat_deg,
                photograph.lon_deg,
                photograph.set_name,
                stamp=stamp,
            )

    def read(self, locator: str) -> bytes:
        """The photograph as PNG bytes; `locator` is what the listing gave."""
        picture = io.BytesIO()
        Image.fromarray(draw(self.planet, self.planet.photographs[int(locator)]).image).save(picture, "PNG")
        return picture.getvalue()

    def read_many(self, locators: Sequence[str]) -> Iterator[bytes | MissingImageError]:
        """The photographs as PNG bytes, drawn one after the other."""
        return read_each(self.read, locators)

    def __getstate__(self) -> dict[str, Any]:
        return {"seed": self.seed, "config": self.config}
