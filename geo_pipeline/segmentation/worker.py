"""The segmentation worker.

A table of canonical images to rows of the segmentations table. A plain class, hosted by `compute` or by a loop.

Torch is imported where the worker is made: whoever only sends the class away need not wait for it.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.segmentation.class_maps import encode_class_map
from geo_pipeline.segmentation.config import SegmentationConfig


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Images of a batch, uint8 (H, W, 3) each, with their ids."""

    image_ids: pa.ChunkedArray
    images: list[np.ndarray]


class SegmentationWorker:
    """Loads OneFormer once, then maps tables; arguments are plain values, so that they travel to other processes."""

    def __init__(self, config: SegmentationConfig | None = None, device: str | None = None) -> None:
        from geo_pipeline.segmentation.oneformer import Segmenter

        self.segmenter = Segmenter(config, device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table with image_id and jpeg to one with image_id, class_map_png, width, height.

        One call is one batch: the same rows give the same bytes.
        """
        return self.compute(self.prepare(batch))

    def prepare(self, batch: pa.Table) -> DecodedImages:
        """Decode a batch; may run in a thread beside `compute`."""
        return DecodedImages(batch["image_id"], [decode_rgb(jpeg.as_py()) for jpeg in batch["jpeg"]])

    def compute(self, prepared: DecodedImages) -> pa.Table:
        """The result of `__call__` for a prepared batch."""
        maps = self.segmenter.segment(prepared.images)
        return pa.table(
            {
                "image_id": prepared.image_ids.cast(pa.string()),
                "class_map_png": pa.array([encode_class_map(class_map) for class_map in maps], pa.binary()),
                "width": pa.array([class_map.shape[1] for class_map in maps], pa.int32()),
                "height": pa.array([class_map.shape[0] for class_map in maps], pa.int32()),
            }
        )
