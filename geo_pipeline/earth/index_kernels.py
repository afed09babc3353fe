"""The compiled loops of `cell_index`: find the interval of every leaf id, copy its rows, and sum directions exactly.

Imports numba: import this module where it is used.
"""

import math

import numpy as np

from geo_pipeline.earth.cell_kernels import compiled

_SCALE = float(1 << 62)
_LOW_BITS = 31
_LOW_MASK = (1 << _LOW_BITS) - 1
FIXED_POINT = float(1 << _LOW_BITS), 1.0 / _SCALE
"""(what a high part is worth in low parts, what a low part is worth) of the sums that `add_directions` makes."""


@compiled
def find_intervals(
    leaves_N: np.ndarray,
    edges: np.ndarray,
    first_of_bucket: np.ndarray,
    shift: np.uint64,
    intervals_N: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Write, per leaf id, how many of the sorted `edges` are not beyond it.

    `first_of_bucket` is the number of edges before each bucket, a bucket being the ids that agree but for their lowest
    `shift` bits: the search within a bucket takes few steps.
    """
    for n in range(start, stop):
        leaf = leaves_N[n]
        bucket = np.int64(leaf >> shift)
        low, high = first_of_bucket[bucket], first_of_bucket[bucket + 1]
        while low < high:
            middle = (low + high) >> 1
            if edges[middle] <= leaf:
                low = middle + 1
            else:
                high = middle
        intervals_N[n] = low


@compiled
def copy_rows(intervals_N: np.ndarray, rows_IP: np.ndarray, rows_NP: np.ndarray, start: int, stop: int) -> None:
    """Write the rows of each interval to the coordinates that lie in it."""
    for n in range(start, stop):
        for p in range(rows_IP.shape[1]):
            rows_NP[n, p] = rows_IP[intervals_N[n], p]


@compiled
def add_directions(
    lat_deg_N: np.ndarray,
    lon_deg_N: np.ndarray,
    intervals_N: np.ndarray,
    sums_I6: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Add the unit vector of every coordinate to the int64 sums of its interval: x, y, z, each as high and low part.

    Each component is a whole number of 2 ** -62, so that the sum is the same in any order; two parts, so that 2 ** 31
    coordinates fit.
    """
    for n in range(start, stop):
        lat, lon = math.radians(lat_deg_N[n]), math.radians(lon_deg_N[n])
        cos_lat = math.cos(lat)
        i = intervals_N[n]
        for k in range(3):
            if k == 0:
                component = math.cos(lon) * cos_lat
            elif k == 1:
                component = math.sin(lon) * cos_lat
            else:
                component = math.sin(lat)
            fixed = np.int64(component * _SCALE)
            sums_I6[i, 2 * k] += fixed >> _LOW_BITS
            sums_I6[i, 2 * k + 1] += fixed & _LOW_MASK
