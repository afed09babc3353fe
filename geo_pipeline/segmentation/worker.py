"""The segmentation worker.

A table of canonical images to rows of the segmentations table. A plain class, hosted by `compute` or by a loop.

Torch is imported where the worker is made: whoever only sends the class away need not wait for it.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.segmentation.class_maps import encode_class_map
from geo_pipeline.segmentation.config import SegmentationConfig

ENCODE_THREADS = 2
"""Threads that compress maps while the network draws the next."""


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
        self._threads = ThreadPoolExecutor(max_workers=ENCODE_THREADS, thread_name_prefix="encode")

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
        maps = {place: self._threads.submit(_stored, found) for place, found in self.segmenter.maps(prepared.images)}
        stored = [maps[place].result() for place in range(len(maps))]
        return pa.table(
            {
                "image_id": prepared.image_ids.cast(pa.string()),
                "class_map_png": pa.array([png for png, _, _ in stored], pa.binary()),
                "width": pa.array([width for _, width, _ in stored], pa.int32()),
                "height": pa.array([height for _, _, height in stored], pa.int32()),
            }
        )


def _stored(class_map_HW: np.ndarray) -> tuple[bytes, int, int]:
    height, width = class_map_HW.shape
    return encode_class_map(class_map_HW), width, height
