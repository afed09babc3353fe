"""S2 cells as polygons of GeoJSON (RFC 7946): positions are longitude, latitude in degrees, counter-clockwise.

The sides of a cell are arcs of great circles, and straight lines in longitude and latitude follow them to within a
hundredth of the side or of a degree, whatever is less. A cell across the date line is cut there; one that holds a pole
or touches it is closed along the pole. Reading polygons belongs to `regions`.
"""

import math
from collections.abc import Mapping

from geo_pipeline.earth.regions import corner_vectors

_Vector = tuple[float, float, float]
_Position = tuple[float, float]  # longitude, which may run on beyond 180 while a ring is walked, and latitude, degrees
_TOLERANCE = 0.01  # of a side, and in degrees
_MOST_HALVINGS = 8
_DECIMALS = 9  # a tenth of a millimetre: cells of level 30 are a centimetre wide


def cell_feature(cell: int, properties: Mapping[str, object]) -> dict[str, object]:
    """A cell, by its id, as a GeoJSON Feature."""
    return {"type": "Feature", "properties": dict(properties), "geometry": cell_geometry(cell)}


def cell_geometry(cell: int) -> dict[str, object]:
    """A cell, by its id, as a GeoJSON Polygon; as a MultiPolygon where the date line cuts it."""
    rings = [_closed(piece) for piece in _pieces(_outline(cell))]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


def _outline(cell: int) -> list[_Position]:
    """The ring around a cell, open, walked without jumps of longitude."""
    corners = corner_vectors(cell)
    ring: list[_Position] = []
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        side = _side(a, b)
        if ring:
            turns = round((ring[-1][0] - side[0][0]) / 360.0) * 360.0
            side = [(lon + turns, lat) for lon, lat in side]
        ring += side[1:] if ring and math.dist(ring[-1], side[0]) < 1e-9 else side
    if abs(ring[-1][0] - ring[0][0]) < 180.0:
        return ring[:-1] if math.dist(ring[-1], ring[0]) < 1e-9 else ring
    return _around_pole(ring[:-1])


def _around_pole(ring: list[_Position]) -> list[_Position]:
    """The ring of a face that holds a pole: from date line to date line, then back along the pole.

    The date line crosses both faces in the middle of a side, where the halving of sides puts a position.
    """
    east = ring[1][0] > ring[0][0]
    start = min(range(len(ring)), key=lambda at: abs(abs(_wrapped(ring[at][0])) - 180.0))
    first, last, pole = (-180.0, 180.0, 90.0) if east else (180.0, -180.0, -90.0)
    between = [(_wrapped(lon), lat) for lon, lat in (*ring[start + 1 :], *ring[:start])]
    return [(first, ring[start][1]), *between, (last, ring[start][1]), (last, pole), (first, pole)]


def _side(a: _Vector, b: _Vector) -> list[_Position]:
    """Positions along the arc from a to b, both included; a pole has the longitude of the other end."""
    (lon_a, lat_a), (lon_b, lat_b) = _position(a), _position(b)
    lon_a, lon_b = (lon_b if abs(lat_a) == 90.0 else lon_a), (lon_a if abs(lat_b) == 90.0 else lon_b)
    start = (lon_a, lat_a)
    return [start, *_after(a, start, b, (lon_a + _wrapped(lon_b - lon_a), lat_b), _MOST_HALVINGS)]


def _after(a: _Vector, start: _Position, b: _Vector, end: _Position, halvings: int) -> list[_Position]:
    """Positions along the arc without its start: the end alone where a straight line is close enough."""
    x, y, z = (p + q for p, q in zip(a, b, strict=True))
    length = math.sqrt(x * x + y * y + z * z)
    middle = (x / length, y / length, z / length)
    lon, lat = _position(middle)
    lon = start[0] + _wrapped(lon - start[0])
    narrow = math.cos(math.radians(lat))
    off_deg = math.hypot((lon - (start[0] + end[0]) / 2) * narrow, lat - (start[1] + end[1]) / 2)
    side_deg = math.degrees(math.dist(a, b))
    if halvings == 0 or off_deg <= _TOLERANCE * min(1.0, side_deg):
        return [end]
    first = _after(a, start, middle, (lon, lat), halvings - 1)
    return [*first, *_after(middle, (lon, lat), b, end, halvings - 1)]


def _position(vector: _Vector) -> _Position:
    x, y, z = vector
    across = math.hypot(x, y)
    if across < 1e-15:
        return 0.0, math.copysign(90.0, z)
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, across))


def _wrapped(lon_deg: float) -> float:
    """The same meridian from -180 to 180."""
    return math.remainder(lon_deg, 360.0)


def _pieces(ring: list[_Position]) -> list[list[_Position]]:
    """The ring within -180 to 180 degrees, cut in two where it goes beyond."""
    low, high = min(lon for lon, _ in ring), max(lon for lon, _ in ring)
    turns = math.floor(((low + high) / 2 + 180.0) / 360.0) * 360.0
    ring = [(lon - turns, lat) for lon, lat in ring]
    low, high = round(low - turns, _DECIMALS), round(high - turns, _DECIMALS)
    if low >= -180.0 and high <= 180.0:
        return [ring]
    line = 180.0 if high > 180.0 else -180.0
    west, east = _cut(ring, line, -1.0), _cut(ring, line, 1.0)
    moved = math.copysign(360.0, line)
    if line > 0:
        return [west, [(lon - moved, lat) for lon, lat in east]]
    return [[(lon - moved, lat) for lon, lat in west], east]


def _cut(ring: list[_Position], line_deg: float, sign: float) -> list[_Position]:
    """What of the ring lies west (-1) or east (1) of a meridian that crosses it twice."""
    kept: list[_Position] = []
    for (lon_a, lat_a), (lon_b, lat_b) in zip(ring, [*ring[1:], ring[0]], strict=True):
        a_in, b_in = (lon_a - line_deg) * sign >= 0, (lon_b - line_deg) * sign >= 0
        if a_in:
            kept.append((lon_a, lat_a))
        if a_in != b_in:
            kept.append((line_deg, lat_a + (line_deg - lon_a) / (lon_b - lon_a) * (lat_b - lat_a)))
    return kept


def _closed(ring: list[_Position]) -> list[list[float]]:
    """Rounded, each position once, and the first again at the end."""
    positions: list[list[float]] = []
    for lon, lat in ring:
        # Adding zero turns -0.0 into 0.0.
        position = [min(max(round(lon, _DECIMALS), -180.0), 180.0) + 0.0, round(lat, _DECIMALS) + 0.0]
        if not positions or position != positions[-1]:
            positions.append(position)
    if positions[0] == positions[-1]:
        positions.pop()
    return [*positions, positions[0]]
