"""Bytes of a class map as stored, and as others might: `python -m geo_pipeline_tests.speed.class_maps --images FOLDER`.

The photographs of the folder, made canonical (shorter side 384 px) by the library, and drawn scenes of the sample's
planet are segmented by the sample's OneFormer, at the resolution that it was trained at and at that of the published
checkpoint; their maps are stored as the library stores them and in other lossless ways, each read back and compared.
`--save` writes docs/measurements/class_maps.{json,md}, without names or pictures of the photographs.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from geo_pipeline.imagery.decode import ImageRejected, canonical_image, decode_rgb
from geo_pipeline.sample_world.source import PlanetSource
from geo_pipeline.segmentation.class_maps import decode_class_map, encode_class_map
from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline.segmentation.oneformer import Segmenter
from geo_pipeline_tests.speed.measuring import save
from geo_pipeline_tests.speed.taking_turns import shortest

CANONICAL_PX, QUALITY = 384, 92
PUBLISHED_PX = 640
"""Shorter side that the processor of OneFormer's ADE20K checkpoint gives the network."""
STORED = "PNG as stored"


@dataclass(frozen=True)
class Way:
    """One lossless way: to bytes, and back to the map of a size."""

    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes, tuple[int, int]], np.ndarray]


def ways() -> dict[str, Way]:
    """Every way that is compared; the library's first."""
    return {
        STORED: Way(encode_class_map, lambda data, _: decode_class_map(data)),
        "PNG, optimised": Way(lambda grid: _saved(Image.fromarray(grid), "PNG", optimize=True), _opened),
        "PNG, zlib level 6": Way(lambda grid: _saved(Image.fromarray(grid), "PNG", compress_level=6), _opened),
        "PNG, no row filters": Way(_palette_png, _opened),
        "PNG, as few bits as classes ask": Way(_narrow_png, lambda data, _: _widened(data)),
        "raw": Way(lambda grid: grid.tobytes(), _grid),
        "raw, zstd 3": _zstd(3),
        "raw, zstd 15": _zstd(15),
        "raw, zstd 19": _zstd(19),
        "WebP lossless": Way(_webp, lambda data, _: np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[..., 0]),
    }


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _opened(data: bytes, _: tuple[int, int]) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


