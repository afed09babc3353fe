"""Every kind of photograph is read right, or refused with its reason."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from geo_pipeline.imagery.decode import ImageRejected, canonical_image, decode_rgb, first_bytes_kind
from geo_pipeline.imagery.exif import position_from_exif
from geo_pipeline.imagery.file_kind import photograph_formats
from geo_pipeline_tests.imagery.drawn_files import QUARTERS, bomb_png, encoded, quartered, with_exif

ANY_AVIF = [kind for kind in ("AVIF",) if kind in photograph_formats()]
"""AVIF, where this Pillow was built with it."""


def quarters_of(data, shorter_side=64):
    """Colours at the middle of the four quarters of the canonical image, [2, 2, 3]."""
    pixels = decode_rgb(canonical_image(data, shorter_side, 95).jpeg).astype(int)
    rows = [pixels.shape[0] // 4, pixels.shape[0] * 3 // 4]
    columns = [pixels.shape[1] // 4, pixels.shape[1] * 3 // 4]
    return pixels[np.ix_(rows, columns)]


def rejection(data, **options):
    with pytest.raises(ImageRejected) as caught:
        canonical_image(data, 64, 95, **options)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize(
    "data",
    [
        encoded(quartered()),
        encoded(quartered(), "PNG"),
        encoded(quartered(), "WEBP", lossless=True),
        encoded(quartered(), "BMP"),
        encoded(quartered(), "TIFF", compression="tiff_lzw"),
        encoded(quartered(), "GIF"),
        encoded(quartered().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        encoded(quartered().convert("RGBA"), "PNG"),
        encoded(quartered().convert("CMYK"), "JPEG", quality=95),
        encoded(quartered().convert("CMYK"), "TIFF"),
        encoded(quartered(400, 400), "JPEG", quality=95),
        encoded(quartered(9, 9), "PNG"),
    ],
    ids=["jpeg", "png", "webp", "bmp", "tiff", "gif", "palette", "rgba", "cmyk_jpeg", "cmyk_tiff", "large", "tiny"],
)
def test_kinds_and_modes_come_out_with_their_colours(data):
    assert np.abs(quarters_of(data) - QUARTERS).max() < 16


def test_the_first_frame_of_an_animation_is_taken():
    others = [Image.new("RGB", (96, 96), "black"), Image.new("RGB", (96, 96), "white")]
    for file_format in ("GIF", "WEBP", "PNG"):
        data = encoded(quartered(), file_format, save_all=True, append_images=others, duration=50)
        assert np.abs(quarters_of(data) - QUARTERS).max() < 40, file_format


def test_sixteen_bit_greys_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None, :].repeat(64, axis=0)
    for file_format in ("PNG", "TIFF"):
        pixels = decode_rgb(canonical_image(encoded(Image.fromarray(ramp), file_format), 64, 95).jpeg)
        expected = np.linspace(0, 255, 64)
        assert np.abs(pixels[32, :, 0] - expected).max() < 6, file_format


def test_sixteen_bit_greys_stay_comparable_from_image_to_image():
    dark = Image.fromarray(np.full((64, 64), 6554, np.uint16))
    assert abs(int(decode_rgb(canonical_image(encoded(dark, "PNG"), 64, 95).jpeg).mean()) - 26) <= 1


@pytest.mark.parametrize(
    ("values", "file_format", "white"),
    [
        (np.uint8(200), "TIFF", 255),
        (np.int32(200), "TIFF", 255),
        (np.int32(40_000), "TIFF", 65_535),
        (np.int32(1_000_000), "TIFF", 1_000_000),
        (np.int32(3000), "TIFF", 4095),
        (np.uint16(200), "TIFF", 255),
        (np.uint16(200), "PNG", 255),
        (np.uint16(3000), "TIFF", 4095),
        (np.uint16(6000), "TIFF", 65_535),
        (np.uint16(200), "PPM", 65_535),
        (np.float32(0.5), "TIFF", 1),
        (np.float32(200), "TIFF", 255),
        (np.float32(3000), "TIFF", 4095),
    ],
    ids=lambda value: getattr(value, "dtype", value),
)
def test_greys_of_every_width_keep_their_brightness(values, file_format, white):
    data = encoded(Image.fromarray(np.full((64, 64), values)), file_format)
    assert abs(decode_rgb(canonical_image(data, 64, 95).jpeg).mean() - 255 * float(values) / white) <= 1


def tiff_of(values, sample_format, photometric=1, order="<"):
    """An uncompressed grey TIFF of any type of number; Pillow writes few of them."""
    height, width = values.shape
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = [(256, width), (257, height), (258, 8 * values.dtype.itemsize), (259, 1), (262, photometric)]
    tags += [(273, 8 + 2 + 12 * 10 + 4), (277, 1), (278, height), (279, len(data)), (339, sample_format)]
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + struct.pack(order + "H", 10) + entries + bytes(4) + data


UNSIGNED, SIGNED, FLOAT = 1, 2, 3
RAMP = np.linspace(0, 255, 96).astype(np.uint8)[None, :].repeat(96, axis=0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("values", "sample_format"),
    [
        (RAMP, UNSIGNED),
        (RAMP.astype(np.uint16), UNSIGNED),
        (RAMP.astype(np.uint16) * 257, UNSIGNED),
        (RAMP.astype(np.int16), SIGNED),
        (RAMP.astype(np.int16) * 128, SIGNED),
        ((RAMP.astype(np.int32) * 257 - 32768).astype(np.int16), SIGNED),
        (RAMP.astype(np.uint32), UNSIGNED),
        (RAMP.astype(np.uint32) * 257, UNSIGNED),
        (RAMP.astype(np.uint32) * 16843009, UNSIGNED),
        (RAMP.astype(np.int32), SIGNED),
        (RAMP.astype(np.int32) - 255, SIGNED),
        ((RAMP.astype(np.int64) * 16843009 - 2**31).astype(np.int32), SIGNED),
        ((RAMP / 255).astype(np.float32), FLOAT),
        (RAMP.astype(np.float32), FLOAT),
        (RAMP.astype(np.float32) * 257, FLOAT),
        ((RAMP / 127.5 - 1).astype(np.float32), FLOAT),
        ((RAMP / 255).astype(np.float64), FLOAT),
        ((RAMP / 255).astype(np.float16), FLOAT),
        (RAMP.astype(np.uint64), UNSIGNED),
    ],
    ids=lambda value: f"{value.dtype} to {value.max()}" if isinstance(value, np.ndarray) else value,
)
def test_one_picture_in_any_type_of_number_looks_the_same_or_is_refused(values, sample_format, order):
    """What Pillow has no decoder for is refused; nothing comes out black."""
    data = tiff_of(values, sample_format, order=order)
    if values.dtype.itemsize == 8 or values.dtype == np.float16 or (order, values.dtype) == (">", np.uint32):
        with pytest.raises(ImageRejected, match="unreadable"):
            canonical_image(data, 96, 95)
    else:
        assert np.abs(decode_rgb(canonical_image(data, 96, 95).jpeg).mean(axis=2) - RAMP).max() < 6


@pytest.mark.parametrize("values", [RAMP, RAMP.astype(np.uint16), RAMP.astype(np.uint16) * 257])
def test_greys_whose_white_is_zero_are_no_negatives(values):
    pixels = decode_rgb(canonical_image(tiff_of(values.max() - values, UNSIGNED, photometric=0), 96, 95).jpeg)
    assert np.abs(pixels.mean(axis=2) - RAMP).max() < 6


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_floating_portable_maps_are_read_by_their_range(white):
    data = b"Pf\n96 96\n-1.0\n" + (RAMP[::-1] * (white / 255)).astype("<f4").tobytes()
    assert np.abs(decode_rgb(canonical_image(data, 96, 95).jpeg).mean(axis=2) - RAMP).max() < 6


def test_deep_colours_of_which_nothing_is_left_are_refused_and_not_black():
    """Pillow keeps the upper eight of sixteen bits of a colour."""

    def png(colours):
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
        parts = (
            (b"IHDR", struct.pack(">IIBBBBB", 96, 96, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
        chunks = (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

    colours = np.asarray(Image.fromarray(RAMP).convert("RGB")).astype(np.uint16)
    with pytest.raises(ImageRejected, match="8 of 16 bits"):
        canonical_image(png(colours), 96, 95)
    assert np.abs(decode_rgb(canonical_image(png(colours * 257), 96, 95).jpeg).mean(axis=2) - RAMP).max() < 6
    assert decode_rgb(canonical_image(encoded(Image.new("RGB", (96, 96)), "PNG"), 96, 95).jpeg).max() == 0


def test_transparency_becomes_white():
    layer = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert decode_rgb(canonical_image(encoded(layer, "PNG"), 64, 95).jpeg).min() > 250


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF"])
def test_every_exif_orientation_comes_out_upright(orientation, file_format):
    turned = {
        1: lambda i: i,
        2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda i: i.rotate(180),
        4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
        6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
        7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
        8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
    }[orientation](quartered(120, 80))
    data = with_exif(orientation=orientation, image=turned, file_format=file_format)
    canonical = canonical_image(data, 64, 95)
    assert (canonical.width, canonical.height) == (96, 64)
    assert np.abs(quarters_of(data) - QUARTERS).max() < 20


def test_a_photograph_that_is_not_square_stays_so_and_loses_every_tag():
    canonical = canonical_image(with_exif(12.5, -3.25, 1, quartered(300, 200)), 64, 95)
    assert (canonical.width, canonical.height) == (96, 64)
    assert decode_rgb(canonical.jpeg).shape == (64, 96, 3)
    with Image.open(io.BytesIO(canonical.jpeg)) as image:
        assert len(image.getexif()) == 0
        assert "exif" not in image.info
        assert "icc_profile" not in image.info


def tagged(image, **options):
    """A JPEG with EXIF (position, orientation 1), an XMP packet, a colour profile and a comment."""
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)})
    words = {"exif": exif, "xmp": b"<x:xmpmeta/>", "icc_profile": b"a profile", "comment": b"at home"}
    return encoded(image, "JPEG", **{"quality": 80, **words, **options})


KEPT = {
    "baseline": tagged(quartered(96, 64)),
    "progressive": tagged(quartered(64, 96), progressive=True),
    "grey": tagged(quartered(96, 64).convert("L")),
    "halved colours": tagged(quartered(80, 64), subsampling=2),
    "restarts": tagged(quartered(80, 64), restart_marker_rows=1),
    "several pictures": encoded(
        quartered(96, 64), "MPO", save_all=True, append_images=[Image.new("RGB", (640, 640))], quality=80
    ),
    "bytes behind the end": tagged(quartered(96, 64)) + b"a film",
}


@pytest.mark.parametrize("name", KEPT)
def test_a_jpeg_that_is_canonical_but_for_its_tags_keeps_its_picture(name):
    canonical = canonical_image(KEPT[name], 64, 50)
    assert canonical.kept
    assert (canonical.width, canonical.height) == Image.open(io.BytesIO(KEPT[name])).size
    assert np.array_equal(decode_rgb(canonical.jpeg), decode_rgb(KEPT[name]))
    assert not any(word in canonical.jpeg for word in (b"Exif", b"xmpmeta", b"profile", b"home", b"film", b"MPF"))
    assert len(canonical.jpeg) < len(KEPT[name])
    again = canonical_image(canonical.jpeg, 64, 50)
    assert (again.jpeg, again.phash, again.kept) == (canonical.jpeg, canonical.phash, True)


@pytest.mark.parametrize(
    "data",
    [
        tagged(quartered(97, 65)),
        tagged(quartered(1024, 1024)),
        encoded(quartered(1024, 1024), "MPO", save_all=True, append_images=[quartered()]),
        with_exif(orientation=6, image=quartered(96, 64)),
        tagged(quartered(64, 64), exif=b"", xmp=b'<x:xmpmeta tiff:Orientation="6"/>'),
        tagged(quartered(64, 64).convert("CMYK"), exif=b""),
        encoded(quartered(64, 64), "PNG"),
        encoded(Image.fromarray(np.zeros((64, 64), np.uint16)), "PNG"),
    ],
    ids=["other size", "far larger", "several far larger", "turned", "turned by XMP", "CMYK", "PNG", "16 bits"],
)
def test_every_other_file_is_encoded_anew_without_a_word_of_the_source(data):
    canonical = canonical_image(data, 64, 92)
    assert not canonical.kept
    assert min(canonical.width, canonical.height) == 64
    assert not any(word in canonical.jpeg for word in (b"Exif", b"xmpmeta", b"profile", b"home"))
    assert canonical_image(canonical.jpeg, 64, 92).jpeg == canonical.jpeg


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero_bytes"),
        (b"hello, I am a text", "unreadable"),
        (b"<!DOCTYPE html><html>not found</html>", "unreadable"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 64, "heif_unsupported"),
        (encoded(quartered())[:700], "truncated"),
        (encoded(quartered())[:40], "truncated"),
        (tagged(quartered(64, 64))[:-40], "truncated"),
        (encoded(Image.effect_noise((96, 96), 50).convert("RGB"), "PNG")[:3000], "truncated"),
        (encoded(Image.effect_noise((96, 96), 50), "WEBP")[:900], "truncated"),
        (encoded(Image.effect_noise((96, 96), 50), "GIF")[:2000], "truncated"),
        (bomb_png(), "decompression_bomb"),
        (bomb_png(12_000, 12_000), "decompression_bomb"),
        (encoded(Image.new("RGB", (2000, 4)), "PNG"), "extreme_aspect"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "unreadable"),
    ],
)
def test_what_cannot_be_read_says_why(data, reason):
    if reason == "heif_unsupported" and "HEIF" in Image.registered_extensions().values():
        pytest.skip("this Pillow decodes HEIF")
    assert rejection(data) == reason


@pytest.mark.parametrize("file_format", ANY_AVIF)
def test_a_damaged_avif_is_refused_as_others_are(file_format):
    data = encoded(Image.effect_noise((96, 96), 50).convert("RGB"), file_format)
    coded = data.index(b"mdat") + 4
    for damaged in (data[:coded] + bytes(len(data) - coded), data.replace(b"iloc", b"xloc"), data[: len(data) // 2]):
        assert rejection(damaged) in ("unreadable", "truncated")
        assert position_from_exif(damaged).problem in ("no_coordinate", "unreadable", "truncated")


def test_bytes_turned_to_noise_are_refused_or_read_but_never_crash():
    rng = np.random.default_rng(0)
    whole = {kind: encoded(quartered(), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", *ANY_AVIF)}
    for kind, data in whole.items():
        for _ in range(25):
            hurt = bytearray(data)
            for place in rng.integers(0, len(hurt), 12):
                hurt[place] = rng.integers(0, 256)
            with contextlib.suppress(ImageRejected):
                assert canonical_image(bytes(hurt), 64, 95).jpeg, kind


def test_the_size_limit_is_a_parameter():
    assert rejection(encoded(quartered(100, 100)), max_pixels=9_999) == "decompression_bomb"


def test_kinds_are_told_from_the_first_bytes():
    assert first_bytes_kind(b"") == "empty"
    assert first_bytes_kind(encoded(quartered(), "AVIF")) == "avif"
    assert first_bytes_kind(b"\xef\xbb\xbf<html>") == "html"
    assert first_bytes_kind(b"\x01\x02") == "unknown"


@pytest.mark.shared_data
def test_the_photographs_taken_by_others_are_read(shared_dir):
    reasons = {}
    for path in sorted((shared_dir / "photos" / "originals").rglob("*.*")):
        if path.suffix != ".csv":
            try:
                canonical = canonical_image(path.read_bytes(), 64, 90)
                assert min(canonical.width, canonical.height) == 64
            except ImageRejected as error:
                reasons[path.name] = error.reason
    assert reasons in ({"exif-samples__IMG_5195.HEIC": "heif_unsupported"}, {})


@pytest.mark.shared_data
def test_the_eight_orientations_of_one_photograph_look_alike(shared_dir):
    folder = shared_dir / "photos" / "originals" / "orientation"
    for shape, size in (("landscape", (85, 64)), ("portrait", (64, 85))):
        images = [
            canonical_image((folder / f"exif-samples__{shape}_{n}.jpg").read_bytes(), 64, 90) for n in range(1, 9)
        ]
        assert {(image.width, image.height) for image in images} == {size}
        pixels = np.stack([decode_rgb(image.jpeg).astype(float) for image in images])
        first = pixels[0]
        for other in pixels[1:]:  # the files differ in light, so each is compared with the three turns that it is not
            turned = [first[::-1], first[:, ::-1], first[::-1, ::-1]]
            wrong = min(np.abs(other - turn).mean() for turn in turned)
            assert np.abs(other - first).mean() < 0.5 * wrong
