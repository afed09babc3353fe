"""The compiled arithmetic of S2 cells, one loop per direction: coordinate to leaf id, id to centre and vertices.

Follows Google's S2 (quadratic projection, Hilbert curve with 4-bit look-up tables) operation by operation, so that ids
equal the reference's bit for bit: the trigonometry is libm's (numpy's vectorised cosine may differ in the last bit) and
fast-math stays off. Imports numba, which takes a while: import this module where it is used. What users call belongs to
`cells`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

_LOOKUP_BITS = 4
_SWAP, _INVERT = 1, 2
_MAX_LEVEL = 30
_MAX_SIZE = 1 << _MAX_LEVEL
# Position along the Hilbert curve -> (i, j) as two bits, per orientation; and the orientation inside that quadrant.
_POS_TO_IJ = ((0, 1, 3, 2), (0, 2, 3, 1), (3, 2, 0, 1), (3, 1, 0, 2))
_POS_TO_ORIENTATION = (_SWAP, 0, 0, _INVERT | _SWAP)


def _lookup_tables() -> tuple[np.ndarray, np.ndarray]:
    """(position by ij, ij by position), each 1024 long: 8 bits of place and 2 bits of orientation."""
    by_ij, by_position = np.zeros(1024, np.int64), np.zeros(1024, np.int64)

    def fill(depth: int, i: int, j: int, first: int, position: int, orientation: int) -> None:
        if depth == _LOOKUP_BITS:
            ij = (i << _LOOKUP_BITS) + j
            by_ij[(ij << 2) + first] = (position << 2) + orientation
            by_position[(position << 2) + first] = (ij << 2) + orientation
            return
        for quadrant, ij_bits in enumerate(_POS_TO_IJ[orientation]):
            turned = orientation ^ _POS_TO_ORIENTATION[quadrant]
            fill(depth + 1, 2 * i + (ij_bits >> 1), 2 * j + (ij_bits & 1), first, 4 * position + quadrant, turned)

    for orientation in range(4):
        fill(0, 0, 0, orientation, 0, orientation)
    return by_ij, by_position


_BY_IJ, _BY_POSITION = _lookup_tables()


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile, and keep the machine code on disk where a folder can be written; without one, once per process."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no folder for its cache: a read-only installation and home
        return njit(nogil=True)(function)


@_compiled
def _st(u: float) -> float:
    if u >= 0:
        return 0.5 * math.sqrt(1 + 3 * u)
    return 1 - 0.5 * math.sqrt(1 - 3 * u)


@_compiled
def _uv(s: float) -> float:
    if s >= 0.5:
        return (1.0 / 3.0) * (4 * s * s - 1)
    return (1.0 / 3.0) * (1 - 4 * (1 - s) * (1 - s))


@_compiled
def _grid(u: float) -> int:
    return max(0, min(_MAX_SIZE - 1, math.floor(_MAX_SIZE * _st(u))))


@_compiled
def _face_uv(x: float, y: float, z: float) -> tuple[int, float, float]:
    ax, ay, az = abs(x), abs(y), abs(z)
    if ax > ay and ax > az:
        return (0, y / x, z / x) if x >= 0 else (3, z / x, y / x)
    if ay >= ax and ay > az:
        return (1, -x / y, z / y) if y >= 0 else (4, z / y, -x / y)
    return (2, -x / z, -y / z) if z >= 0 else (5, -y / z, -x / z)


@_compiled
def leaf_ids(lat_rad_N: np.ndarray, lon_rad_N: np.ndarray) -> np.ndarray:
    """Level 30 ids (N,) as uint64 of coordinates in radians (N,)."""
    ids = np.empty(len(lat_rad_N), np.uint64)
    for n in range(len(lat_rad_N)):
        cos_lat = math.cos(lat_rad_N[n])
        x, y = math.cos(lon_rad_N[n]) * cos_lat, math.sin(lon_rad_N[n]) * cos_lat
        face, u, v = _face_uv(x, y, math.sin(lat_rad_N[n]))
        i, j = _grid(u), _grid(v)
        position, bits = np.int64(0), np.int64(face & _SWAP)
        for k in range(7, -1, -1):
            bits += ((i >> (4 * k)) & 15) << 6
            bits += ((j >> (4 * k)) & 15) << 2
            bits = _BY_IJ[bits]
            position |= (bits >> 2) << (8 * k)
            bits &= 3
        ids[n] = (np.uint64(face) << np.uint64(61)) | (np.uint64(position) << np.uint64(1)) | np.uint64(1)
    return ids


@_compiled
def _face_ij(cell: np.uint64) -> tuple[np.int64, np.int64, np.int64]:
    """Face of a cell, and (i, j) of a leaf beside its centre."""
    face = np.int64(cell >> np.uint64(61))
    i, j, bits = np.int64(0), np.int64(0), face & _SWAP
    for k in range(7, -1, -1):
        width = 4 if k == 7 else 8
        piece = np.int64(cell >> np.uint64(8 * k + 1)) & ((1 << width) - 1)
        bits = _BY_POSITION[bits + (piece << 2)]
        i += (bits >> 6) << (4 * k)
        j += ((bits >> 2) & 15) << (4 * k)
        bits &= 3
    return face, i, j


@_compiled
def _lat_lon_deg(face: int, u: float, v: float) -> tuple[float, float]:
    if face == 0:
        x, y, z = 1.0, u, v
    elif face == 1:
        x, y, z = -u, 1.0, v
    elif face == 2:
        x, y, z = -u, -v, 1.0
    elif face == 3:
        x, y, z = -1.0, -v, -u
    elif face == 4:
        x, y, z = v, -1.0, -u
    else:
        x, y, z = v, u, -1.0
    return math.degrees(math.atan2(z, math.sqrt(x * x + y * y))), math.degrees(math.atan2(y, x))


@_compiled
def centres_deg(ids_N: np.ndarray) -> np.ndarray:
    """Centres (N, 2) as latitude and longitude in degrees of valid ids (N,)."""
    centres = np.empty((len(ids_N), 2))
    for n in range(len(ids_N)):
        cell = ids_N[n]
        face, i, j = _face_ij(cell)
        if cell & np.uint64(1):
            delta = 1
        else:
            delta = 2 if (i ^ np.int64(cell >> np.uint64(2))) & 1 else 0
        u, v = _uv((0.5 / _MAX_SIZE) * (2 * i + delta)), _uv((0.5 / _MAX_SIZE) * (2 * j + delta))
        centres[n, 0], centres[n, 1] = _lat_lon_deg(face, u, v)
    return centres


@_compiled
def vertices_deg(ids_N: np.ndarray, sizes_N: np.ndarray) -> np.ndarray:
    """Corners (N, 4, 2), counter-clockwise, in degrees, of valid ids whose sides are `sizes_N` leaves long."""
    corners = np.empty((len(ids_N), 4, 2))
    for n in range(len(ids_N)):
        face, i, j = _face_ij(ids_N[n])
        size = sizes_N[n]
        i_low, j_low = i & -size, j & -size
        for k in range(4):
            u = _uv((1.0 / _MAX_SIZE) * (i_low + size * ((k >> 1) ^ (k & 1))))
            v = _uv((1.0 / _MAX_SIZE) * (j_low + size * (k >> 1)))
            corners[n, k, 0], corners[n, k, 1] = _lat_lon_deg(face, u, v)
    return corners
