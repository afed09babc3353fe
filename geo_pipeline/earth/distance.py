"""Distance between points on the Earth, in km: on the sphere (the default) or on the WGS84 ellipsoid.

Inputs are degrees, latitude before longitude. Distances broadcast, and NaN in is NaN out. What a missing prediction is
worth is said once, in `errors_km`, for scores and routing table alike. Cells and coordinates have their own modules.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

EARTH_RADIUS_KM = 6371.0
DistanceKind = Literal["great_circle", "wgs84"]


class CoordinatesError(ValueError):
    """Coordinates from which no errors can be computed."""


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


def errors_km(
    lat_deg: ArrayLike,
    lon_deg: ArrayLike,
    truth_lat_deg: ArrayLike,
    truth_lon_deg: ArrayLike,
    kind: DistanceKind | str = "great_circle",
) -> np.ndarray:
    """Errors (N,) in km. A prediction that is None, NaN, infinite or out of range has an infinite error.

    Raises CoordinatesError when the truth itself is unusable.
    """
    lat, lon = np.asarray(lat_deg, np.float64), np.asarray(lon_deg, np.float64)
    truth_lat, truth_lon = np.asarray(truth_lat_deg, np.float64), np.asarray(truth_lon_deg, np.float64)
    if not len({lat.shape, lon.shape, truth_lat.shape, truth_lon.shape}) == 1:
        raise CoordinatesError(
            f"found coordinates of shapes {lat.shape}, {lon.shape}, {truth_lat.shape}, {truth_lon.shape}; expected one "
            "prediction per query; fill missing predictions with NaN"
        )
    bad = ~((np.abs(truth_lat) <= 90) & (np.abs(truth_lon) <= 180))
    if bad.any():
        raise CoordinatesError(
            f"found {int(bad.sum())} queries whose true coordinate is missing or out of range (first: row "
            f"{int(np.argmax(bad))}); expected latitudes up to 90 and longitudes up to 180 degrees; correct the truth"
        )
    usable = (np.abs(lat) <= 90) & (np.abs(lon) <= 180)
    error = distance_km(np.where(usable, lat, 0.0), np.where(usable, lon, 0.0), truth_lat, truth_lon, kind)
    return np.where(usable, error, np.inf)
