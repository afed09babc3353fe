"""Cells as s2sphere computes them, one coordinate at a time: what the compiled kernels are compared with.

The comparison belongs to `kernel_check`.
"""

from dataclasses import dataclass

import s2sphere


@dataclass(frozen=True)
class ReferenceCell:
    """What s2sphere says of a coordinate and of the cell of one level that holds it.

    angles_deg: 14 numbers, latitude and longitude of the centre and of the four corners, then the bounds: latitude from
    and to, longitude from and to.
    """

    leaf: int
    cell: int
    token: str
    angles_deg: tuple[float, ...]


def reference_cell(lat_deg: float, lon_deg: float, level: int) -> ReferenceCell:
    """The reference for the compiled kernels; a fraction of a millisecond for each coordinate."""
    leaf = s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(lat_deg, lon_deg))
    cell_id = leaf.parent(level)
    cell = s2sphere.Cell(cell_id)
    points = [cell_id.to_lat_lng(), *(s2sphere.LatLng.from_point(cell.get_vertex(k)) for k in range(4))]
    bound = cell.get_rect_bound()
    limits = (bound.lat_lo(), bound.lat_hi(), bound.lng_lo(), bound.lng_hi())
    angles = [angle for point in points for angle in (point.lat(), point.lng())]
    return ReferenceCell(
        leaf.id(), cell_id.id(), cell_id.to_token(), tuple(angle.degrees for angle in (*angles, *limits))
    )
