"""Latitude and longitude in degrees: which are usable, and their mean on the sphere.

Distances belong to `distance`, cells to `cells`; what happens to a row with a problem belongs to `imagery.catalogue`.
"""

import numpy as np
from numpy.typing import ArrayLike

HALF_CIRCUMFERENCE_KM = 20015.0
"""No two points are farther apart; stands for an infinite error where a finite one is needed (training the router)."""


PROBLEMS = ("nan_coordinate", "lat_out_of_range", "lon_out_of_range", "null_island")
"""Why a coordinate cannot be used, the first that holds: NaN, infinite or None; beyond 90 or 180 degrees; exactly 0, 0,
which cameras and tables write for "unknown"."""


def problem_codes(lat_deg: ArrayLike, lon_deg: ArrayLike) -> np.ndarray:
    """int8 (N,): 0 where a coordinate is usable, else 1 plus the place of its reason in `PROBLEMS`."""
    lat, lon = np.broadcast_arrays(np.asarray(lat_deg, np.float64), np.asarray(lon_deg, np.float64))
    lat, lon = lat.reshape(-1), lon.reshape(-1)
    codes = np.zeros(lat.shape, np.int8)
    codes[(lat == 0.0) & (lon == 0.0)] = 4
    codes[np.abs(lon) > 180.0] = 3
    codes[np.abs(lat) > 90.0] = 2
    codes[~(np.isfinite(lat) & np.isfinite(lon))] = 1
    return codes


def coordinate_problems(lat_deg: ArrayLike, lon_deg: ArrayLike) -> list[str | None]:
    """One reason of `PROBLEMS` per coordinate, or None where it is usable; for few, see `problem_codes`."""
    words = np.array([None, *PROBLEMS], dtype=object)
    result: list[str | None] = words[problem_codes(lat_deg, lon_deg)].tolist()
    return result


def unit_vectors(lat_deg: ArrayLike, lon_deg: ArrayLike) -> np.ndarray:
    """Unit vectors (N, 3) of coordinates in degrees (N,): x towards (0, 0), y (0, 90), z the north pole."""
    lat, lon = np.radians(np.asarray(lat_deg, np.float64)), np.radians(np.asarray(lon_deg, np.float64))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def coordinates_of(vectors_N3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lat_deg, lon_deg), each (N,), of vectors (N, 3) of any length but zero."""
    x, y, z = vectors_N3[..., 0], vectors_N3[..., 1], vectors_N3[..., 2]
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def mean_direction(lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[float, float]:
    """(lat_deg, lon_deg) of the mean of the unit vectors: right across the date line and at the poles.

    (NaN, NaN) where the points cancel, as antipodes do. Raises ValueError when there are no points.
    """
    vectors = np.atleast_2d(unit_vectors(lat_deg, lon_deg))
    if len(vectors) == 0:
        raise ValueError("found no coordinates; expected at least one to average; leave empty groups out")
    mean = vectors.mean(axis=0)
    if np.linalg.norm(mean) < 1e-12:
        return float("nan"), float("nan")
    lat, lon = coordinates_of(mean)
    return float(lat), float(lon)
