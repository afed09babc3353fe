"""Collections in the formats in which the real ones come, drawn: MP16-Pro's tar with its CSV, IM2GPS3k, YFCC4k.

Pictures have the sizes of Flickr's and soft random shapes; places lie around a few cities, and photographers take
several pictures each. Nothing in a picture tells where it is.
"""

import csv
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CITIES = (
    (48.86, 2.35, 0.4),
    (51.51, -0.13, 0.3),
    (52.52, 13.40, 0.2),
    (40.71, -74.01, 0.02),
    (37.77, -122.42, 0.02),
    (35.68, 139.69, 0.02),
    (-33.87, 151.21, 0.02),
    (-22.91, -43.17, 0.02),
)
"""Where the photographs lie: degrees north, degrees east, share. Of few the most still fall into one cell."""
SPREAD_DEG = 0.4
SIZES_PX = ((500, 375), (375, 500), (500, 333), (640, 480), (500, 500))
"""Width and height of Flickr's medium pictures."""
SHAPE_PX = 25
JPEG_QUALITY = 92
BY_ONE_AUTHOR = 3


@dataclass(frozen=True)
class Collections:
    """What was drawn: images and metadata of the reference collection and of both benchmarks."""

    references: tuple[Path, Path]
    im2gps3k: tuple[Path, Path]
    yfcc4k: tuple[Path, Path]


@dataclass(frozen=True)
class _Drawn:
    number: int
    author: str
    lat_deg: float
    lon_deg: float
    jpeg: bytes


def draw_collections(folder: Path, references: int, queries: int, seed: int = 0) -> Collections:
    """Draw so many references, and so many queries of each benchmark; what is whole already is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Collections(
        (folder / "mp-16-images.tar", folder / "MP16_Pro_places365.csv"),
        (folder / "im2gps3k", folder / "im2gps3k_places365.csv"),
        (folder / "yfcc4k", folder / "info.txt"),
    )
    if not (folder / "whole").is_file():
        _mp16_pro(*found.references, list(_drawn(references, seed)))
        _im2gps3k(*found.im2gps3k, list(_drawn(queries, seed + 1)))
        _yfcc4k(*found.yfcc4k, list(_drawn(queries, seed + 2)))
        (folder / "whole").touch()
    return found


def _drawn(count: int, seed: int) -> Iterator[_Drawn]:
    chance = np.random.default_rng(seed)
    places, shares = np.array(CITIES)[:, :2], np.array(CITIES)[:, 2]
    for index in range(count):
        lat_deg, lon_deg = places[chance.choice(len(places), p=shares)] + chance.normal(0, SPREAD_DEG, 2)
        author = f"{10_000_000 + seed * 100_000 + index // BY_ONE_AUTHOR}@N0{index % 4}"
        yield _Drawn(
            4_000_000_000 + seed * 10_000_000 + index, author, float(lat_deg), float(lon_deg), _picture(chance)
        )


def _picture(chance: np.random.Generator) -> bytes:
    width, height = SIZES_PX[chance.integers(len(SIZES_PX))]
    shapes = chance.integers(0, 256, (height // SHAPE_PX, width // SHAPE_PX, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = chance.normal(0, 6, soft.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


_PLACES365 = ("IMG_ID", "AUTHOR", "LAT", "LON", "S3_Label", "S16_Label", "S365_Label")


def _write_places365(file: Path, names: Sequence[str], drawn: Sequence[_Drawn]) -> None:
    with file.open("w", newline="", encoding="utf-8") as rows:
        writer = csv.writer(rows)
        writer.writerow(_PLACES365)
        for name, each in zip(names, drawn, strict=True):
            writer.writerow((name, each.author, f"{each.lat_deg:.6f}", f"{each.lon_deg:.6f}", 2, 9, 282))


def _mp16_pro(images: Path, metadata: Path, drawn: list[_Drawn]) -> None:
    """One tar whose members have underscores where the ids of the CSV have slashes."""
    names = [f"{each.number % 256:02x}/{each.number // 256 % 256:02x}/{each.number}.jpg" for each in drawn]
    with tarfile.open(images, "w") as tar:
        for name, each in zip(names, drawn, strict=True):
            member = tarfile.TarInfo(f"mp-16-images/{name.replace('/', '_')}")
            member.size = len(each.jpeg)
            tar.addfile(member, io.BytesIO(each.jpeg))
    _write_places365(metadata, names, drawn)


def _im2gps3k(images: Path, metadata: Path, drawn: list[_Drawn]) -> None:
    names = [f"{each.number}_{each.number % 10**8:08x}_33_{each.author}.jpg" for each in drawn]
    _write_loose(images, names, drawn)
    _write_places365(metadata, names, drawn)


def _yfcc4k(images: Path, metadata: Path, drawn: list[_Drawn]) -> None:
    """`info.txt`: rows of YFCC100M, 25 columns between tabs, no header; longitude before latitude."""
    _write_loose(images, [f"{each.number}.jpg" for each in drawn], drawn)
    lines = []
    for line, each in enumerate(drawn):
        fields = [""] * 25
        fields[:4] = str(line), str(each.number), f"{each.number:032x}", each.author
        fields[12:15] = f"{each.lon_deg:.6f}", f"{each.lat_deg:.6f}", "16"
        fields[15] = f"http://www.flickr.com/photos/{each.author}/{each.number}/"
        lines.append("\t".join(fields))
    metadata.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_loose(folder: Path, names: Sequence[str], drawn: Sequence[_Drawn]) -> None:
    folder.mkdir(exist_ok=True)
    for name, each in zip(names, drawn, strict=True):
        (folder / name).write_bytes(each.jpeg)
