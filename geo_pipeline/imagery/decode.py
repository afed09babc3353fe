"""Turns the bytes of any photograph into a canonical image, or says why not.

Canonical: upright, shorter side as configured (larger and smaller images alike), JPEG without any tag. A JPEG that is
all this but for its tags keeps its coded picture (`jpeg_segments`), so that nothing is lost twice; it may be grey or
progressive. What can be read right is: CMYK, 16-bit, palette, transparent (over white) and animated images (first
frame). Colour profiles are dropped and not applied. Crops belong to `crops`.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from geo_pipeline.imagery.exif import orientation
from geo_pipeline.imagery.file_kind import (
    DECODER_ERRORS,
    first_bytes_kind,
    photograph_formats,
    why_undecoded,
    why_unopened,
)
from geo_pipeline.imagery.fingerprints import perceptual_hash, sha256_hex
from geo_pipeline.imagery.jpeg_segments import scan_count, without_metadata

__all__ = ["Canonical", "ImageRejected", "canonical_image", "decode_rgb", "first_bytes_kind"]

MAX_PIXELS = 120_000_000
"""Largest image that is decoded: 360 MB as RGB. More is taken for a decompression bomb."""
MAX_ASPECT = 20.0
"""Longest side over shortest; beyond it the canonical image would be a ribbon of any length."""
MAX_SCANS = 200
"""Most scans of a JPEG that is decoded; encoders make about ten, and each costs a pass over the whole image."""
REDUCING_GAP = 3.0
"""An image more than twice this many times too large is averaged over whole pixels first, which is faster."""

_PHOTOMETRIC, _SAMPLE_FORMAT, _WHITE_IS_ZERO = 262, 339, 0
"""Tags of TIFF."""
_UPRIGHT: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageRejected(ValueError):  # noqa: N818 - the word of the quarantine table
    """An image that cannot be used: `reason` is a machine word, `detail` says to a person what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["ImageRejected"], tuple[str, str]]:
        """Made again from its parts where a worker's error reaches the driver."""
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class Canonical:
    """A canonical image: `jpeg` bytes, their size in pixels, and two fingerprints (of source bytes; of the look).

    `kept` says that the coded picture is the source's own, and not encoded anew.
    """

    jpeg: bytes
    width: int
    height: int
    sha256: str
    phash: int
    kept: bool = False


def canonical_image(data: bytes, shorter_side: int, quality: int, max_pixels: int = MAX_PIXELS) -> Canonical:
    """Decode, turn upright, resize so that the shorter side has `shorter_side` pixels, and encode as JPEG of `quality`.

    A plain JPEG that is upright and of that size already is decoded once, as a check, and keeps its coded picture.

    Raises `ImageRejected` with one of the reasons zero_bytes, heif_unsupported, unreadable, truncated,
    decompression_bomb, extreme_aspect.
    """
    kind = first_bytes_kind(data)
    if kind == "empty":
        raise ImageRejected("zero_bytes", "The file is empty.")
    if kind == "jpeg" and (scans := scan_count(data, MAX_SCANS)) > MAX_SCANS:
        raise ImageRejected("decompression_bomb", f"found a JPEG of {scans} scans; at most {MAX_SCANS} are decoded.")
    upright, as_taken = _read_upright(data, kind, shorter_side, max_pixels)
    width, height = canonical_size(upright.width, upright.height, shorter_side)
    jpeg = without_metadata(data) if as_taken and (width, height) == upright.size else None
    if (width, height) != upright.size:
        upright = upright.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    kept = jpeg is not None
    if jpeg is None:
        buffer = io.BytesIO()
        upright.info.clear()  # or Pillow would carry the source's comments over
        upright.save(buffer, "JPEG", quality=quality, subsampling=0)  # full colour resolution: the images are small
        jpeg = buffer.getvalue()
    return Canonical(jpeg, width, height, sha256_hex(data), perceptual_hash(upright), kept)


def canonical_size(width: int, height: int, shorter_side: int) -> tuple[int, int]:
    """Width and height after scaling the shorter side to `shorter_side` pixels; the shape stays what it was."""
    scale = shorter_side / min(width, height)
    return max(shorter_side, round(width * scale)), max(shorter_side, round(height * scale))


