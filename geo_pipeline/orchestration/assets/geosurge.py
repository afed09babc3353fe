"""The assets `geosurge_checkpoint`, `features` and `reference_gallery`. The network stands in geosurge.model."""

from collections.abc import Mapping

from geo_pipeline.methods.photographs import photographs_and_maps
from geo_pipeline.orchestration.partitions import all_shards, every, reference_shards, same_shard, whole
from geo_pipeline.orchestration.recipe import GPU, asset, checkpoint, listing, tables
from geo_pipeline.orchestration.work import ShardReads, Work


@asset(
    title="GeoSURGE checkpoint",
    reads={"image_manifest": whole, "segmentation_manifest": whole, "geocells": whole},
    writes=checkpoint("geosurge_checkpoint"),
    settings=lambda scope: (scope.profile.geosurge, scope.profile.compute.training_settings()),
    group_name="geosurge",
    kinds={"pytorch", "ray"},
    pool=GPU,
)
def geosurge_checkpoint(work: Work) -> None:
    """GeoSURGE, trained: a network that maps a photograph and every geocell into one space, from the look of the
    photograph and the map of what is in it.
    """
    from geo_pipeline.geosurge.training import train

    work.train(
        train,
        images=work.listed_paths("image_manifest", "images"),
        segmentations=work.listed_paths("segmentation_manifest", "segmentations"),
        hierarchy_table=work.path("geocells"),
        config=work.profile.geosurge,
    )


@asset(
    title="Features",
    partitions=all_shards,
    reads={"images": same_shard, "segmentations": same_shard, "geosurge_checkpoint": whole},
    writes=tables("features"),
    settings=lambda scope: (scope.profile.inference, scope.profile.compute.byte_settings()),
    group_name="geosurge",
    kinds={"parquet", "pytorch", "ray"},
    pool=GPU,
)
def features(work: Work) -> None:
    """What GeoSURGE sees in each photograph, as one vector: compared with geocells it gives a coordinate, with other
    photographs a likeness.
    """
    from geo_pipeline.geosurge.worker import FeatureWorker

    work.map_shards(FeatureWorker, photographs_and_maps, trained)


@asset(
    title="Reference gallery",
    reads={"images": every(reference_shards), "features": every(reference_shards)},
    writes=listing("reference_gallery"),
    group_name="geosurge",
    kinds={"json"},
)
def reference_gallery(work: Work) -> None:
    """The reference photographs as retrieval searches them: the list of their images and features."""
    work.list_inputs()


def trained(reads: ShardReads) -> Mapping[str, object]:
    """The trained network, and how it is asked."""
    return {"checkpoint_dir": reads.checkpoint("geosurge_checkpoint"), "inference": reads.profile.inference}
