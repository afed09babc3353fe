"""Class maps as bytes: 8-bit PNG, lossless, a pixel's value is its ADE20K class."""

import io

import numpy as np
from PIL import Image


def encode_class_map(class_map_HW: np.ndarray) -> bytes:
    """PNG bytes of a uint8 class map (H, W); the same map always gives the same bytes."""
    picture = io.BytesIO()
    Image.fromarray(class_map_HW).save(picture, "PNG", optimize=False, compress_level=9)
    return picture.getvalue()


def decode_class_map(png: bytes) -> np.ndarray:
    """The uint8 class map (H, W) of PNG bytes. Raises ValueError for a picture that is not 8-bit grey."""
    with Image.open(io.BytesIO(png)) as picture:
        if picture.mode != "L":
            raise ValueError(
                f"found a PNG of mode {picture.mode}; expected 8-bit grey, a class per pixel. Segment the image again."
            )
        return np.asarray(picture)
