"""What methods read of photographs and of the reference gallery, in the shape in which their workers take it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.home.halves import Halves
from geo_pipeline.methods.joining import with_column, with_columns
from geo_pipeline.methods.method import Reads

if TYPE_CHECKING:
    from geo_pipeline.geosurge.gallery import Gallery

GALLERY_COLUMNS = ("image_id", "author", "lat_deg", "lon_deg", "sha256", "phash")


def photographs(reads: Reads, key: str) -> pa.Table:
    """image_id and jpeg of one shard."""
    return reads.table("images", key, ["image_id", "jpeg"])


def photographs_and_maps(reads: Reads, key: str) -> pa.Table:
    """image_id, jpeg and class_map_png of one shard, in the order of its images."""
    maps = reads.table("segmentations", key, ["image_id", "class_map_png"])
    return with_column(photographs(reads, key), maps, "class_map_png")


def reference_gallery(reads: Reads) -> "Gallery":
    """The reference photographs in the order of their features, which stay in their files."""
    from geo_pipeline.geosurge.gallery import Gallery

    parts: list[pa.Table] = []
    features: list[Halves] = []
    reads.listed("reference_gallery", "images")
    for key in reads.listed("reference_gallery", "features"):
        ids = reads.table("features", key, ["image_id"])
        parts.append(with_columns(ids, reads.table("images", key, GALLERY_COLUMNS)))
        features += reads.mapped("features", key, "feature")
    return Gallery(pa.concat_tables(parts), features)


def reference_images(reads: Reads, image_ids: Sequence[str]) -> pa.Table:
    """image_id and jpeg of some reference images."""
    return pa.concat_tables(
        [
            reads.table("images", key, ["image_id", "jpeg"], image_ids)
            for key in reads.listed("image_manifest", "images")
        ]
    )
