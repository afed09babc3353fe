"""Draws coordinates that lie on the Earth as those of MP-16 do, from the counts and means of ISNs' public cells.

Three habits of the real ones matter to a partition and are kept: photographs crowd at places within a cell, many carry
one coordinate (city-level geotags), and coordinates are written with six decimals.
"""

import csv
from pathlib import Path

import numpy as np

from geo_pipeline.earth.cell_numbers import cell_levels, ids_from_tokens

PLACES_PER_PHOTOGRAPH = 1 / 40
LARGEST_CITY_SHARE = 0.4  # of the photographs of a cell that carry one and the same coordinate
UNKNOWN_LEVEL = 8


def mp16_like(cells_csv: Path, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(lat_deg, lon_deg), each float64 (N,), of `count` drawn photographs."""
    with cells_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    weight = np.array([float(row["imgs_per_cell"]) for row in rows])
    mean_lat = np.array([float(row["latitude_mean"]) for row in rows])
    mean_lon = np.array([float(row["longitude_mean"]) for row in rows])
    spread_deg = 0.2 * 90.0 / 2.0 ** np.array([_level(row["hex_id"]) for row in rows])
    rng = np.random.default_rng(seed)
    city_share = LARGEST_CITY_SHARE * rng.uniform(0, 1, len(rows)) ** 3

    places = 1 + (weight * PLACES_PER_PHOTOGRAPH).astype(np.int64)
    first_place = np.concatenate([[0], np.cumsum(places)])
    owner = np.repeat(np.arange(len(rows)), places)
    place_lat = mean_lat[owner] + rng.normal(0, 1, len(owner)) * spread_deg[owner]
    place_lon = mean_lon[owner] + rng.normal(0, 1, len(owner)) * spread_deg[owner] / _narrowing(mean_lat[owner])
    place_size = np.exp(rng.normal(-5.5, 1.2, len(owner)))  # degrees: from a square to a quarter

    home = rng.choice(len(rows), count, p=weight / weight.sum())
    rank = (places[home] * rng.uniform(0, 1, count) ** 3).astype(np.int64)
    in_city = rng.uniform(0, 1, count) < city_share[home]
    place = first_place[home] + np.where(in_city, 0, rank)
    offset = np.where(in_city, 0.0, place_size[place])
    lat = place_lat[place] + rng.normal(0, 1, count) * offset
    lon = place_lon[place] + rng.normal(0, 1, count) * offset / _narrowing(place_lat[place])
    return np.clip(lat, -89.9, 89.9).round(6), ((lon + 180.0) % 360.0 - 180.0).round(6)


def _level(token: str) -> int:
    """The level of a cell; some tokens of the public table were damaged by a spreadsheet."""
    try:
        return int(cell_levels(ids_from_tokens([token]))[0])
    except ValueError:
        return UNKNOWN_LEVEL


def _narrowing(lat_deg: np.ndarray) -> np.ndarray:
    return np.cos(np.radians(np.clip(lat_deg, -85, 85)))
