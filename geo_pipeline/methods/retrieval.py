"""The retrieval paradigm (GeoRouter's g_ret).

The coordinate of the best reference photograph, with the K best as candidates.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.methods.joining import with_column
from geo_pipeline.methods.method import Method, Reads
from geo_pipeline.methods.photographs import reference_gallery

if TYPE_CHECKING:
    from geo_pipeline.geosurge.retrieval import RetrievalPredictor

IDENTITY = ("image_id", "author", "lat_deg", "lon_deg", "sha256", "phash")


def _queries(reads: Reads, query_set: str) -> pa.Table:
    return with_column(reads.table("images", query_set, IDENTITY), reads.table("features", query_set), "feature")


def _arguments(reads: Reads) -> Mapping[str, object]:
    return {
        "checkpoint_dir": reads.checkpoint("geosurge_checkpoint"),
        "inference": reads.profile.inference,
        "gallery": reference_gallery(reads),
    }


def _worker() -> "type[RetrievalPredictor]":
    from geo_pipeline.geosurge.retrieval import RetrievalPredictor

    return RetrievalPredictor


RETRIEVAL = Method(
    name="retrieval",
    title="Retrieval (best reference)",
    kind="retrieval",
    description=(
        "The retrieval paradigm's answer: the coordinate of the reference photograph that fits best by cell "
        "and by look, with its K candidates."
    ),
    asset="retrieval_predictions",
    upstream=("geosurge_checkpoint", "reference_gallery", "images", "features"),
    worker=_worker,
    queries=_queries,
    arguments=_arguments,
    settings=lambda profile: profile.inference,
)
