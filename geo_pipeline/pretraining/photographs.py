"""Makes drawn pictures look as the pipeline will show them to a network: with the traces of JPEG compression."""

import io

import numpy as np
from PIL import Image


def compress(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pictures (uint8 [N, H, W, 3]) after JPEG of random quality from 80 to 96."""
    result = np.empty_like(images)
    for index, quality in enumerate(rng.integers(80, 97, len(images)).tolist()):
        file = io.BytesIO()
        Image.fromarray(images[index]).save(file, "JPEG", quality=quality)
        result[index] = np.asarray(Image.open(file))
    return result
