"""What a benchmark is. The sets themselves stand one per file beside this one.

How a score is computed belongs to scoring.
"""

from dataclasses import dataclass

from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.imagery.metadata.layout import MetadataFormat


@dataclass(frozen=True)
class Benchmark:
    """A query set with a protocol.

    - `name`: its set name in the catalogue and its shard; `expected_count`: the scored images by protocol, None where
      the user's data decides.
    - `metadata`: how its published metadata file is laid out; None where the user's own file decides.
    - `published`: whether rows of papers stand beside ours; `notes`: what a reader of the report must know.
    """

    name: str
    title: str
    expected_count: int | None = None
    thresholds_km: tuple[float, ...] = THRESHOLDS_KM
    published: bool = False
    notes: tuple[str, ...] = ()
    metadata: MetadataFormat | None = None
