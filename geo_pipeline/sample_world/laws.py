"""The regional laws of every drawn planet: what the land looks like at a latitude and a longitude.

The laws are the same for all seeds (a vision-language model can know them); places, landmarks and photographs are not
(`planet`). All laws are continuous across the date line. Colours are RGB in 0..255.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Region:
    """What every open view taken near one coordinate shares."""

    sky_top: Colour
    sky_horizon: Colour
    soil: Colour
    grass: Colour
    foliage: Colour
    mountain: Colour
    roof: Colour
    wall: Colour
    road_mark: Colour
    wetness: float
    relief: float
    roof_pitch: float
    tree_kind: int


def is_land(lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
    """Whether coordinates lie on land: three fixed continents-and-islands waves above sea level, no polar caps."""
    lat, lon = np.radians(lat_deg), np.radians(lon_deg)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    height = (
        np.sin(2.1 * x + 0.7) * np.cos(2.7 * y - 0.4)
        + 0.6 * np.sin(4.3 * z + 2.0 * x)
        + 0.35 * np.cos(7.0 * y + 3.0 * z)
    )
    return (height > -0.05) & (np.abs(lat_deg) < 68.0)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return 255 * red, 255 * green, 255 * blue


def region_at(lat_deg: float, lon_deg: float) -> Region:
    """The look of the land at one coordinate (degrees)."""
    south_to_north = (lat_deg + 70.0) / 140.0
    turn = (lon_deg + 180.0) / 360.0
    lon = 2 * np.pi * turn
    lat = np.radians(lat_deg)
    wetness = float(0.5 + 0.35 * np.cos(3 * lat) * np.cos(2 * lon + 0.8) + 0.15 * np.sin(5 * lat + lon))
    relief = float(0.5 + 0.5 * np.sin(3 * lon + 2 * lat))
    return Region(
        sky_top=_hsv(0.48 + 0.26 * south_to_north, 0.62 - 0.25 * abs(lat_deg) / 70, 0.80),
        sky_horizon=_hsv(0.48 + 0.26 * south_to_north, 0.22, 0.97 - 0.18 * south_to_north),
        soil=_hsv(turn, 0.55, 0.72),
        grass=_hsv(0.10 + 0.32 * south_to_north, 0.72, 0.50 + 0.14 * np.sin(2 * lon)),
        foliage=_hsv(0.24 + 0.14 * np.sin(2 * lon + 1.0), 0.70, 0.30 + 0.22 * south_to_north),
        mountain=_hsv(turn + 0.45, 0.28, 0.42 + 0.20 * south_to_north),
        roof=_hsv(2.0 * turn, 0.65, 0.62),
        wall=_hsv(0.09 + 0.5 * south_to_north, 0.16, 0.86),
        road_mark=_hsv(3.0 * turn, 0.75, 0.95),
        wetness=wetness,
        relief=relief,
        roof_pitch=0.25 + 1.1 * abs(lat_deg) / 70,
        tree_kind=0 if abs(lat_deg) > 42 else (1 if abs(lat_deg) > 17 else 2),
    )
