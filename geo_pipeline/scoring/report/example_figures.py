"""One example as a picture: photograph and segmentation of the query, photograph and segmentation of the reference.

Pixels are placed one to one, without resampling by the drawing library: small drawn photographs are enlarged by a whole
factor with nearest neighbour, large ones reduced. Choosing examples belongs to `examples`, words around the picture to
`example_page`.
"""

import colorsys
import io
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from geo_pipeline.sample_world.ade20k import ADE20K_CLASSES
from geo_pipeline.scoring.examples import Example, Photograph
from geo_pipeline.scoring.report.figures import DOTS_PER_INCH, FAINT, INK, STYLE

PANEL_PX, GAP_PX, TITLE_PX, LEGEND_LINE_PX, SHOWN_CLASSES = 320, 20, 34, 27, 4
SMALL_PX = PANEL_PX // 2
"""A photograph up to this size is enlarged by a whole factor."""

FAMILIAR_COLOURS: Mapping[str, str] = {
    "sky": "#a6d3f2",
    "building": "#b08968",
    "house": "#c99a6b",
    "skyscraper": "#8a7f9c",
    "wall": "#c9b8a8",
    "tower": "#7f5539",
    "tree": "#2f7d4f",
    "palm": "#4c9a5b",
    "plant": "#7cb518",
    "grass": "#a7d38a",
    "field": "#d4c75a",
    "mountain": "#8d8d99",
    "hill": "#7c9a6d",
    "rock": "#6c757d",
    "earth": "#a0713f",
    "sand": "#ecd9a0",
    "road": "#4a4e57",
    "sidewalk": "#bfc3c9",
    "path": "#d3b58d",
    "water": "#3d8fc6",
    "sea": "#1d5f9a",
    "river": "#5fb0d9",
    "lake": "#4c7fb8",
    "person": "#d6336c",
    "car": "#7048c6",
    "boat": "#f08c3a",
    "ship": "#d9572b",
    "bridge": "#9c6644",
    "fence": "#b5a642",
}


def class_colour(class_id: int) -> tuple[int, int, int]:
    """The colour of an ADE20K class, red, green, blue from 0 to 255: a familiar one, else one by its number."""
    name = ADE20K_CLASSES[class_id] if class_id < len(ADE20K_CLASSES) else ""
    if name in FAMILIAR_COLOURS:
        text = FAMILIAR_COLOURS[name]
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    # Golden-angle steps keep neighbouring numbers apart.
    red, green, blue = colorsys.hsv_to_rgb(class_id * 0.61803 % 1.0, 0.55 + 0.2 * (class_id % 3) / 2, 0.82)
    return round(255 * red), round(255 * green), round(255 * blue)


def largest_classes(class_map_png: bytes, count: int = SHOWN_CLASSES) -> list[tuple[int, float]]:
    """(class id, share of the pixels) of the largest classes of a map, the largest first."""
    with Image.open(io.BytesIO(class_map_png)) as picture:
        pixels = np.bincount(np.asarray(picture.convert("L")).reshape(-1), minlength=256)
    order = np.argsort(-pixels, kind="stable")[:count]
    return [(int(at), float(pixels[at] / pixels.sum())) for at in order if pixels[at]]


def class_words(class_map_png: bytes) -> str:
    """`sky 41 %, building 30 %`: the largest classes of a map in words."""
    return ", ".join(f"{_name(at)} {100 * share:.0f} %" for at, share in largest_classes(class_map_png))


def example_figure(example: Example) -> bytes:
    """The strip of one example as PNG; the same example gives the same bytes."""
    shown = [("Query", example.query), ("Reference", example.reference)]
    panels: list[tuple[str, np.ndarray, Photograph | None]] = []
    for title, photograph in shown:
        if photograph is not None:
            panels.append((f"{title} photograph", photograph_pixels(photograph.jpeg), None))
            panels.append((f"{title} segmentation", map_pixels(photograph.class_map_png), photograph))
    tallest = max(pixels.shape[0] for _, pixels, _ in panels)
    width = 4 * PANEL_PX + 3 * GAP_PX
    height = TITLE_PX + tallest + SHOWN_CLASSES * LEGEND_LINE_PX + 12
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
        for number, (title, pixels, of_map) in enumerate(panels):
            left, top = number * (PANEL_PX + GAP_PX), height - TITLE_PX
            figure.text(left / width, (top + 11) / height, title, size=8, weight="bold", color=INK)
            figure.figimage(pixels, left, top - pixels.shape[0], origin="upper")
            if of_map is not None:
                _legend(figure, of_map, left, top - pixels.shape[0], width, height)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        return buffer.getvalue()


def _legend(figure: Figure, photograph: Photograph, left: int, below: int, width: int, height: int) -> None:
    """The largest classes of a map under it: a patch, the name, the share."""
    for line, (class_id, share) in enumerate(largest_classes(photograph.class_map_png)):
        base = below - (line + 1) * LEGEND_LINE_PX
        colour = tuple(part / 255 for part in class_colour(class_id))
        corner = (left / width, base / height)
        patch = Rectangle(corner, 18 / width, 18 / height, transform=figure.transFigure, facecolor=colour, linewidth=0)
        figure.add_artist(patch)
        figure.text((left + 26) / width, (base + 3) / height, _name(class_id), size=7.5, color=INK)
        right = (left + PANEL_PX) / width
        figure.text(right, (base + 3) / height, f"{100 * share:.0f} %", size=7.5, color=FAINT, ha="right")


def photograph_pixels(jpeg: bytes) -> np.ndarray:
    """Pixels (H, W, 3) uint8 of a photograph at the size in which it is shown."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        rgb = picture.convert("RGB")
    size, small = _shown_size(rgb.width, rgb.height)
    return np.asarray(rgb.resize(size, Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS))


def map_pixels(class_map_png: bytes) -> np.ndarray:
    """Pixels (H, W, 3) uint8 of a class map in the colours of its classes; classes are never mixed."""
    with Image.open(io.BytesIO(class_map_png)) as picture:
        grey = picture.convert("L")
    size, _ = _shown_size(grey.width, grey.height)
    classes_YX = np.asarray(grey.resize(size, Image.Resampling.NEAREST))
    palette = np.array([class_colour(class_id) for class_id in range(256)], np.uint8)
    return palette[classes_YX]


def _shown_size(width: int, height: int) -> tuple[tuple[int, int], bool]:
    """((width, height) within a panel, whether the picture is small and enlarged by a whole factor)."""
    longest = max(width, height)
    if longest <= SMALL_PX:
        factor = PANEL_PX // longest
        return (width * factor, height * factor), True
    scale = PANEL_PX / longest
    return (max(round(width * scale), 1), max(round(height * scale), 1)), False


def _name(class_id: int) -> str:
    return ADE20K_CLASSES[class_id] if class_id < len(ADE20K_CLASSES) else f"class {class_id}"
