"""The worker that answers queries with a baseline: photographs with their class maps to rows of the predictions table.

A plain class, hosted by Ray or by a loop. What a baseline computes belongs to its own module.
Torch is imported where the worker is made: whoever only sends the class away need not wait for it.

Shapes: B images, S length of a description.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from geo_pipeline.baselines.registry import needs_class_maps
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.pairs import Pair, PairError, decode_pair
from geo_pipeline.geosurge.prediction_rows import prediction_table
from geo_pipeline.geosurge.worker import CutPairs, Cutter, crops, on_device
from geo_pipeline.imagery.crops import resize_pair
from geo_pipeline.imagery.decode import decode_rgb

if TYPE_CHECKING:
    from torch import Tensor

    from geo_pipeline.baselines.baseline import Located


class BaselinePredictor:
    """Loads a checkpoint once, then maps tables.

    `method` is the name that the rows carry (by default the baseline's). Of `inference`, `crops` and `batch` count.
    """

    def __init__(
        self,
        checkpoint_dir: Path | str,
        method: str | None = None,
        inference: InferenceConfig | None = None,
        device: str | None = None,
    ) -> None:
        from geo_pipeline.baselines import checkpoint
        from geo_pipeline.training.device import pick_device

        self.inference = inference or InferenceConfig()
        self.device = pick_device(device)
        self.model = checkpoint.load(checkpoint_dir, device=device)
        self.method = method or self.model.config.name
        self.cutter = Cutter()
        self.needs_class_maps = needs_class_maps(self.model.config)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table with image_id, jpeg and, where the baseline reads class maps, class_map_png to a prediction per row.

        Raises PairError naming the images that have no class map where one is needed: none is invented.
        """
        return self.compute(self.prepare(batch))

    def prepare(self, batch: pa.Table) -> CutPairs:
        """Have a batch decoded and cropped, `inference.batch` crops a group, in threads beside `compute`."""
        ids, jpegs = batch["image_id"].to_pylist(), [jpeg.as_py() for jpeg in batch["jpeg"]]
        maps, vision = self._class_maps(batch, ids), self.model.config.vision

        def crops_of(row: int) -> list[Pair]:
            return crops(_pair(jpegs[row], maps[row], vision.resize_px), vision.input_px, self.inference)

        return CutPairs(ids, self.cutter.cut(len(ids), self._images_at_once, crops_of))

    def compute(self, prepared: CutPairs) -> pa.Table:
        """The result of `__call__` for a prepared batch."""
        import torch

        found: list[Located] = []
        with torch.inference_mode():
            for pixels_BCHW, maps_BHW in on_device(prepared.groups, self.device):
                found.append(self.model.locate(self._described(pixels_BCHW, maps_BHW)))
        lats_deg, lons_deg, scores = (
            np.concatenate([np.zeros(0), *(part[column].double().cpu().numpy() for part in found)]).tolist()
            for column in range(3)
        )
        return prediction_table(self.method, prepared.image_ids, lats_deg, lons_deg, scores)

    @property
    def _images_at_once(self) -> int:
        return max(1, self.inference.batch // self._crops_per_image)

    @property
    def _crops_per_image(self) -> int:
        return 10 if self.inference.crops == "ten" else 1

    def _class_maps(self, batch: pa.Table, ids: list[str]) -> list[bytes | None]:
        if not self.needs_class_maps:
            return [None] * len(ids)
        if "class_map_png" not in batch.column_names:
            raise PairError(
                f"found columns {batch.column_names}; the baseline {self.model.config.name} reads class_map_png as "
                "well: join the segmentations."
            )
        maps: list[bytes | None] = batch["class_map_png"].to_pylist()
        missing = [image_id for image_id, png in zip(ids, maps, strict=True) if png is None]
        if missing:
            raise PairError(
                f"{len(missing)} of {len(ids)} images have no class map: {', '.join(missing[:10])}. Expected one for "
                "each; segment them first."
            )
        return maps

    def _described(self, pixels_BCHW: "Tensor", maps_BHW: "Tensor") -> "Tensor":
        """The mean description (B, S) of each image's crops."""
        described = self.model.described(pixels_BCHW, maps_BHW)
        return described.unflatten(0, (-1, self._crops_per_image)).mean(dim=1)


def _pair(jpeg: bytes, class_map_png: bytes | None, resize_px: int) -> Pair:
    """The decoded pair; a baseline that reads no class map gets an empty one."""
    if class_map_png is not None:
        return decode_pair(jpeg, class_map_png, resize_px)
    image_HWC = decode_rgb(jpeg)
    return resize_pair(image_HWC, np.zeros(image_HWC.shape[:2], np.uint8), resize_px)