def _grid(data: bytes, size: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(data, np.uint8).reshape(size)


def _palette_png(grid: np.ndarray) -> bytes:
    """Pillow filters no row of a palette picture; the palette is the classes themselves."""
    picture = Image.fromarray(grid).convert("P")
    picture.putdata(grid.ravel())
    picture.putpalette(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
    return _saved(picture, "PNG", compress_level=9, bits=8)


def _narrow_png(grid: np.ndarray) -> bytes:
    """Classes numbered anew in 1, 2, 4 or 8 bits; the palette tells their old numbers."""
    present, index = np.unique(grid, return_inverse=True)
    picture = Image.new("P", (grid.shape[1], grid.shape[0]))
    picture.putdata(index.ravel())
    picture.putpalette(np.repeat(present, 3).tobytes())
    bits = next(bits for bits in (1, 2, 4, 8) if len(present) <= 2**bits)
    return _saved(picture, "PNG", compress_level=9, bits=bits)


def _widened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        palette = np.frombuffer(picture.palette.tobytes() if picture.palette else b"", np.uint8)[::3]
        return palette[np.asarray(picture)]


def _zstd(level: int) -> Way:
    codec = pa.Codec("zstd", compression_level=level)
    return Way(
        lambda grid: codec.compress(grid.tobytes(), asbytes=True),
        lambda data, size: _grid(codec.decompress(data, size[0] * size[1], asbytes=True), size),
    )


def _webp(grid: np.ndarray) -> bytes:
    return _saved(Image.fromarray(np.repeat(grid[..., None], 3, axis=2)), "WEBP", lossless=True, method=4, quality=100)


def photographs(folder: Path, most: int) -> Iterator[np.ndarray]:
    """Canonical pixels of up to `most` photographs, evenly from the folder; what the library rejects is left out."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    for path in files[:: max(1, len(files) // most)][:most]:
        try:
            yield decode_rgb(canonical_image(path.read_bytes(), CANONICAL_PX, QUALITY).jpeg)
        except ImageRejected:
            continue


def scenes(count: int) -> Iterator[np.ndarray]:
    """Drawn photographs of the sample's planet, made canonical at the photographs' size."""
    source = PlanetSource(0)
    for record in islice(source.records(), count):
        yield decode_rgb(canonical_image(source.read(record.locator), CANONICAL_PX, QUALITY).jpeg)


def compare(maps: list[np.ndarray], rounds: int) -> dict[str, dict[str, float]]:
    """Bytes, and milliseconds to write and read, of a map on average, by way. Exits where a way is not exact."""
    chosen = ways()
    coded = {name: [way.encode(grid) for grid in maps] for name, way in chosen.items()}
    sizes = [(grid.shape[0], grid.shape[1]) for grid in maps]
    for name, way in chosen.items():
        pairs = zip(coded[name], sizes, maps, strict=True)
        if not all(np.array_equal(way.decode(data, size), grid) for data, size, grid in pairs):
            raise SystemExit(f"{name}: found a map that reads back differently; expected every pixel as it was")
    written = shortest(
        {name: lambda way=way: [way.encode(grid) for grid in maps] for name, way in chosen.items()}, rounds
    )
    read = shortest(
        {
            name: lambda way=way, name=name: [way.decode(*one) for one in zip(coded[name], sizes, strict=True)]
            for name, way in chosen.items()
        },
        rounds,
    )
    return {
        name: {
            "bytes": sum(map(len, coded[name])) / len(maps),
            "write_ms": 1000 * written[name] / len(maps),
            "read_ms": 1000 * read[name] / len(maps),
        }
        for name in chosen
    }


def facts(maps: list[np.ndarray]) -> dict[str, float]:
    """What the bytes depend on: pixels, classes of a map, and the share of pixels unlike their left neighbour."""
    return {
        "images": len(maps),
        "pixels": float(np.mean([grid.size for grid in maps])),
        "classes": float(np.mean([len(np.unique(grid)) for grid in maps])),
        "border_share": float(np.mean([(grid[:, 1:] != grid[:, :-1]).mean() for grid in maps])),
    }


def table(title: str, known: dict[str, float], measured: dict[str, dict[str, float]]) -> list[str]:
    """One collection as Markdown."""
    stored = measured[STORED]["bytes"]
    return [
        f"## {title}",
        "",
        f"{known['images']:.0f} maps of {known['pixels'] / 1000:,.0f} thousand pixels and {known['classes']:.1f} "
        f"classes on average; {100 * known['border_share']:.1f} % of the pixels differ from their left neighbour.",
        "",
        "| way | bytes a map | against stored | write | read |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {row['bytes']:,.0f} | {row['bytes'] / stored:.2f} | {row['write_ms']:.2f} ms "
            f"| {row['read_ms']:.2f} ms |"
            for name, row in measured.items()
        ),
        "",
    ]


def main() -> None:
    """Segment, store in every way, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--most", type=int, default=60, help="photographs at most, and drawn scenes")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way; the shortest counts")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/class_maps.{json,md}")
    chosen = parser.parse_args()
    collections = {"photographs": list(photographs(chosen.images, chosen.most)), "drawn": list(scenes(chosen.most))}
    if not collections["photographs"]:
        raise SystemExit(f"found no readable photograph in {chosen.images}; expected JPEG, PNG or WebP files")
    figures: dict[str, object] = {}
    lines: list[str] = []
    for kind, images in collections.items():
        for input_px in (SegmentationConfig.sample().input_px, PUBLISHED_PX):
            segmenter = Segmenter(replace(SegmentationConfig.sample(), input_px=input_px, batch=1))
            maps = segmenter.segment(images)
            known, measured = facts(maps), compare(maps, chosen.rounds)
            figures[f"{kind}_{input_px}"] = {**known, "ways": measured}
            words = "Photographs" if kind == "photographs" else "Drawn scenes"
            lines += table(f"{words}, seen by the network at {input_px} px", known, measured)
    text = "\n".join([*introduction(), *lines])
    print(text)  # noqa: T201
    if chosen.save:
        save("class_maps", figures, text)


def introduction() -> list[str]:
    """What the figures are, and what they are not."""
    return [
        "# Bytes of a class map",
        "",
        f"`python -m geo_pipeline_tests.speed.class_maps --images FOLDER`, images of {CANONICAL_PX} px, every map read "
        "back exactly in every way, all ways in turn.",
        "",
        "The maps are those of the sample's OneFormer, a small network that was trained on drawn scenes. On photos "
        "they are blots where Swin-L's would follow the things: blockier at the resolution that it was trained at, "
        f"noisier at the {PUBLISHED_PX} px of the published checkpoint. Swin-L's maps have finer borders than the "
        "first and less noise than the second; none was measured.",
        "",
    ]


if __name__ == "__main__":
    main()
