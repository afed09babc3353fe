"""The feature worker.

A batch of photographs with their class maps to visual representations. A plain class, hosted by `compute` or by a loop.

What is predicted from the features belongs to `inference`.
Torch is imported where the worker is made: whoever only sends the class away need not wait for it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.pairs import Crops, Pair, PairError, decode_pair, stack_pairs
from geo_pipeline.imagery.crops import centre_crop, ten_crop

if TYPE_CHECKING:
    import torch


DECODE_THREADS = 4
"""Threads that decode and crop for one network; how many cores a GPU needs: docs/measurements/feeding.md."""


@dataclass(frozen=True, eq=False)
class CutPairs:
    """Crops of a batch as the network takes them, in groups that are cut while the first are computed on."""

    image_ids: list[str]
    groups: list[Future[Crops]]


class Cutter:
    """Threads that make groups of crops ahead of the network, in the order in which they are asked for."""

    def __init__(self, threads: int = DECODE_THREADS) -> None:
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="cut")

    def cut(self, rows: int, at_once: int, crops_of: Callable[[int], Sequence[Pair]]) -> list[Future[Crops]]:
        """The crops of so many rows, `at_once` rows a group; `crops_of(row)` runs in the threads."""

        def group(start: int) -> Crops:
            return stack_pairs([crop for row in range(start, min(start + at_once, rows)) for crop in crops_of(row)])

        return [self._threads.submit(group, start) for start in range(0, rows, at_once)]


def on_device(groups: Sequence[Future[Crops]], device: "torch.device") -> Iterator[Crops]:
    """The groups one after the other; a copy from pinned memory does not wait for the device."""
    for group in groups:
        pixels_BCHW, maps_BHW = group.result()
        yield pixels_BCHW.to(device, non_blocking=True), maps_BHW.to(device, non_blocking=True)


class FeatureWorker:
    """Loads a checkpoint once, then maps tables."""

    def __init__(
        self,
        checkpoint_dir: Path | str,
        inference: InferenceConfig | None = None,
        device: str | None = None,
    ) -> None:
        from geo_pipeline.geosurge.model import GeoSurge

        self.inference = inference or InferenceConfig()
        self.model = GeoSurge.from_pretrained(checkpoint_dir, device=device)
        self.device = self.model.geography.log_scale_P.device
        self.cutter = Cutter()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table with image_id, jpeg, class_map_png to one with image_id and feature.

        The mean of the crops' unit features in half precision, not normalised again.

        Raises PairError naming the images that have no class map: none is invented.
        """
        return self.compute(self.prepare(batch))

    def prepare(self, batch: pa.Table) -> CutPairs:
        """Have a batch decoded and cropped, `inference.batch` crops a group, in threads beside `compute`."""
        ids, maps = batch["image_id"].to_pylist(), batch["class_map_png"].to_pylist()
        missing = [image_id for image_id, png in zip(ids, maps, strict=True) if png is None]
        if missing:
            raise PairError(
                f"{len(missing)} of {len(ids)} images have no class map: {', '.join(missing[:10])}. Expected one for "
                "each; segment them first."
            )
        vision, jpegs = self.model.config.vision, [jpeg.as_py() for jpeg in batch["jpeg"]]

        def crops_of(row: int) -> list[Pair]:
            pair = decode_pair(jpegs[row], maps[row], vision.resize_px)
            return crops(pair, vision.input_px, self.inference)

        at_once = max(1, self.inference.batch // self._crops_per_image)
        return CutPairs(ids, self.cutter.cut(len(ids), at_once, crops_of))

    def compute(self, prepared: CutPairs) -> pa.Table:
        """The result of `__call__` for a prepared batch."""
        vectors = self._features(prepared.groups)
        offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
        column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.astype(np.float16).ravel()))
        return pa.table({"image_id": pa.array(prepared.image_ids, pa.string()), "feature": column})

    @property
    def _crops_per_image(self) -> int:
        return 10 if self.inference.crops == "ten" else 1

    def _features(self, groups: list[Future[Crops]]) -> np.ndarray:
        """Mean unit features (B, D), a group of crops at a time, in the precision of the training."""
        import torch

        bf16 = self.model.config.training.precision == "bf16"
        means = [np.zeros((0, self.model.config.embedding_dim), np.float32)]
        with torch.inference_mode():
            for pixels_BCHW, maps_BHW in on_device(groups, self.device):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                    features_BD = self.model.encoder(pixels_BCHW, maps_BHW).float()
                means.append(features_BD.unflatten(0, (-1, self._crops_per_image)).mean(dim=1).cpu().numpy())
        return np.concatenate(means)


class PhotographPredictor(FeatureWorker):
    """From photographs to their best cells in one, for a network whose features nobody else reads.

    `method` is the name that the rows carry.
    """

    def __init__(self, checkpoint_dir: Path | str, inference: InferenceConfig, method: str) -> None:
        from geo_pipeline.geosurge.inference import CellPredictor

        super().__init__(checkpoint_dir, inference)
        self.cells = CellPredictor(checkpoint_dir, inference, method=method)

    def compute(self, prepared: CutPairs) -> pa.Table:
        """Rows of the predictions table of a prepared batch."""
        return self.cells(super().compute(prepared))


def crops(pair: Pair, side_px: int, inference: InferenceConfig) -> list[Pair]:
    """The crops of an image and its map: ten (four corners and centre, each mirrored) or the centre."""
    if inference.crops == "centre":
        return [centre_crop(*pair, side_px)]
    images, class_maps = ten_crop(*pair, side_px)
    return list(zip(images, class_maps, strict=True))
