"""The real training loop fed from Parquet files that are drawn here: how long a step waits for its images.

The pictures are random, of the canonical size, and as hard to decode as photographs.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.pairs import TrainingPairs
from geo_pipeline.geosurge.training import train_on

DIFFERENT = 64
"""Pictures drawn; beyond so many they repeat, each with an id of its own, and are decoded again each time."""
ROW_GROUP = 64


def pictures(count: int, shorter_px: int) -> tuple[list[bytes], list[bytes]]:
    """JPEGs of 4:3 with structure at every scale, and PNG maps of a few classes with ragged borders."""
    rng = np.random.default_rng(0)
    height, width = shorter_px, shorter_px * 4 // 3
    drawn = []
    for _ in range(min(count, DIFFERENT)):
        picture = np.zeros((height, width, 3), np.float32)
        for cells, strength in ((4, 60), (16, 30), (64, 20)):
            noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
            smooth = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
            picture += strength / 128 * (np.asarray(smooth, np.float32) - 128)
        blobs = Image.fromarray(rng.integers(0, 150, (5, 6), dtype=np.uint8)).resize((width, height), 0)
        ragged = np.asarray(blobs)[
            np.arange(height)[:, None], (np.arange(width) + rng.integers(0, 3, (height, 1))) % width
        ]
        drawn.append(
            (
                _saved((picture + 128).clip(0, 255).astype(np.uint8), "JPEG", quality=92, subsampling=0),
                _saved(ragged, "PNG", compress_level=9),
            )
        )
    chosen = [drawn[row % len(drawn)] for row in range(count)]
    return [jpeg for jpeg, _ in chosen], [png for _, png in chosen]


def _saved(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def draw_files(folder: Path, count: int, shorter_px: int) -> tuple[Path, Path]:
    """`images` and `segmentations` of `count` training images as Parquet."""
    rng = np.random.default_rng(1)
    jpegs, pngs = pictures(count, shorter_px)
    ids = pa.array([f"image-{row:07d}" for row in range(count)])
    folder.mkdir(parents=True, exist_ok=True)
    images, maps = folder / "images.parquet", folder / "segmentations.parquet"
    columns = {
        "image_id": ids,
        "set_name": pa.array(["train"] * count),
        "lat_deg": np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
        "lon_deg": rng.uniform(-180, 180, count),
        "jpeg": pa.array(jpegs, pa.binary()),
    }
    pq.write_table(pa.table(columns), images, row_group_size=ROW_GROUP)
    pq.write_table(
        pa.table({"image_id": ids, "class_map_png": pa.array(pngs, pa.binary())}), maps, row_group_size=ROW_GROUP
    )
    return images, maps


def fed(model: GeoSurge, steps: int, folder: Path) -> dict[str, float]:
    """Images per second and the share of time in which the device waits for images, in the second of two epochs.

    Trains `model` with its own configuration; the first epoch warms up.
    """
    count = steps * model.config.training.batch
    images, maps = draw_files(folder, count, model.config.vision.resize_px)
    pairs = TrainingPairs([images], [maps], model.config.vision, model.config.training)
    reports: list[dict[str, Any]] = []
    train_on(pairs, model, folder / "checkpoint", reports.append)
    last = reports[-1]
    return {
        "images_per_s": float(last["images_per_second"]),
        "wait_share": float(last["loader_wait_share"]),
        "steps": steps,
        "batch": model.config.training.batch,
        "loader_threads": model.config.training.loader_threads,
    }
