"""Content fingerprints of images: SHA-256 of the bytes, and a 64-bit perceptual hash that near-duplicates share.

The hash is the classic DCT pHash, written here with scipy.fft: ten lines, against a dependency (ImageHash) that would
bring PyWavelets and its own choice of resampling. Comparing hashes across a gallery belongs to geosurge.inference.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

_GRID = 32
_LOW = 8
_REDUCING_GAP = 3.0
"""Whole pixels are averaged first, down to this many times the grid: three times as fast, and hardly a bit differs."""


def sha256_hex(data: bytes) -> str:
    """SHA-256 of the bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def perceptual_hash(image: Image.Image) -> int:
    """64-bit DCT pHash of an image as a signed integer (it fits a Parquet int64).

    The grey image is shrunk to 32 x 32; each of the 8 x 8 lowest frequencies gives a bit: above their median or not.
    The constant term is left out of the median, since brightness alone would shift it.
    """
    small = image.convert("L").resize((_GRID, _GRID), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    grey = np.asarray(small, dtype=np.float64)
    low = dctn(grey, norm="ortho")[:_LOW, :_LOW].ravel()
    low = np.where(np.abs(low) < 1e-6, 0.0, low)  # a flat image has no frequencies: rounding noise must not set bits
    bits = low > np.median(low[1:])
    return int(np.packbits(bits).view(">i8")[0])


def hamming_distance(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Number of differing bits of signed 64-bit hashes, element by element (broadcasting)."""
    return np.bitwise_count((np.asarray(left, np.int64) ^ np.asarray(right, np.int64)).view(np.uint64))
