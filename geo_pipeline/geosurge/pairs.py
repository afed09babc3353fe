"""Images and their class maps, decoded together: the rows that training reads, and batches of crops.

An image and its map always go through the same resize, crop and flip. Decoding of hostile files belongs to `imagery`;
here bytes are already canonical. Torch is imported where tensors are made, for the workers (see `worker`).

Shapes: B images, H x W pixels, N rows.
"""

import hashlib
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from PIL import Image

from geo_pipeline.geosurge.config import TrainingConfig, VisionConfig
from geo_pipeline.geosurge.row_groups import ColumnFiles, KeptGroups, files_digest, read_columns, rows_by_id
from geo_pipeline.imagery.crops import centre_crop, resize_pair
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.training.order import Part

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Pair = tuple[np.ndarray, np.ndarray]
Crops = tuple["Tensor", "Tensor"]
"""Pixels (B, 3, H, W) and class maps (B, H, W), uint8."""
_MIB = 1 << 20


class PairError(ValueError):
    """Images and class maps that do not belong together; the message names the images."""


def decode_pair(jpeg: bytes, class_map_png: bytes, resize_px: int) -> Pair:
    """uint8 image (H, W, 3) and class map (H, W), resized together to a shorter side of `resize_px`.

    Raises PairError when their sizes differ.
    """
    image_HWC = decode_rgb(jpeg)
    with Image.open(io.BytesIO(class_map_png)) as png:
        class_map_HW = np.asarray(png)
    if class_map_HW.shape != image_HWC.shape[:2] or class_map_HW.dtype != np.uint8:
        raise PairError(
            f"found that the class map is {class_map_HW.shape} of {class_map_HW.dtype}, its image "
            f"{image_HWC.shape[:2]}; expected the same size and 8 bits."
        )
    if min(class_map_HW.shape) == resize_px:
        return image_HWC, class_map_HW
    return resize_pair(image_HWC, class_map_HW, resize_px)


def empty_crops(count: int, side_px: int) -> Crops:
    """Room for so many square crops; in pinned memory where there is a GPU, so that a copy to it runs beside it."""
    import torch

    pinned = torch.cuda.is_available()
    return (
        torch.empty(count, 3, side_px, side_px, dtype=torch.uint8, pin_memory=pinned),
        torch.empty(count, side_px, side_px, dtype=torch.uint8, pin_memory=pinned),
    )


def stack_pairs(pairs: Sequence[Pair]) -> Crops:
    """uint8 pixels (B, 3, H, W) and class maps (B, H, W) of equally large square pairs, each copied once.

    In numpy only: an operator of torch in the loader's thread would keep a second team of OpenMP threads spinning
    beside the one that trains.
    """
    stacked = empty_crops(len(pairs), pairs[0][1].shape[0])
    for slot, pair in enumerate(pairs):
        put_pair(stacked, slot, pair)
    return stacked


def put_pair(stacked: Crops, slot: int, pair: Pair) -> None:
    """Copy a square pair to its place among others."""
    pixels_BCHW, class_map_BHW = stacked
    pixels_BCHW[slot].numpy()[:] = pair[0].transpose(2, 0, 1)
    class_map_BHW[slot].numpy()[:] = pair[1]


