"""One planet: its places with their landmarks, its authors, and the list of every photograph taken there.

A seed decides everything here; what the land looks like is a law of all planets (`laws`), and how a photograph is
drawn is `scene`'s.
"""

from dataclasses import dataclass

import numpy as np

from geo_pipeline.sample_world.config import VIEWS, Outing, PlanetConfig, View
from geo_pipeline.sample_world.laws import is_land

KM_PER_DEGREE = 111.195


@dataclass(frozen=True)
class Landmark:
    """A silhouette that stands at one place of one planet only. Sizes are shares of the landmark's own box."""

    kind: int
    top: int
    hue: float
    trim_hue: float
    value: float
    slenderness: float
    stripes: int
    windows: int
    wings: float


@dataclass(frozen=True)
class Place:
    """A town: where it lies (degrees), how much it is visited, and what stands there."""

    lat_deg: float
    lon_deg: float
    weight: float
    landmark: Landmark


@dataclass(frozen=True)
class Photograph:
    """One photograph before it is drawn. The frames of one burst share `scene_seed`; `frame` tells them apart."""

    lat_deg: float
    lon_deg: float
    view: View
    place: int
    author: str
    set_name: str | None
    scene_seed: int
    frame: int


@dataclass(frozen=True)
class Planet:
    """A planet and all photographs of it, in no telling order."""

    seed: int
    config: PlanetConfig
    places: tuple[Place, ...]
    photographs: tuple[Photograph, ...]


def _random_land(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates spread evenly over the land, (degrees, degrees), each of length `count`."""
    found_lat: list[float] = []
    found_lon: list[float] = []
    while len(found_lat) < count:
        lat_deg = np.degrees(np.arcsin(rng.uniform(-0.93, 0.93, 16)))
        lon_deg = rng.uniform(-180.0, 180.0, 16)
        keep = is_land(lat_deg, lon_deg)
        found_lat += lat_deg[keep].tolist()
        found_lon += lon_deg[keep].tolist()
    return np.array(found_lat[:count]), np.array(found_lon[:count])


def offset(lat_deg: float, lon_deg: float, north_km: float, east_km: float) -> tuple[float, float]:
    """Move a coordinate by kilometres; stays off the poles, wraps at the date line."""
    lat = float(np.clip(lat_deg + north_km / KM_PER_DEGREE, -89.0, 89.0))
    lon = lon_deg + east_km / (KM_PER_DEGREE * max(np.cos(np.radians(lat)), 0.02))
    return lat, float((lon + 180.0) % 360.0 - 180.0)


def _landmark(rng: np.random.Generator) -> Landmark:
    return Landmark(
        kind=int(rng.integers(6)),
        top=int(rng.integers(5)),
        hue=float(rng.uniform()),
        trim_hue=float(rng.uniform()),
        value=float(rng.uniform(0.45, 0.95)),
        slenderness=float(rng.uniform(0.28, 0.85)),
        stripes=int(rng.integers(5)),
        windows=int(rng.integers(4)),
        wings=float(rng.choice([0.0, 0.0, 0.35, 0.6])),
    )


def _found_places(rng: np.random.Generator, config: PlanetConfig) -> tuple[Place, ...]:
    """Places clustered in urban regions: first those of many, then the lone ones, then the new ones."""
    centre_lat, centre_lon = _random_land(rng, config.urban_regions)
    size = rng.pareto(1.6, config.urban_regions) + 0.4
    places = []
    for _ in range(config.places + config.lone_places + config.new_places):
        centre = rng.choice(config.urban_regions, p=size / size.sum())
        if rng.uniform() < 0.35:
            lat, lon = (float(value[0]) for value in _random_land(rng, 1))
        else:
            lat, lon = offset(centre_lat[centre], centre_lon[centre], *rng.normal(0, 260.0, 2))
        places.append(Place(lat, lon, float(rng.pareto(1.8) + 0.35), _landmark(rng)))
    return tuple(places)


def _go_out(
    rng: np.random.Generator, config: PlanetConfig, places: tuple[Place, ...], outing: Outing, set_name: str | None
) -> list[Photograph]:
    """All photographs of one set: authors with a few scenes each, a burst of frames per scene."""
    weights = np.array([place.weight for place in places[: config.places]])
    weights /= weights.sum()
    first_new = config.places + config.lone_places
    waiting = list(range(config.places, first_new)) if set_name is None else []
    taken: list[Photograph] = []
    author_number = 0
    while len(taken) < outing.photographs:
        author_number += 1
        author = f"{rng.integers(16**8):08x}@{author_number}"
        lone = waiting.pop() if waiting and rng.uniform() < 0.3 else None
        home = int(rng.choice(config.places, p=weights)) if lone is None else lone
        for _ in range(1 + rng.poisson(4.0)):
            view: View = VIEWS[int(rng.choice(4, p=outing.views))]
            place = home
            if view != "region" and rng.uniform() < outing.new_places:
                place = first_new + int(rng.integers(config.new_places))
            elif lone is None and rng.uniform() < 0.5:
                place = int(rng.choice(config.places, p=weights))
            if view == "region" and rng.uniform() < outing.wilderness:
                lat, lon = (float(value[0]) for value in _random_land(rng, 1))
            else:
                spread_km = 60.0 if view == "region" else config.place_spread_km
                lat, lon = offset(places[place].lat_deg, places[place].lon_deg, *rng.normal(0, spread_km, 2))
            scene_seed = int(rng.integers(2**62))
            for frame in range(1 + rng.poisson(outing.burst - 1.0)):
                here = offset(lat, lon, *rng.normal(0, 0.02, 2))
                taken.append(Photograph(*here, view, place, author, set_name, scene_seed, frame))
    return taken[: outing.photographs]


def found(seed: int, config: PlanetConfig) -> Planet:
    """Lay out the planet of a seed (any integer >= 0)."""
    rng = np.random.default_rng([seed, 0x9E0])
    places = _found_places(rng, config)
    photographs = _go_out(rng, config, places, config.pool, None)
    for name, outing in config.benchmarks:
        photographs += _go_out(rng, config, places, outing, name)
    order = rng.permutation(len(photographs))
    return Planet(seed, config, places, tuple(photographs[index] for index in order))
