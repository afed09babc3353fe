"""Whether coordinates lie in the open sea, by the land-sea table of the package landcheck (triangles of about 8 km).

Near a coast it says no: many photographs are taken from a beach, a bridge or a boat.
"""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from landcheck import LandCheck


def in_open_sea(lat_deg: ArrayLike, lon_deg: ArrayLike) -> np.ndarray:
    """Boolean (N,) of finite coordinates in degrees (N,): no land in the triangle that holds the point."""
    table = _land_table()
    pairs = zip(np.asarray(lat_deg, np.float64).tolist(), np.asarray(lon_deg, np.float64).tolist(), strict=True)
    return np.array([table.check(lon, lat).land_fraction == 0.0 for lat, lon in pairs], bool)


@cache
def _land_table() -> "LandCheck":
    from landcheck import LandCheck

    return LandCheck()
