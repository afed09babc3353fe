"""A folder of real photographs with the sample's small networks: shows the lineage on real files, claims no skill."""

import math
from dataclasses import replace
from pathlib import Path

from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.sources import FilesSpec, files_spec

SHARD_ROWS = 150
"""About how many photographs a shard holds at the first run; the number of shards then stays."""
STATEMENT = (
    "Real photographs, few of them, and small networks that were pretrained on drawn planets, not on "
    "photographs: this run shows that the "
    "lineage carries real files from end to end and says nothing of skill."
)


def photos(files: FilesSpec | str | Path, seed: int = 0, shards: int | None = None) -> Profile:
    """The profile `photos` for a few hundred to a few thousand photographs; `shards` None: counted from the files."""
    spec = files if isinstance(files, FilesSpec) else files_spec(files)
    count = shards if shards is not None else 1 if spec.missing() else shards_for(spec)
    return replace(
        sample(seed),
        name="photos",
        statement=STATEMENT,
        source_words="few photographs, small networks pretrained on drawn planets",
        source=spec,
        split=SplitConfig.photographs(),
        reference_shards=count,
        benchmarks=("photos",),
        partition=PartitionConfig(tau_min=2, tau_max=(60, 40, 30, 20, 14, 10, 6)),
        inference=replace(InferenceConfig.sample(), crops="ten"),
        max_rejected_share=Profile.max_rejected_share,
    )


def shards_for(spec: FilesSpec, index: Path | None = None) -> int:
    """Enough reference shards for all photographs; their number has to be known before anything is read.

    Counts rows of the metadata, else loose files, else the photographs inside containers (kept in `index`).
    """
    from geo_pipeline.imagery.metadata.read import read_metadata
    from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES, Files

    if spec.metadata is not None:
        count = read_metadata(spec.metadata).num_rows
    else:
        files = Files(spec.images, follow_links=True).walk()
        count = sum(file.name.lower().endswith(IMAGE_SUFFIXES) for file in files)
        if not count:
            count = sum(batch.num_rows for batch in spec.open(index).listing())
    return max(1, math.ceil(count / SHARD_ROWS))
