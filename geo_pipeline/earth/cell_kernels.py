"""The compiled arithmetic of S2 cells, one loop per direction: coordinate to leaf id; id to centre, corners and bounds.

Follows Google's S2 (quadratic projection, Hilbert curve with 4-bit look-up tables) operation by operation, so that all
results equal the reference's bit for bit: the trigonometry is libm's (numpy's vectorised cosine may differ in the last
bit) and fast-math stays off. Every loop works on rows [start, stop) of its arrays and releases the interpreter's lock,
so that `parallel` can share the rows among threads.

Imports numba, which takes a second: import this module where it is used. The very first call on a machine compiles (a
few seconds for all loops); the machine code is kept on disk. What users call belongs to `cells`.
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
_BOUND_ERROR = 1.0 / (1 << 51)  # the reference widens its bounds by this many radians on every side
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


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile, and keep the machine code on disk where a folder can be written; without one, once per process."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no folder for its cache: a read-only installation and home
        return njit(nogil=True)(function)


@compiled
def _st(u: float) -> float:
    if u >= 0:
        return 0.5 * math.sqrt(1 + 3 * u)
    return 1 - 0.5 * math.sqrt(1 - 3 * u)


@compiled
def _uv(s: float) -> float:
    if s >= 0.5:
        return (1.0 / 3.0) * (4 * s * s - 1)
    return (1.0 / 3.0) * (1 - 4 * (1 - s) * (1 - s))


@compiled
def _grid(u: float) -> int:
    return max(0, min(_MAX_SIZE - 1, math.floor(_MAX_SIZE * _st(u))))


@compiled
def _face_uv(x: float, y: float, z: float) -> tuple[int, float, float]:
    ax, ay, az = abs(x), abs(y), abs(z)
    if ax > ay and ax > az:
        return (0, y / x, z / x) if x >= 0 else (3, z / x, y / x)
    if ay >= ax and ay > az:
        return (1, -x / y, z / y) if y >= 0 else (4, z / y, -x / y)
    return (2, -x / z, -y / z) if z >= 0 else (5, -y / z, -x / z)


@compiled
def leaf_ids(lat_deg_N: np.ndarray, lon_deg_N: np.ndarray, ids_N: np.ndarray, start: int, stop: int) -> None:
    """Write the level 30 ids (uint64) of coordinates in degrees; 0, which is no id, where one is unusable."""
    for n in range(start, stop):
        if not (abs(lat_deg_N[n]) <= 90.0 and math.isfinite(lon_deg_N[n])):
            ids_N[n] = 0
            continue
        lat, lon = math.radians(lat_deg_N[n]), math.radians(lon_deg_N[n])
        cos_lat = math.cos(lat)
        face, u, v = _face_uv(math.cos(lon) * cos_lat, math.sin(lon) * cos_lat, math.sin(lat))
        i, j = _grid(u), _grid(v)
        position, bits = np.int64(0), np.int64(face & _SWAP)
        for k in range(7, -1, -1):
            bits += ((i >> (4 * k)) & 15) << 6
            bits += ((j >> (4 * k)) & 15) << 2
            bits = _BY_IJ[bits]
            position |= (bits >> 2) << (8 * k)
            bits &= 3
        ids_N[n] = (np.uint64(face) << np.uint64(61)) | (np.uint64(position) << np.uint64(1)) | np.uint64(1)


@compiled
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


@compiled
def _xyz(face: int, u: float, v: float) -> tuple[float, float, float]:
    if face == 0:
        return 1.0, u, v
    if face == 1:
        return -u, 1.0, v
    if face == 2:
        return -u, -v, 1.0
    if face == 3:
        return -1.0, -v, -u
    if face == 4:
        return v, -1.0, -u
    return v, u, -1.0


@compiled
def _lat(x: float, y: float, z: float) -> float:
    return math.atan2(z, math.sqrt(x * x + y * y))


@compiled
def centres_deg(ids_N: np.ndarray, centres_N2: np.ndarray, start: int, stop: int) -> None:
    """Write the centres, latitude and longitude in degrees, of valid ids."""
    for n in range(start, stop):
        cell = ids_N[n]
        face, i, j = _face_ij(cell)
        if cell & np.uint64(1):
            delta = 1
        else:
            delta = 2 if (i ^ np.int64(cell >> np.uint64(2))) & 1 else 0
        x, y, z = _xyz(face, _uv((0.5 / _MAX_SIZE) * (2 * i + delta)), _uv((0.5 / _MAX_SIZE) * (2 * j + delta)))
        centres_N2[n, 0], centres_N2[n, 1] = math.degrees(_lat(x, y, z)), math.degrees(math.atan2(y, x))


@compiled
def _uv_limits(cell: np.uint64) -> tuple[int, float, float, float, float, bool]:
    """Face of a cell, u from and to, v from and to, and whether the cell is a whole face."""
    face, i, j = _face_ij(cell)
    lowest = np.int64(cell & (~cell + np.uint64(1)))  # of a cell of level 30 - k it is 4 ** k, and a side 2 ** k leaves
    size = np.int64(1)
    while size * size < lowest:
        size <<= 1
    i, j = i & -size, j & -size
    scale = 1.0 / _MAX_SIZE
    return face, _uv(scale * i), _uv(scale * (i + size)), _uv(scale * j), _uv(scale * (j + size)), size == _MAX_SIZE


@compiled
def corners_deg(ids_N: np.ndarray, corners_N42: np.ndarray, start: int, stop: int) -> None:
    """Write the corners, counter-clockwise, latitude and longitude in degrees, of valid ids."""
    for n in range(start, stop):
        face, u_low, u_high, v_low, v_high, _ = _uv_limits(ids_N[n])
        for k in range(4):
            x, y, z = _xyz(face, u_high if (k >> 1) ^ (k & 1) else u_low, v_high if k >> 1 else v_low)
            shrink = 1.0 / math.sqrt(x * x + y * y + z * z)
            x, y, z = x * shrink, y * shrink, z * shrink
            corners_N42[n, k, 0], corners_N42[n, k, 1] = math.degrees(_lat(x, y, z)), math.degrees(math.atan2(y, x))


@compiled
def _face_bounds(face: int) -> tuple[float, float, float, float]:
    """(lat from, lat to, lon from, lon to) of a whole face, radians."""
    quarter, pole = math.pi / 4.0, math.asin(math.sqrt(1.0 / 3.0))
    if face == 2:
        return pole, math.pi / 2.0, -math.pi, math.pi
    if face == 5:
        return -math.pi / 2.0, -pole, -math.pi, math.pi
    if face == 0:
        return -quarter, quarter, -quarter, quarter
    if face == 1:
        return -quarter, quarter, quarter, 3.0 * math.pi / 4.0
    if face == 3:
        return -quarter, quarter, 3.0 * math.pi / 4.0, -3.0 * math.pi / 4.0
    return -quarter, quarter, -3.0 * math.pi / 4.0, -quarter


@compiled
def _lon_interval(a: float, b: float) -> tuple[float, float]:
    """The shorter way round between two longitudes, a little widened, as (from, to) in radians."""
    a, b = math.pi if a == -math.pi else a, math.pi if b == -math.pi else b
    way = b - a if b >= a else (b + math.pi) - (a - math.pi)
    low, high = (a, b) if way <= math.pi else (b, a)
    low, high = low - _BOUND_ERROR, high + _BOUND_ERROR
    if low < -math.pi:
        low += 2 * math.pi
    if high > math.pi:
        high -= 2 * math.pi
    return math.pi if low <= -math.pi else low, math.pi if high == -math.pi else high


@compiled
def bounds_deg(ids_N: np.ndarray, bounds_N4: np.ndarray, start: int, stop: int) -> None:
    """Write lat from, lat to, lon from, lon to in degrees of valid ids; S2's GetRectBound."""
    for n in range(start, stop):
        face, u_low, u_high, v_low, v_high, whole = _uv_limits(ids_N[n])
        if whole:
            lat_low, lat_high, lon_low, lon_high = _face_bounds(face)
        else:
            # The corner nearest to and the one farthest from the equator; the other two span the longitudes.
            u, v = u_low + u_high, v_low + v_high
            upper_u = u < 0 if face in (0, 1, 2, 5) else u > 0
            upper_v = v < 0 if face in (2, 3, 4, 5) else v > 0
            u_a, u_b = (u_high, u_low) if upper_u else (u_low, u_high)
            v_a, v_b = (v_high, v_low) if upper_v else (v_low, v_high)
            x, y, z = _xyz(face, u_a, v_a)
            lat_a = _lat(x, y, z)
            x, y, z = _xyz(face, u_b, v_b)
            lat_b = _lat(x, y, z)
            lat_low = max(min(lat_a, lat_b) - _BOUND_ERROR, -math.pi / 2.0)
            lat_high = min(max(lat_a, lat_b) + _BOUND_ERROR, math.pi / 2.0)
            if lat_low == -math.pi / 2.0 or lat_high == math.pi / 2.0:
                lon_low, lon_high = -math.pi, math.pi
            else:
                x, y, z = _xyz(face, u_a, v_b)
                lon_a = math.atan2(y, x)
                x, y, z = _xyz(face, u_b, v_a)
                lon_low, lon_high = _lon_interval(lon_a, math.atan2(y, x))
        bounds_N4[n, 0], bounds_N4[n, 1] = math.degrees(lat_low), math.degrees(lat_high)
        bounds_N4[n, 2], bounds_N4[n, 3] = math.degrees(lon_low), math.degrees(lon_high)
