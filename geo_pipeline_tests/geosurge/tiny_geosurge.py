"""A GeoSURGE that fits in a test: a random CLIP tower of 28 px, forty images of four towns, three partitions.

And images that can end a training between any two of its steps.
"""

import io
import json
from pathlib import Path

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import save_file

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.geosurge.config import FusionConfig, GeoSurgeConfig, TrainingConfig, VisionConfig
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.pairs import TrainingPairs
from geo_pipeline.geosurge.training import train_on
from geo_pipeline.training.outcome import TrainingResult

TOWNS = ((48.9, 2.3), (40.4, -3.7), (35.7, 139.7), (-33.9, 151.2))
SIDE = 32
TAU_MAX = (40, 12, 5)


def write_clip(folder: Path, quick_gelu: bool = True) -> Path:
    """A random tower in open_clip's local-dir layout, in half precision as the sample's weights are."""
    model_cfg = {
        "embed_dim": 16,
        "quick_gelu": quick_gelu,
        "vision_cfg": {"image_size": 28, "layers": 3, "width": 32, "head_width": 16, "patch_size": 14},
        "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
    }
    torch.manual_seed(0)
    state = open_clip.CLIP(**json.loads(json.dumps(model_cfg))).state_dict()
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": {}}))
    save_file(
        {name: tensor.half().contiguous() for name, tensor in state.items()}, folder / "open_clip_model.safetensors"
    )
    return folder


def png(class_map: np.ndarray) -> bytes:
    picture = io.BytesIO()
    Image.fromarray(class_map).save(picture, "PNG")
    return picture.getvalue()


def jpeg(image: np.ndarray) -> bytes:
    picture = io.BytesIO()
    Image.fromarray(image).save(picture, "JPEG", quality=95)
    return picture.getvalue()


def write_tables(folder: Path, count: int = 40, holdout: int = 6) -> tuple[Path, Path, Path]:
    """images, segmentations and geocells as Parquet; the colour and the classes of an image tell its town."""
    rng = np.random.default_rng(1)
    towns = np.arange(count) % len(TOWNS)
    lat, lon = (np.array([TOWNS[town][axis] for town in towns]) + rng.normal(0, 0.02, count) for axis in (0, 1))
    sets = ["train"] * (count - holdout) + ["holdout"] * holdout
    images, maps = [], []
    for town in towns:
        colour = np.array([60 * town, 200 - 50 * town, 90])
        images.append(jpeg((colour + rng.integers(0, 30, (SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)))
        maps.append(png(rng.choice([town, 10 + town], (SIDE, SIDE)).astype(np.uint8)))
    table = pa.table(
        {
            "image_id": [f"image-{row:02d}" for row in range(count)],
            "set_name": sets,
            "author": [f"author-{row // 2}" for row in range(count)],
            "lat_deg": lat,
            "lon_deg": lon,
            "jpeg": pa.array(images, pa.binary()),
            "sha256": [f"{row:064x}" for row in range(count)],
            "phash": pa.array(rng.integers(-(2**62), 2**62, count), pa.int64()),
        }
    )
    paths = folder / "images.parquet", folder / "segmentations.parquet", folder / "geocells.parquet"
    pq.write_table(table, paths[0])
    pq.write_table(pa.table({"image_id": table["image_id"], "class_map_png": pa.array(maps, pa.binary())}), paths[1])
    pq.write_table(hierarchy(lat, lon).to_table(), paths[2])
    return paths


def hierarchy(
    lat: np.ndarray | None = None, lon: np.ndarray | None = None, tau_max: tuple[int, ...] = TAU_MAX
) -> Hierarchy:
    if lat is None or lon is None:
        rng = np.random.default_rng(1)
        towns = np.arange(40) % len(TOWNS)
        lat, lon = (np.array([TOWNS[town][axis] for town in towns]) + rng.normal(0, 0.02, 40) for axis in (0, 1))
    return build_hierarchy(lat, lon, PartitionConfig(tau_min=2, tau_max=tau_max))


def config(clip: Path, blocks: int = 2, **training: object) -> GeoSurgeConfig:
    chosen = {"lr": 3e-3, "batch": 16, "gamma": 0.9, "max_epochs": 4, "patience": 10, **training}
    return GeoSurgeConfig(
        vision=VisionConfig(model=f"local-dir:{clip}", pretrained=None, input_px=28, resize_px=32),
        fusion=FusionConfig(blocks=blocks, semantic_dim=8, latent_dim=8, heads=4, mlp_ratio=2.0),
        training=TrainingConfig(**chosen),  # type: ignore[arg-type]
        embedding_dim=24,
    )


class WatchedPairs(TrainingPairs):
    """Training images that call `before(epoch)` ahead of every batch of training; it may end the run."""

    def __init__(self, images, segmentations, vision, training, before):
        super().__init__(images, segmentations, vision, training)
        self.before = before

    def prefetched(self, parts, epoch, device):
        for found in super().prefetched(parts, epoch, device):
            if epoch is not None:
                self.before(epoch)
            yield found


def train_watched(files: tuple[Path, Path, Path], config: GeoSurgeConfig, out: Path, report, before) -> TrainingResult:
    """What `training.train` does with images, segmentations and geocells, over `WatchedPairs`."""
    torch.manual_seed(config.training.seed)
    images, segmentations, geocells = files
    pairs = WatchedPairs([images], [segmentations], config.vision, config.training, before)
    model = GeoSurge(config, Hierarchy.from_table(pq.read_table(geocells)))
    return train_on(pairs, model, out, report)
