"""Images and their class maps, decoded together: the rows that training reads, and batches of crops.

An image and its map always go through the same resize, crop and flip. Decoding of hostile files belongs to `imagery`;
here bytes are already canonical.

Shapes: B images, H x W pixels, N rows.
"""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from geo_pipeline.geosurge.config import TrainingConfig, VisionConfig
from geo_pipeline.imagery.crops import centre_crop, resize_pair
from geo_pipeline.imagery.decode import decode_rgb

Pair = tuple[np.ndarray, np.ndarray]
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
            f"The class map is {class_map_HW.shape} of {class_map_HW.dtype}, its image {image_HWC.shape[:2]}; expected "
            "the same size and 8 bits."
        )
    if min(class_map_HW.shape) == resize_px:
        return image_HWC, class_map_HW
    return resize_pair(image_HWC, class_map_HW, resize_px)


def stack_pairs(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """uint8 pixels (B, 3, H, W) and class maps (B, H, W) of equally large pairs."""
    pixels_BHWC = torch.from_numpy(np.stack([image for image, _ in pairs]))
    return pixels_BHWC.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(
        np.stack([class_map for _, class_map in pairs])
    )


class TrainingPairs:
    """The rows of sets `train` and `holdout` in image and segmentation files; decoded once when they fit the memory
    budget, else per batch.
    """

    def __init__(
        self, images: Sequence[Path], segmentations: Sequence[Path], vision: VisionConfig, training: TrainingConfig
    ) -> None:
        table = _read_joined(images, segmentations)
        self.without_map: list[str] = table.filter(pa.compute.is_null(table["class_map_png"]))["image_id"].to_pylist()
        table = table.filter(pa.compute.is_valid(table["class_map_png"])).sort_by("image_id")
        self.image_ids: list[str] = table["image_id"].to_pylist()
        self.lat_deg = table["lat_deg"].to_numpy()
        self.lon_deg = table["lon_deg"].to_numpy()
        sets = np.asarray(table["set_name"].to_pylist(), dtype=object)
        self.train_rows = np.flatnonzero(sets == "train")
        self.holdout_rows = np.flatnonzero(sets == "holdout")
        self._jpeg, self._png = table["jpeg"], table["class_map_png"]
        self._vision, self._training = vision, training
        self._decoded: list[Pair] | None = None
        self._pool = ThreadPoolExecutor(max_workers=max(1, training.loader_threads))
        self.fingerprint = self._hash(sets)
        if self._fits():
            self._decoded = self._decode(np.arange(len(self.image_ids)))

    def batch(self, rows: np.ndarray, epoch: int | None) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) and class maps (B, H, W), uint8, of these rows.

        `epoch` None gives centre crops, a number the training crops of that epoch.
        """
        pairs = self._decode(rows) if self._decoded is None else [self._decoded[row] for row in rows]
        return stack_pairs([self._crop(pair, int(row), epoch) for pair, row in zip(pairs, rows, strict=True)])

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

    def _decode(self, rows: np.ndarray) -> list[Pair]:
        return list(self._pool.map(self._decode_row, rows.tolist()))

    def _decode_row(self, row: int) -> Pair:
        try:
            return decode_pair(self._jpeg[row].as_py(), self._png[row].as_py(), self._vision.resize_px)
        except (PairError, OSError) as error:
            raise PairError(f"{self.image_ids[row]}: {error} Segment this image's shard again.") from error

    def _fits(self) -> bool:
        some = self._decode(np.arange(min(16, len(self.image_ids))))
        largest = max((image.nbytes + class_map.nbytes for image, class_map in some), default=0)
        return largest * len(self.image_ids) <= self._training.decoded_budget_mib * _MIB

    def _hash(self, sets: np.ndarray) -> str:
        digest = hashlib.sha256()
        for row, image_id in enumerate(self.image_ids):
            digest.update(f"{image_id}\0{sets[row]}\0{self.lat_deg[row]!r}\0{self.lon_deg[row]!r}\0".encode())
            for column in (self._jpeg, self._png):
                digest.update(hashlib.sha256(column[row].as_buffer()).digest())
        return digest.hexdigest()


def _read_joined(images: Sequence[Path], segmentations: Sequence[Path]) -> pa.Table:
    columns = ["image_id", "set_name", "lat_deg", "lon_deg", "jpeg"]
    wanted = pa.compute.field("set_name").isin(["train", "holdout"])
    pictures = pa.concat_tables([pq.read_table(path, columns=columns, filters=wanted) for path in images])
    maps = pa.concat_tables([pq.read_table(path, columns=["image_id", "class_map_png"]) for path in segmentations])
    row_of = {image_id: row for row, image_id in enumerate(maps["image_id"].to_pylist())}
    rows = pa.array([row_of.get(image_id) for image_id in pictures["image_id"].to_pylist()], pa.int64())
    return pictures.append_column("class_map_png", maps["class_map_png"].combine_chunks().take(rows))
