"""A Qwen2-VL small enough for tests: real classes, random weights, and pictures of noise to show it."""

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.lvlm.small import build_small_qwen2vl


def build(folder: Path, seed: int = 0) -> LvlmConfig:
    """Write the small model and give the configuration that names it."""
    build_small_qwen2vl(
        folder, seed=seed, hidden=32, layers=2, heads=2, kv_heads=1, intermediate=48, vision_hidden=32, vision_layers=1
    )
    return LvlmConfig.sample(str(folder))


def picture(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Smooth noise, uint8 [H, W, 3], another one for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@cache
def jpeg(seed: int) -> bytes:
    """The picture as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture(seed)).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


@cache
def plain_jpeg(grey: int) -> bytes:
    """A picture of one grey as a JPEG file."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (grey, grey, grey)).save(buffer, format="JPEG")
    return buffer.getvalue()
