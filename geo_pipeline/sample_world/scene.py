"""Draws one photograph of a planet: the picture and its exact ADE20K class map.

One index raster is drawn at twice the size; a colour table and a class table turn it into both pictures, so that
they agree to the pixel. What stands where is decided in `planet`, what regions look like in `laws`.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from geo_pipeline.sample_world.ade20k import CLASS_IDS
from geo_pipeline.sample_world.landmark import draw_landmark
from geo_pipeline.sample_world.laws import Colour, Region, region_at
from geo_pipeline.sample_world.planet import Photograph, Planet

OVERSAMPLING = 2


@dataclass(frozen=True)
class Scene:
    """A drawn photograph: `image` uint8 [H, W, 3], `class_map` uint8 [H, W] with ADE20K classes."""

    image: np.ndarray
    class_map: np.ndarray


class Canvas:
    """An index raster on the unit square (x to the right, y down) with a colour and a class per index."""

    def __init__(self, pixels: int) -> None:
        self.size = pixels * OVERSAMPLING
        self.raster = Image.new("L", (self.size, self.size), 0)
        self.pen = ImageDraw.Draw(self.raster)
        self.colours: list[Colour] = []
        self.classes: list[int] = []

    def paint(self, colour: Colour, name: str) -> int:
        """A new index with this colour and ADE20K class name; at most 256 a picture."""
        self.colours.append(colour)
        self.classes.append(CLASS_IDS[name])
        return len(self.colours) - 1

    def polygon(self, points: list[tuple[float, float]], paint: int) -> None:
        """Fill a polygon."""
        self.pen.polygon([(x * self.size, y * self.size) for x, y in points], fill=paint)

    def box(self, left: float, top: float, right: float, bottom: float, paint: int) -> None:
        """Fill a rectangle."""
        self.pen.rectangle(
            [left * self.size, top * self.size, right * self.size - 1, bottom * self.size - 1], fill=paint
        )

    def ellipse(self, x: float, y: float, rx: float, ry: float, paint: int) -> None:
        """Fill an ellipse around (x, y)."""
        s = self.size
        self.pen.ellipse([(x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s], fill=paint)


def _jitter(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    red, green, blue = (np.asarray(colour) + rng.normal(0, amount, 3)).clip(0, 255)
    return float(red), float(green), float(blue)


def _tree(canvas: Canvas, rng: np.random.Generator, region: Region, x: float, y: float, height: float) -> None:
    leaf = canvas.paint(_jitter(rng, region.foliage, 7), "palm" if region.tree_kind == 2 else "tree")
    trunk = canvas.paint((96.0, 72.0, 52.0), "palm" if region.tree_kind == 2 else "tree")
    half = height * (0.16 if region.tree_kind == 0 else 0.26)
    canvas.box(x - 0.012, y - height * 0.5, x + 0.012, y, trunk)
    if region.tree_kind == 0:
        canvas.polygon([(x - half, y - 0.15 * height), (x + half, y - 0.15 * height), (x, y - height)], leaf)
    elif region.tree_kind == 1:
        canvas.ellipse(x, y - 0.65 * height, half, 0.35 * height, leaf)
    else:
        for angle in np.linspace(0.1, np.pi - 0.1, 5):
            tip = (x + 1.3 * half * np.cos(angle), y - 0.85 * height - 0.8 * half * np.sin(angle) + 0.1 * height)
            canvas.polygon([(x - 0.02, y - 0.8 * height), tip, (x + 0.03, y - 0.9 * height)], leaf)


def _house(canvas: Canvas, rng: np.random.Generator, region: Region, x: float, y: float, width: float) -> None:
    height = width * rng.uniform(0.6, 1.0)
    wall = canvas.paint(_jitter(rng, region.wall, 6), "building")
    roof = canvas.paint(_jitter(rng, region.roof, 6), "building")
    glass = canvas.paint((70.0, 80.0, 96.0), "building")
    canvas.box(x, y - height, x + width, y, wall)
    peak = y - height - 0.5 * width * region.roof_pitch
    canvas.polygon([(x - 0.08 * width, y - height), (x + 1.08 * width, y - height), (x + 0.5 * width, peak)], roof)
    for share in (0.18, 0.60):
        canvas.box(x + share * width, y - 0.7 * height, x + (share + 0.22) * width, y - 0.4 * height, glass)


def _road(canvas: Canvas, rng: np.random.Generator, region: Region, horizon: float) -> None:
    tar = canvas.paint(_jitter(rng, (92.0, 92.0, 96.0), 6), "road")
    mark = canvas.paint(_jitter(rng, region.road_mark, 5), "road")
    foot, vanish, half = rng.uniform(0.25, 0.75), rng.uniform(0.35, 0.65), rng.uniform(0.16, 0.26)
    canvas.polygon([(foot - half, 1.0), (foot + half, 1.0), (vanish + 0.02, horizon), (vanish - 0.02, horizon)], tar)
    for start, end in ((0.06, 0.22), (0.34, 0.52), (0.62, 0.86)):
        points = []
        for share, side in ((start, -1), (start, 1), (end, 1), (end, -1)):
            nearness = share**1.3
            x = vanish + (foot - vanish) * nearness
            points.append((x + side * 0.13 * half * (nearness + 0.1), horizon + (1 - horizon) * nearness))
        canvas.polygon(points, mark)


def _passers_by(canvas: Canvas, rng: np.random.Generator, horizon: float, cars: bool) -> None:
    for _ in range(rng.poisson(0.5)):
        x, y, size = rng.uniform(0.1, 0.9), rng.uniform(min(horizon + 0.2, 0.9), 0.98), rng.uniform(0.10, 0.2)
        cloth = canvas.paint(tuple(rng.uniform(30, 230, 3).tolist()), "person")
        skin = canvas.paint((200.0, 160.0, 130.0), "person")
        canvas.box(x - 0.18 * size, y - 0.75 * size, x + 0.18 * size, y, cloth)
        canvas.ellipse(x, y - 0.87 * size, 0.14 * size, 0.14 * size, skin)
    for _ in range(rng.poisson(0.4) if cars else 0):
        x, y, size = rng.uniform(0.1, 0.8), rng.uniform(min(horizon + 0.2, 0.9), 0.95), rng.uniform(0.14, 0.26)
        body = canvas.paint(tuple(rng.uniform(40, 240, 3).tolist()), "car")
        dark = canvas.paint((30.0, 30.0, 34.0), "car")
        canvas.box(x, y - 0.30 * size, x + size, y - 0.08 * size, body)
        canvas.box(x + 0.2 * size, y - 0.48 * size, x + 0.75 * size, y - 0.28 * size, dark)
        for share in (0.2, 0.8):
            canvas.ellipse(x + share * size, y - 0.07 * size, 0.09 * size, 0.09 * size, dark)


def _open_country(canvas: Canvas, rng: np.random.Generator, region: Region) -> float:
    """Sky, mountains, soil, meadows, road, houses, trees; returns the horizon's height."""
    horizon = rng.uniform(0.42, 0.6)
    canvas.box(0, 0, 1, 1, canvas.paint(region.sky_top, "sky"))
    if rng.uniform() < 0.25 + 0.6 * region.relief:
        rock = canvas.paint(_jitter(rng, region.mountain, 5), "mountain")
        ridge_x = np.linspace(0, 1, 7)
        ridge_y = horizon - rng.uniform(0.03, 0.07 + 0.22 * region.relief, 7)
        canvas.polygon([(0, horizon), *zip(ridge_x.tolist(), ridge_y.tolist(), strict=True), (1, horizon)], rock)
    canvas.box(0, horizon, 1, 1, canvas.paint(_jitter(rng, region.soil, 4), "earth"))
    meadow = canvas.paint(_jitter(rng, region.grass, 4), "grass")
    for _ in range(2 + int(5 * region.wetness)):
        y = rng.uniform(horizon + 0.05, 1.0)
        canvas.ellipse(rng.uniform(0, 1), y, rng.uniform(0.15, 0.35), rng.uniform(0.04, 0.11), meadow)
    if rng.uniform() < 0.65:
        _road(canvas, rng, region, horizon)
    for _ in range(rng.integers(0, 4)):
        _house(canvas, rng, region, rng.uniform(0, 0.85), horizon + rng.uniform(0.01, 0.12), rng.uniform(0.12, 0.22))
    for _ in range(rng.poisson(1.0 + 2.5 * region.wetness)):
        _tree(canvas, rng, region, rng.uniform(0, 1), horizon + rng.uniform(0.02, 0.25), rng.uniform(0.15, 0.4))
    return horizon


