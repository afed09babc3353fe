"""GeoSURGE itself (its Tables I to V): the mean coordinate of the best cell of the finest partition."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.methods.method import Method, Reads

if TYPE_CHECKING:
    from geo_pipeline.geosurge.inference import CellPredictor


def _queries(reads: Reads, query_set: str) -> pa.Table:
    return reads.table("features", query_set)


def _arguments(reads: Reads) -> Mapping[str, object]:
    return {"checkpoint_dir": reads.checkpoint("geosurge_checkpoint"), "inference": reads.profile.inference}


def _worker() -> "type[CellPredictor]":
    from geo_pipeline.geosurge.inference import CellPredictor

    return CellPredictor


GEOSURGE = Method(
    name="geosurge",
    title="GeoSURGE (best cell)",
    kind="cells",
    description=(
        "GeoSURGE's answer to every query: the mean coordinate of the geocell that fits the photograph best "
        "over all partitions."
    ),
    asset="geosurge_predictions",
    upstream=("geosurge_checkpoint", "features"),
    worker=_worker,
    queries=_queries,
    arguments=_arguments,
    settings=lambda profile: profile.inference,
)
