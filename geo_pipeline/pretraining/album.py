"""Photographs of many training planets, drawn once and kept in memory as arrays.

The seeds start at `FIRST_SEED`, far from any seed a user gives to `--seed`; regional laws are the same there, places
and landmarks are not.
"""

from dataclasses import dataclass

import numpy as np

from geo_pipeline.sample_world.config import Outing, PlanetConfig
from geo_pipeline.sample_world.planet import Landmark, Photograph, found
from geo_pipeline.sample_world.scene import draw

FIRST_SEED = 1_000_000


@dataclass(frozen=True)
class Album:
    """N photographs: `images` uint8 [N, H, W, 3], `class_maps` uint8 [N, H, W], coordinates in degrees [N].

    `places` tells which landmark stands in a picture; numbers are unique over the planets of one album.
    """

    images: np.ndarray
    class_maps: np.ndarray
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    places: np.ndarray
    photographs: tuple[Photograph, ...]
    landmarks: tuple[Landmark, ...]


def draw_album(
    planets: int, photographs: int, first_seed: int = FIRST_SEED, views: tuple[float, ...] | None = None
) -> Album:
    """Draw `photographs` pictures on each of `planets` planets (about one millisecond each).

    Args:
        views: shares of the four views, the default planet's when None.
    """
    default = PlanetConfig()
    mix = default.pool.views if views is None else (views[0], views[1], views[2], views[3])
    config = PlanetConfig(pool=Outing(photographs, mix, 0.0, 0.85, 1.3), benchmarks=())
    images: list[np.ndarray] = []
    maps: list[np.ndarray] = []
    places: list[int] = []
    taken: list[Photograph] = []
    landmarks: list[Landmark] = []
    for number in range(planets):
        planet = found(first_seed + number, config)
        for photograph in planet.photographs:
            scene = draw(planet, photograph)
            images.append(scene.image)
            maps.append(scene.class_map)
            places.append(len(landmarks) + photograph.place)
        taken += planet.photographs
        landmarks += [place.landmark for place in planet.places]
    return Album(
        images=np.stack(images),
        class_maps=np.stack(maps),
        lat_deg=np.array([photograph.lat_deg for photograph in taken]),
        lon_deg=np.array([photograph.lon_deg for photograph in taken]),
        places=np.array(places),
        photographs=tuple(taken),
        landmarks=tuple(landmarks),
    )
