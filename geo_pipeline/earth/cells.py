"""S2 cells as arrays of 64-bit ids: from coordinates, to centres, corners and bounds.

Everything equals s2sphere's results bit for bit. The compiled loops are in `cell_kernels`, imported at first use and
compared with s2sphere once per installation (`kernel_check`); parents, levels and tokens follow from the ids alone and
belong to `cell_numbers`, which cells make up a partition to `partition`.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from geo_pipeline.earth.cell_numbers import MAX_LEVEL, parent_ids, valid
from geo_pipeline.earth.parallel import in_threads

if TYPE_CHECKING:
    from geo_pipeline.earth.kernel_check import Kernels


@functools.cache
def kernels() -> "Kernels":
    """The compiled kernels, after their comparison with s2sphere. Raises KernelMismatch."""
    from geo_pipeline.earth import cell_kernels
    from geo_pipeline.earth.kernel_check import Kernels, check_once

    found = Kernels(cell_kernels.leaf_ids, cell_kernels.centres_deg, cell_kernels.corners_deg, cell_kernels.bounds_deg)
    folder = getattr(getattr(found.leaf_ids, "stats", None), "cache_path", None)  # none where nothing can be written
    check_once(found, None if folder is None else Path(folder))
    return found


def cell_ids(lat_deg: ArrayLike, lon_deg: ArrayLike, level: int = MAX_LEVEL) -> np.ndarray:
    """Ids (N,) uint64 of the cells of one level that hold the coordinates (N,), in degrees; longitudes wrap.

    Raises ValueError for a latitude beyond 90 degrees or a coordinate that is not finite.
    """
    lat, lon = np.broadcast_arrays(np.asarray(lat_deg, np.float64), np.asarray(lon_deg, np.float64))
    lat, lon = np.ascontiguousarray(lat.reshape(-1)), np.ascontiguousarray(lon.reshape(-1))
    leaves = np.empty(len(lat), np.uint64)
    leaf_ids = kernels().leaf_ids
    in_threads(len(lat), lambda start, stop: leaf_ids(lat, lon, leaves, start, stop))
    bad = leaves == 0
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"found {int(bad.sum())} unusable coordinates (first: row {row}, latitude {lat[row]}, longitude "
            f"{lon[row]}); expected finite degrees with latitudes from -90 to 90; set such rows aside "
            "(coordinate_problems) first"
        )
    return leaves if level == MAX_LEVEL else parent_ids(leaves, level)


def cell_centres(ids: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(lat_deg, lon_deg), each (N,), of the cells' centres."""
    cells = valid(ids)
    centres_N2 = np.empty((len(cells), 2))
    centres_deg = kernels().centres_deg
    in_threads(len(cells), lambda start, stop: centres_deg(cells, centres_N2, start, stop))
    return centres_N2[:, 0], centres_N2[:, 1]


def cell_vertices(ids: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(lat_deg, lon_deg), each (N, 4), of the cells' corners, counter-clockwise seen from outside."""
    cells = valid(ids)
    corners_N42 = np.empty((len(cells), 4, 2))
    corners_deg = kernels().corners_deg
    in_threads(len(cells), lambda start, stop: corners_deg(cells, corners_N42, start, stop))
    return corners_N42[..., 0], corners_N42[..., 1]


def cell_bounds(ids: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(lat_min_deg, lat_max_deg, lon_min_deg, lon_max_deg), each (N,): the rectangle around each cell.

    As S2 bounds cells, widened by a hair so that the cell surely lies inside. A cell across the date line has
    lon_min_deg > lon_max_deg; one that touches a pole has all longitudes, -180 to 180.
    """
    cells = valid(ids)
    bounds_N4 = np.empty((len(cells), 4))
    bounds_deg = kernels().bounds_deg
    in_threads(len(cells), lambda start, stop: bounds_deg(cells, bounds_N4, start, stop))
    return bounds_N4[:, 0], bounds_N4[:, 1], bounds_N4[:, 2], bounds_N4[:, 3]