def decode_rgb(jpeg: bytes) -> NDArray[np.uint8]:
    """Pixels of a canonical image, uint8 [height, width, 3]. Only for images that `canonical_image` wrote."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def _read_upright(data: bytes, kind: str, shorter_side: int, max_pixels: int) -> tuple[Image.Image, bool]:
    """Open, check the size before any pixel is decoded, decode the first frame, turn it upright, make it RGB.

    Also whether this is a JPEG's picture as it was coded: neither turned nor shrunk while decoding.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own warnings (size, damaged tags) are judged here instead
            with Image.open(io.BytesIO(data), formats=photograph_formats()) as image:
                _check_size(image, max_pixels)
                coded_size, plain = image.size, image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
                if plain:  # decode at 1/2, 1/4 or 1/8 when far larger
                    image.draft(image.mode, (2 * shorter_side, 2 * shorter_side))
                half_read = image.mode.startswith("RGB") and any(";16" in str(tile) for tile in image.tile)
                image.load()
                turn = _UPRIGHT.get(orientation(image))  # asked last: Pillow turns a TIFF by itself while loading
                upright = image if turn is None else image.transpose(turn)
                as_taken = plain and turn is None and image.size == coded_size
                if upright.mode.startswith("I") or upright.mode == "F":
                    return Image.fromarray(_grey_8bit(*_grey_values(upright, image))).convert("RGB"), as_taken
                if half_read and not np.asarray(upright)[..., :3].any():
                    raise ImageRejected(
                        "unreadable", f"found a {kind} of 16-bit colours that are all below 256; 8 of 16 bits are read."
                    )
                return upright if plain and upright.mode == "RGB" else _as_rgb(upright), as_taken
    except UnidentifiedImageError as error:
        raise ImageRejected(*why_unopened(data, kind)) from error
    except Image.DecompressionBombError as error:
        words = f"{error}; at most {max_pixels} pixels are decoded. Shrink the image."
        raise ImageRejected("decompression_bomb", words) from error
    except MemoryError as error:
        raise ImageRejected(
            "decompression_bomb", f"A {kind} file of {len(data)} bytes asks for too much memory."
        ) from error
    except ImageRejected:
        raise
    except DECODER_ERRORS as error:
        raise ImageRejected(*why_undecoded(data, kind, error)) from error


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageRejected(
            "decompression_bomb",
            f"found {width} x {height} pixels; at most {max_pixels} are decoded. Shrink the image.",
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageRejected("extreme_aspect", f"found {width} x {height} pixels, a ribbon and no photograph.")


def _as_rgb(image: Image.Image) -> Image.Image:
    """Any mode of 8 bits as RGB, transparency over white."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _grey_values(upright: Image.Image, source: Image.Image) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Deep greys, brighter ones larger, and what white may be in them: nothing known for negative ones.

    Pillow has unsigned 32 bits as signed ones, and scales a portable map to the 65535 of its header.
    """
    values, tags = np.asarray(upright), getattr(source, "tag_v2", {})
    if values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT) == (1,):
        values = values.view(np.uint32)
    grey = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    whites: tuple[float, ...]
    if (least := float(grey.min(initial=0.0))) < 0:
        grey, whites = grey - least, ()
    elif upright.mode == "F":
        whites = (1.0, 255.0, 4095.0, 65535.0)
    elif source.format == "PPM":
        whites = (65535.0,)
    else:
        whites = (255.0, 4095.0, 65535.0) if upright.mode.startswith("I;16") else (255.0, 4095.0, 32767.0, 65535.0)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = _white_of(grey, whites) - grey
    return grey, whites


def _white_of(grey: NDArray[np.float64], whites: tuple[float, ...]) -> float:
    """The least white that no value exceeds, else the brightest value."""
    top = float(grey.max(initial=0.0))
    return next((each for each in whites if top <= each), top)


def _grey_8bit(grey: NDArray[np.float64], whites: tuple[float, ...]) -> NDArray[np.uint8]:
    """Grey values as 8 bits. What white is, the range tells: 8, 12, 15 or 16 bits, or else the brightest value; floats
    up to 1 are fractions. A picture of 16 bits that stays below 256 would be black to anybody."""
    return np.clip(np.rint(grey * (255.0 / _white_of(grey, whites))), 0, 255).astype(np.uint8)
