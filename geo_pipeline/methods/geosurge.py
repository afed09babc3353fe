"""GeoSURGE itself (its Tables I to V): the mean coordinate of the best cell of the finest partition."""

from collections.abc import Mapping

import pyarrow as pa

from geo_pipeline.methods.method import Method, Reads


def _queries(reads: Reads, query_set: str) -> pa.Table:
    return reads.table("features", query_set)


def _arguments(reads: Reads) -> Mapping[str, object]:
    return {"checkpoint_dir": reads.checkpoint("geosurge_checkpoint"), "inference": reads.profile.inference}


GEOSURGE = Method(
    name="geosurge",
    title="GeoSURGE (best cell)",
    paradigm="cells",
    description=(
        "GeoSURGE's answer to every query: the mean coordinate of the geocell that fits the photograph best "
        "over all partitions."
    ),
    asset="geosurge_predictions",
    upstream=("geosurge_checkpoint", "features"),
    implementation="geo_pipeline.geosurge.inference:CellPredictor",
    queries=_queries,
    arguments=_arguments,
    rooms=("geosurge", "earth"),
    settings=lambda profile: profile.inference,
)
