"""Image files drawn for the tests: whole ones of many kinds, and broken ones."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

QUARTERS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [220, 220, 40]]], np.uint8)
"""Colours of the quarters of `quartered`: red, green over blue, yellow."""


def quartered(width=96, height=96):
    """An image with a colour in each quarter, so that a turn or a swap of channels shows."""
    rows = (np.arange(height) * 2 // height)[:, None]
    columns = (np.arange(width) * 2 // width)[None, :]
    return Image.fromarray(QUARTERS[rows, columns])


def encoded(image, file_format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def with_exif(lat=None, lon=None, orientation=1, image=None, file_format="JPEG"):
    """An image file with GPS and orientation tags; coordinates are stored as degrees, minutes, seconds."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if lat is not None:
        exif.get_ifd(0x8825).update(
            {1: "N" if lat >= 0 else "S", 2: _parts(abs(lat)), 3: "E" if lon >= 0 else "W", 4: _parts(abs(lon))}
        )
    return encoded(image or quartered(), file_format, exif=exif)


def _parts(value):
    degrees, minutes = int(value), int(value * 60) % 60
    return float(degrees), float(minutes), round((value - degrees - minutes / 60) * 3600, 6)


def bomb_png(width=60_000, height=60_000):
    """A PNG of some hundred bytes whose header asks for billions of pixels."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )
