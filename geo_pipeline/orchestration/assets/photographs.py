"""The asset `photographs`: what lies outside the home, and is looked at, never made. See source_asset.py."""

from geo_pipeline.orchestration.partitions import all_shards
from geo_pipeline.orchestration.recipe import asset, observation
from geo_pipeline.orchestration.work import Work


@asset(
    title="Photographs",
    partitions=all_shards,
    reads={},
    writes=observation("photographs"),
    group_name="photographs",
    kinds={"jpeg"},
    observed=True,
)
def photographs(work: Work) -> None:
    """The photographs where they lie, with their metadata; a shard is another when names, sizes or times in it are."""