class TrainingPairs:
    """The rows of sets `train` and `holdout` of image files, each with its row in the segmentation files.

    Pixels are read by row group when they are needed (`row_groups`), so that memory does not grow with the data;
    decoded pairs are kept when all of them fit `decoded_budget_mib`.
    """

    def __init__(
        self, images: Sequence[Path], segmentations: Sequence[Path], vision: VisionConfig, training: TrainingConfig
    ) -> None:
        table = read_columns(images, ("image_id", "set_name", "lat_deg", "lon_deg"))
        map_ids = read_columns(segmentations, ("image_id",))["image_id"]
        map_rows = rows_by_id(map_ids, table["image_id"])
        sets = table["set_name"].to_numpy()
        wanted = (sets == "train") | (sets == "holdout")
        self.without_map: list[str] = table["image_id"].filter(pa.array(wanted & (map_rows < 0))).to_pylist()
        rows = np.flatnonzero(wanted & (map_rows >= 0))
        self.image_ids = table["image_id"].take(pa.array(rows)).combine_chunks()
        self.lat_deg, self.lon_deg = table["lat_deg"].to_numpy()[rows], table["lon_deg"].to_numpy()[rows]
        self.train_rows, self.holdout_rows = (np.flatnonzero(sets[rows] == name) for name in ("train", "holdout"))
        self._image_rows, self._map_rows = rows, map_rows[rows]
        self._jpeg = KeptGroups(ColumnFiles(images, "jpeg"), training.loader_budget_mib)
        self._png = KeptGroups(ColumnFiles(segmentations, "class_map_png"), training.loader_budget_mib)
        self._vision, self._training = vision, training
        self._pool = ThreadPoolExecutor(max_workers=max(1, training.loader_threads), thread_name_prefix="decode")
        # Two batches at once: while the last rows of one are decoded, free threads begin the next.
        self._ahead = ThreadPoolExecutor(max_workers=min(2, max(1, training.prefetch)), thread_name_prefix="ahead")
        self.fingerprint = hashlib.sha256(f"{files_digest(images)}:{files_digest(segmentations)}".encode()).hexdigest()
        self._decoded: dict[int, Pair] | None = {} if self._fits() else None

    def groups(self, rows: np.ndarray) -> list[np.ndarray]:
        """These rows, divided by the row group in which their images lie."""
        group = self._jpeg.files.group_of(self._image_rows[rows])
        edges = np.flatnonzero(np.diff(group)) + 1
        return [part for part in np.split(rows, edges) if len(part)]

    def batch(self, rows: np.ndarray, epoch: int | None) -> Crops:
        """Pixels (B, 3, H, W) and class maps (B, H, W), uint8, of these rows.

        `epoch` None gives centre crops, a number the training crops of that epoch.
        """
        stacked = empty_crops(len(rows), self._vision.input_px)

        def put(slot: int) -> None:
            row = int(rows[slot])
            put_pair(stacked, slot, self._crop(self._pair(row), row, epoch))

        for _ in self._pool.map(put, range(len(rows))):
            pass  # raises what a thread has raised
        return stacked

    def prefetched(
        self, parts: Iterable[Part], epoch: int | None, device: "torch.device"
    ) -> Iterator[tuple[Part, Crops]]:
        """Each part with the `batch` of its rows, on the device, made ahead of time: `prefetch` batches wait while one
        is trained on.
        """
        waiting: deque[tuple[Part, Future[Crops]]] = deque()
        for part in parts:
            waiting.append((part, self._ahead.submit(self.batch, part.rows_M, epoch)))
            if len(waiting) > self._training.prefetch:
                yield _arrived(*waiting.popleft(), device)
        while waiting:
            yield _arrived(*waiting.popleft(), device)

    def _crop(self, pair: Pair, row: int, epoch: int | None) -> Pair:
        side = self._vision.input_px
        random_crop, flip = self._training.random_crop, self._training.horizontal_flip
        if epoch is None or not (random_crop or flip):
            return centre_crop(*pair, side)
        draw = np.random.default_rng([self._training.seed, epoch, row])
        top, left = (int(draw.integers(0, length - side + 1)) for length in pair[1].shape)
        image, class_map = centre_crop(*pair, side)
        if random_crop:
            image, class_map = (array[top : top + side, left : left + side] for array in pair)
        if flip and draw.random() < 0.5:
            image, class_map = image[:, ::-1], class_map[:, ::-1]
        return image, class_map

    def _pair(self, row: int) -> Pair:
        if self._decoded is None:
            return self._decode_row(row)
        pair = self._decoded.get(row)
        if pair is None:
            pair = self._decoded[row] = self._decode_row(row)
        return pair

    def _decode_row(self, row: int) -> Pair:
        try:
            jpeg, png = self._jpeg.value(int(self._image_rows[row])), self._png.value(int(self._map_rows[row]))
            return decode_pair(jpeg, png, self._vision.resize_px)
        except (PairError, OSError) as error:
            raise PairError(f"{self.image_ids[row]}: {error} Segment this image's shard again.") from error

    def _fits(self) -> bool:
        some = [self._decode_row(row) for row in range(min(16, len(self.image_ids)))]
        largest = max((image.nbytes + class_map.nbytes for image, class_map in some), default=0)
        return largest * len(self.image_ids) <= self._training.decoded_budget_mib * _MIB


def _arrived(part: Part, crops: Future[Crops], device: "torch.device") -> tuple[Part, Crops]:
    pixels_MCHW, class_map_MHW = crops.result()
    return part, (pixels_MCHW.to(device, non_blocking=True), class_map_MHW.to(device, non_blocking=True))
