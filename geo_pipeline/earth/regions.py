"""Regions of the Earth and the neighbourhood of S2 cells, by s2sphere.

Holds what the compiled kernels lack and what is asked of few cells at a time: parts of the Earth that a user names, the
cells that cover them, which cells adjoin, and the corners of a cell as vectors. Coordinates by the million belong to
`cells`; a cell as GeoJSON to `outlines`; what the kernels are compared with to `reference_cells`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import s2sphere
from numpy.typing import ArrayLike

from geo_pipeline.earth.cell_index import locate
from geo_pipeline.earth.cell_numbers import ids_from_tokens
from geo_pipeline.earth.cells import cell_ids

FORMS = "lat_min,lon_min,lat_max,lon_max in degrees, a GeoJSON file of polygons, or the token of an S2 cell"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""Python takes 4_8 and digits of other scripts for numbers too."""
_MOST_CELLS = 32
_MARGIN_RADIANS = 1e-9  # some millimetres: a cover may hold too much, never too little


class RegionError(ValueError):
    """Words or a file that name no region; the message says what was found, what was expected and what to do next."""


@dataclass(frozen=True)
class Rectangle:
    """Between two parallels and two meridians, borders included; lon_min_deg > lon_max_deg crosses the date line."""

    lat_min_deg: float
    lon_min_deg: float
    lat_max_deg: float
    lon_max_deg: float

    def contains(self, lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
        """Which coordinates (N,) lie inside, bool (N,)."""
        rows = (lat_deg >= self.lat_min_deg) & (lat_deg <= self.lat_max_deg)
        same_meridians = (lon_deg, np.where(np.abs(lon_deg) == 180.0, -lon_deg, lon_deg))  # 180 and -180 are one
        return rows & np.logical_or(*(self._columns(each) for each in same_meridians))

    def _columns(self, lon_deg: np.ndarray) -> np.ndarray:
        after, before = lon_deg >= self.lon_min_deg, lon_deg <= self.lon_max_deg
        return after & before if self.lon_min_deg <= self.lon_max_deg else after | before

    def cover(self, most_cells: int) -> list[s2sphere.CellId]:
        """Cells that together hold all of it."""
        corners = [
            s2sphere.LatLng.from_degrees(self.lat_min_deg, self.lon_min_deg),
            s2sphere.LatLng.from_degrees(self.lat_max_deg, self.lon_max_deg),
        ]
        exact = s2sphere.LatLngRect(*corners)
        if self.lon_min_deg == -180.0 and self.lon_max_deg == 180.0:
            exact = s2sphere.LatLngRect(exact.lat(), s2sphere.LatLngRect.full_lng())
        coverer = s2sphere.RegionCoverer()
        coverer.max_cells = most_cells
        margin = s2sphere.LatLng.from_radians(_MARGIN_RADIANS, _MARGIN_RADIANS)
        cells: list[s2sphere.CellId] = coverer.get_covering(exact.expanded(margin))
        return cells


@dataclass(frozen=True, eq=False)
class Polygon:
    """A polygon of GeoJSON: rings float64 (V, 2) of latitude and longitude in degrees, the first the outer one.

    As RFC 7946 has it, sides are straight in longitude and latitude, and what crosses the date line is cut there.
    """

    rings: tuple[np.ndarray, ...]

    def contains(self, lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
        """Which coordinates (N,) lie inside and in no hole, bool (N,); of two polygons that share a side, one."""
        inside = np.zeros(len(lat_deg), bool)
        for ring in self.rings:
            for (lat_a, lon_a), (lat_b, lon_b) in pairwise(ring):
                rows = np.flatnonzero((lat_a > lat_deg) != (lat_b > lat_deg))
                crossing = lon_a + (lat_deg[rows] - lat_a) / (lat_b - lat_a) * (lon_b - lon_a)
                inside[rows] ^= lon_deg[rows] < crossing
        return inside

    def cover(self, most_cells: int) -> list[s2sphere.CellId]:
        """Cells that together hold the rectangle around it."""
        low, high = self.rings[0].min(axis=0), self.rings[0].max(axis=0)
        return Rectangle(*low.tolist(), *high.tolist()).cover(most_cells)


@dataclass(frozen=True)
class CellRegion:
    """One S2 cell: the coordinates whose leaf it holds."""

    cell: int

    def contains(self, lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
        """Which coordinates (N,) lie inside, bool (N,)."""
        inside: np.ndarray = locate(np.array([self.cell], np.uint64), cell_ids(lat_deg, lon_deg)) >= 0
        return inside

    def cover(self, most_cells: int) -> list[s2sphere.CellId]:
        """The cell."""
        return [s2sphere.CellId(self.cell)]


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the Earth, as a user named it: everything that lies in one of its parts."""

    name: str
    parts: Sequence[Rectangle | Polygon | CellRegion]

    def cover(self, most_cells: int = _MOST_CELLS) -> np.ndarray:
        """Disjoint ids (C,) uint64, sorted, of cells that hold the region; about `most_cells` of them per part."""
        union = s2sphere.CellUnion([cell for part in self.parts for cell in part.cover(most_cells)])
        return np.array(sorted(cell.id() for cell in union.cell_ids()), np.uint64)

    def contains(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> np.ndarray:
        """Which coordinates (N,), in degrees, lie inside, bool (N,). Raises ValueError for unusable coordinates.

        The cover sets aside most of what lies outside; the shape itself decides about the rest.
        """
        lat, lon = np.asarray(lat_deg, np.float64), np.asarray(lon_deg, np.float64)
        near = np.flatnonzero(locate(self.cover(), cell_ids(lat, lon)) >= 0)
        inside = np.zeros(len(lat), bool)
        for part in self.parts:
            inside[near] |= part.contains(lat[near], lon[near])
        return inside


def region_of(written: str) -> Region:
    """The region that a user names in one of the FORMS. Raises RegionError."""
    if Path(written).is_file():
        return Region(Path(written).name, _polygons(Path(written)))
    if "," in written:
        return Region(written, (_rectangle(written),))
    try:
        return Region(f"cell {written}", (CellRegion(int(ids_from_tokens([written])[0])),))
    except ValueError:
        raise RegionError(
            f"found region {written!r}, which is no file and no token; expected {FORMS}; correct it"
        ) from None


def _rectangle(written: str) -> Rectangle:
    parts = [part.strip() for part in written.split(",")]
    numbers = [float(part) for part in parts] if all(map(_NUMBER.fullmatch, parts)) else []
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise RegionError(f"found region {written!r}; expected four numbers, {FORMS}; correct it")
    lat_min, lon_min, lat_max, lon_max = numbers
    if not -90 <= lat_min <= lat_max <= 90:
        raise RegionError(
            f"found region {written!r} with latitudes from {lat_min:g} to {lat_max:g}; expected the southern one "
            "first, both from -90 to 90; write lat_min,lon_min,lat_max,lon_max"
        )
    if max(abs(lon_min), abs(lon_max)) > 180:
        raise RegionError(
            f"found region {written!r} with longitudes from {lon_min:g} to {lon_max:g}; expected -180 to 180; a region "
            "across the date line begins at the larger one, such as -20,170,-10,-170"
        )
    return Rectangle(lat_min, lon_min, lat_max, lon_max)


def _polygons(path: Path) -> tuple[Polygon, ...]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise RegionError(f"found no JSON in {path} ({error}); expected {FORMS}; correct the file") from error
    found = tuple(Polygon(tuple(_ring(path, ring) for ring in rings)) for rings in _rings(document))
    if not found:
        raise RegionError(f"found no polygon in {path}; expected a GeoJSON Polygon or MultiPolygon; correct the file")
    return found


def _rings(document: Any) -> Iterator[list[Any]]:
    """The rings of every polygon in a GeoJSON object, whatever wraps it; points and lines are passed over."""
    match document:
        case {"type": "FeatureCollection", "features": [*features]}:
            for feature in features:
                yield from _rings(feature)
        case {"type": "Feature", "geometry": geometry}:
            yield from _rings(geometry)
        case {"type": "GeometryCollection", "geometries": [*geometries]}:
            for geometry in geometries:
                yield from _rings(geometry)
        case {"type": "Polygon", "coordinates": [_, *_] as rings}:
            yield rings
        case {"type": "MultiPolygon", "coordinates": [*polygons]}:
            yield from (rings for rings in polygons if isinstance(rings, list) and rings)


def _ring(path: Path, positions: Any) -> np.ndarray:
    try:
        pairs = [position[:2] for position in positions]
        if any(type(number) not in (int, float) for pair in pairs for number in pair):
            raise TypeError("found a text or a truth value, expected a number")
        lon_lat = np.array(pairs, np.float64)
        good = lon_lat.shape[0] >= 4 and bool((np.abs(lon_lat) <= (180.0, 90.0)).all())
        good = good and bool((lon_lat[0] == lon_lat[-1]).all())
    except (TypeError, ValueError, IndexError, KeyError):
        good = False
    if not good:
        raise RegionError(
            f"found a ring in {path} that is none; expected at least four positions [longitude, latitude] in degrees, "
            "longitudes -180 to 180, the last equal to the first (RFC 7946); correct the file"
        )
    return lon_lat[:, ::-1]


def adjoining(first_ids: ArrayLike, second_ids: ArrayLike) -> np.ndarray:
    """Which pairs of disjoint cells (N,) share a side, part of one, or a corner, bool (N,).

    The cells may be of different levels. A pair of which one holds the other does not adjoin.
    """
    first, second = np.asarray(first_ids, np.uint64).reshape(-1), np.asarray(second_ids, np.uint64).reshape(-1)
    pairs, back = np.unique(np.stack([first, second], axis=1), axis=0, return_inverse=True)
    found = np.array([_adjoin(s2sphere.CellId(int(a)), s2sphere.CellId(int(b))) for a, b in pairs], bool)
    return found[back.reshape(-1)]


def _adjoin(a: s2sphere.CellId, b: s2sphere.CellId) -> bool:
    fine, coarse = (a, b) if a.level() >= b.level() else (b, a)
    if coarse.contains(fine):
        return False
    return any(coarse.contains(each) for each in fine.get_all_neighbors(fine.level()))


def corner_vectors(cell: int) -> list[tuple[float, float, float]]:
    """The four corners of a cell as unit vectors (x, y, z), counter-clockwise seen from outside."""
    corners = (s2sphere.Cell(s2sphere.CellId(cell)).get_vertex(k) for k in range(4))
    return [(corner[0], corner[1], corner[2]) for corner in corners]
