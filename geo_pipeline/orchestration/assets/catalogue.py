"""The asset `catalogue`. How photographs are listed, split and refused belongs to imagery."""

from geo_pipeline.home.artifact import table
from geo_pipeline.orchestration.observation import current_catalogue
from geo_pipeline.orchestration.partitions import all_shards, same_shard
from geo_pipeline.orchestration.recipe import asset
from geo_pipeline.orchestration.work import Work


@asset(
    title="Catalogue",
    partitions=all_shards,
    reads={"photographs": same_shard},
    writes=lambda key: (table("catalogue", key), table("quarantine", f"catalogue/{key}")),
    settings=lambda scope: (scope.profile.split, scope.shards.all),
    counted=lambda scope: scope.profile.source.readers(),
    group_name="photographs",
    kinds={"parquet"},
)
def catalogue(work: Work) -> None:
    """The list of all photographs with where each was taken, by whom, and to which set it belongs: training, hold-out,
    router queries or a benchmark. Records that cannot be used are kept in the table quarantine with the reason.
    """
    from geo_pipeline.imagery.catalogue import build_catalogue, shard_notes

    listed = current_catalogue(work.scope, work.home, build_catalogue)
    work.log(f"{listed.rows:,} photographs are kept, {listed.rejected:,} rejected")
    for key in work.keys:
        kept, refused = listed.kept(key), listed.refused(key)
        work.write(key, shard_notes(listed, key), catalogue=kept, quarantine=refused)
