"""Distance between points on the Earth, in km: on the sphere (the default) or on the WGS84 ellipsoid.

Inputs are degrees, latitude before longitude, and broadcast. NaN in is NaN out: what a missing prediction means is the
caller's rule (`scoring.accuracy.errors_km`). Cells and coordinates belong to their own modules.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

EARTH_RADIUS_KM = 6371.0
DistanceKind = Literal["great_circle", "wgs84"]


def great_circle_km(lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike) -> np.ndarray:
    """Haversine distance on a sphere of radius 6371 km (GeoSURGE, section IV): float64, broadcast shape."""
    lat1_rad, lon1_rad, lat2_rad, lon2_rad = (np.radians(np.asarray(v, np.float64)) for v in (lat1, lon1, lat2, lon2))
    across_lat = np.sin((lat2_rad - lat1_rad) / 2) ** 2
    across_lon = np.sin((lon2_rad - lon1_rad) / 2) ** 2
    haversine = across_lat + np.cos(lat1_rad) * np.cos(lat2_rad) * across_lon
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0))))


def wgs84_km(lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike) -> np.ndarray:
    """Geodesic distance on the WGS84 ellipsoid: float64, broadcast shape."""
    from pyproj import Geod

    lat1_N, lon1_N, lat2_N, lon2_N = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (lat1, lon1, lat2, lon2)))
    flat = [np.ascontiguousarray(v).reshape(-1) for v in (lon1_N, lat1_N, lon2_N, lat2_N)]
    _, _, metres = Geod(ellps="WGS84").inv(*flat)
    return np.asarray(metres, np.float64).reshape(lat1_N.shape) / 1000.0


def distance_km(
    lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike, kind: DistanceKind | str = "great_circle"
) -> np.ndarray:
    """The distance of the named kind. Raises ValueError for a kind that does not exist."""
    if kind == "great_circle":
        return great_circle_km(lat1, lon1, lat2, lon2)
    if kind == "wgs84":
        return wgs84_km(lat1, lon1, lat2, lon2)
    raise ValueError(f"found distance {kind!r}; expected great_circle or wgs84; choose one of the two")
