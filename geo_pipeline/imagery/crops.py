"""Resizes and crops an image and its class map alike: whatever happens to one happens to the other.

The image is resampled smoothly, the class map by nearest neighbour, since class numbers are names and must not be
mixed. Ten-crop as in GeoSURGE section IV: four corners, the centre, and the mirror image of each. Pixels to tensors
belong to geosurge.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geo_pipeline.imagery.decode import canonical_size

Pixels = NDArray[np.uint8]


class CropError(ValueError):
    """An image and a class map that do not fit each other, or a crop larger than the image."""


def resize_pair(image: Pixels, class_map: Pixels, shorter_side: int) -> tuple[Pixels, Pixels]:
    """Scale image [H, W, 3] and class map [H, W] so that the shorter side has `shorter_side` pixels."""
    _check_pair(image, class_map, 1)
    size = canonical_size(image.shape[1], image.shape[0], shorter_side)
    if size == (image.shape[1], image.shape[0]):
        return image, class_map
    smooth = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    nearest = Image.fromarray(class_map).resize(size, Image.Resampling.NEAREST)
    return np.asarray(smooth, dtype=np.uint8), np.asarray(nearest, dtype=np.uint8)


def centre_crop(image: Pixels, class_map: Pixels, size: int) -> tuple[Pixels, Pixels]:
    """The central square of `size` pixels of image [H, W, 3] and class map [H, W]; no copy is made."""
    _check_pair(image, class_map, size)
    row, column = _centre(image, size)
    window = (slice(row, row + size), slice(column, column + size))
    return image[window], class_map[window]


def ten_crop(image: Pixels, class_map: Pixels, size: int) -> tuple[list[Pixels], list[Pixels]]:
    """Ten crops [size, size, 3] and [size, size]: four corners, centre, then each mirrored; no copy is made.

    The corners come as top left, top right, bottom left, bottom right.

    Raises `CropError` when the image is smaller than the crop or the class map has another size than the image.
    """
    _check_pair(image, class_map, size)
    bottom, right = image.shape[0] - size, image.shape[1] - size
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), _centre(image, size)]
    windows = [(slice(row, row + size), slice(column, column + size)) for row, column in corners]
    crops, maps = ([array[window] for window in windows] for array in (image, class_map))
    return crops + [crop[:, ::-1] for crop in crops], maps + [class_map[:, ::-1] for class_map in maps]


def _centre(image: Pixels, size: int) -> tuple[int, int]:
    return (image.shape[0] - size) // 2, (image.shape[1] - size) // 2


def _check_pair(image: Pixels, class_map: Pixels, size: int) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or class_map.shape != image.shape[:2]:
        raise CropError(
            f"found an image of shape {image.shape} and a class map of shape {class_map.shape}; expected [H, W, 3] and "
            "the same [H, W]. Segment the canonical image again."
        )
    if min(image.shape[:2]) < size:
        raise CropError(
            f"found an image of {image.shape[1]} x {image.shape[0]} pixels, crops are {size}; enlarge it (resize_pair)."
        )