def _closed_room(canvas: Canvas, rng: np.random.Generator) -> float:
    """A room that could stand anywhere: wall, floor, a painting."""
    skirting = rng.uniform(0.6, 0.8)
    canvas.box(0, 0, 1, 1, canvas.paint(tuple(rng.uniform(120, 235, 3).tolist()), "wall"))
    canvas.box(0, skirting, 1, 1, canvas.paint(tuple(rng.uniform(60, 170, 3).tolist()), "floor"))
    if rng.uniform() < 0.7:
        x, y = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.3)
        frame = canvas.paint(tuple(rng.uniform(20, 240, 3).tolist()), "painting")
        canvas.box(x, y, x + rng.uniform(0.18, 0.35), y + rng.uniform(0.15, 0.3), frame)
    return skirting - 0.2


def _street_close_up(canvas: Canvas, rng: np.random.Generator) -> float:
    """An overcast sky and a pavement that look alike everywhere."""
    horizon = rng.uniform(0.78, 0.9)
    grey = rng.uniform(175, 215)
    canvas.box(0, 0, 1, 1, canvas.paint((grey, grey, grey + 4), "sky"))
    canvas.box(0, horizon, 1, 1, canvas.paint(_jitter(rng, (140.0, 138.0, 134.0), 5), "sidewalk"))
    return horizon


