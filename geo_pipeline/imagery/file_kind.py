"""Tells the kind of a file from its first bytes, whether its end is missing, and why no decoder takes it.

Decoding belongs to `decode`, tags to `exif`.
"""

import struct
import zlib
from functools import cache

from PIL import Image

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"BM", "bmp"),
    (b"\x00\x00\x00\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"%PDF", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"<svg", "svg"),
    (b"<?xml", "xml"),
    (b"<!DOCTYPE", "html"),
    (b"<!doctype", "html"),
    (b"<html", "html"),
)
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "HEIF")
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on damaged files; RuntimeError comes from libavif."""
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")


def first_bytes_kind(data: bytes) -> str:
    """The kind that the first bytes announce: `jpeg`, `png`, `heif` ...; `empty` for none, `unknown` otherwise."""
    if not data:
        return "empty"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "heif" if brand in _HEIF_BRANDS else "avif" if brand in _AVIF_BRANDS else "mp4"
    start = data.lstrip(b"\xef\xbb\xbf \r\n\t")[:16] if data[:1] in b"\xef \r\n\t<" else data
    return next((kind for magic, kind in _MAGIC if start.startswith(magic)), "unknown")


@cache
def photograph_formats() -> tuple[str, ...]:
    """Formats of photographs that the installed Pillow decodes; others (PostScript runs a program) stay closed."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def is_cut_short(data: bytes, kind: str) -> bool:
    """True when a file of this kind lacks the marker or the length that its end should have."""
    if kind == "jpeg":
        return b"\xff\xd9" not in data[-65536:]
    if kind == "png":
        return b"IEND" not in data[-65536:]
    if kind == "gif":
        return not data.rstrip(b"\x00").endswith(b";")
    if kind == "webp":
        return len(data) < 12 or int.from_bytes(data[4:8], "little") + 8 > len(data)
    return kind == "bmp" and (len(data) < 6 or int.from_bytes(data[2:6], "little") > len(data))


def why_unopened(data: bytes, kind: str) -> tuple[str, str]:
    """Reason and detail for a file of some kind that no decoder takes: heif_unsupported, truncated or unreadable."""
    if kind == "heif":
        return "heif_unsupported", "A HEIF file, and Pillow has no decoder for it. Convert it to JPEG."
    if is_cut_short(data, kind):
        return "truncated", f"A {kind} file of {len(data)} bytes that ends too early."
    return "unreadable", f"{len(data)} bytes that begin as {kind}; no image decoder takes them."


def why_undecoded(data: bytes, kind: str, error: Exception) -> tuple[str, str]:
    """Reason and detail for a file whose decoder stopped with one of DECODER_ERRORS: truncated or unreadable."""
    cut = "truncated" in str(error) or is_cut_short(data, kind)
    return "truncated" if cut else "unreadable", f"{kind} file of {len(data)} bytes: {error}"
