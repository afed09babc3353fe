"""A folder of real photographs with the sample's small networks: shows the lineage on real files, claims no skill."""

import math
import os
from dataclasses import replace
from pathlib import Path

from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.sources import FolderSpec

SHARD_ROWS = 150
STATEMENT = (
    "Real photographs, few of them, and small networks that were pretrained on drawn planets, not on "
    "photographs: this run shows that the "
    "lineage carries real files from end to end and says nothing of skill."
)


def photos(images: Path, metadata: Path | None = None, seed: int = 0) -> Profile:
    """The profile `photos` for a folder of a few hundred to a few thousand photographs."""
    return replace(
        sample(seed),
        name="photos",
        statement=STATEMENT,
        source=FolderSpec(images.expanduser().absolute(), metadata.expanduser().absolute() if metadata else None),
        split=SplitConfig.photographs(),
        reference_shards=shards_for(images),
        shard_rows=SHARD_ROWS,
        benchmarks=("photos",),
        partition=PartitionConfig(tau_min=2, tau_max=(60, 40, 30, 20, 14, 10, 6)),
        max_rejected_share=0.9,
    )


def shards_for(images: Path) -> int:
    """Enough reference shards for every file below the folder (the number has to be known before anything is read)."""
    files = sum(len(names) for _, _, names in os.walk(images.expanduser(), followlinks=True))
    return max(1, math.ceil(files / SHARD_ROWS))