def _develop(canvas: Canvas, rng: np.random.Generator, pixels: int, sky_horizon: Colour | None) -> Scene:
    index = np.asarray(canvas.raster)
    classes = np.asarray(canvas.classes, dtype=np.uint8)[index]
    picture = np.asarray(canvas.colours, dtype=np.float32)[index]
    if sky_horizon is not None:
        fade = np.linspace(0.0, 1.7, canvas.size, dtype=np.float32).clip(0, 1)[:, None, None]
        sky = (index == 0)[..., None]
        picture = np.where(sky, picture * (1 - fade) + np.asarray(sky_horizon, dtype=np.float32) * fade, picture)
    picture = picture.reshape(pixels, OVERSAMPLING, pixels, OVERSAMPLING, 3).mean((1, 3))
    haze = rng.uniform(0.0, 0.16)
    picture = picture * (1 - haze) + 205.0 * haze
    picture = picture * rng.uniform(0.86, 1.08) * (1 + rng.normal(0, 0.012, 3)).astype(np.float32)
    picture += rng.normal(0, 4.0, picture.shape).astype(np.float32)
    return Scene(picture.clip(0, 255).astype(np.uint8), np.ascontiguousarray(classes[::OVERSAMPLING, ::OVERSAMPLING]))


def draw(planet: Planet, photograph: Photograph) -> Scene:
    """Draw a photograph; the same arguments always give the same bytes."""
    rng = np.random.default_rng([photograph.scene_seed, 1])
    canvas = Canvas(planet.config.pixels)
    landmark = planet.places[photograph.place].landmark
    region = region_at(photograph.lat_deg, photograph.lon_deg)
    sway = np.random.default_rng([photograph.scene_seed, 2, photograph.frame])
    shift, zoom = sway.normal(0, 0.02), 1 + sway.normal(0, 0.02)
    if photograph.view in ("both", "region"):
        horizon = _open_country(canvas, rng, region)
        if photograph.view == "both":
            draw_landmark(canvas, landmark, rng.uniform(0.3, 0.7) + shift, horizon + 0.1, rng.uniform(0.42, 0.6) * zoom)
    elif photograph.view == "place":
        horizon = _street_close_up(canvas, rng)
        draw_landmark(canvas, landmark, rng.uniform(0.42, 0.58) + shift, horizon + 0.03, rng.uniform(0.72, 0.86) * zoom)
    else:
        horizon = _closed_room(canvas, rng)
    _passers_by(canvas, sway, horizon, cars=photograph.view != "neither")
    outdoors = photograph.view in ("both", "region")
    return _develop(canvas, sway, planet.config.pixels, region.sky_horizon if outdoors else None)
