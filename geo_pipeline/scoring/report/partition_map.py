"""The picture of a partition of the Earth: world maps with every cell in the colour of its count.

Each pixel of a map is turned back into a coordinate and asked for its cell, so poles, date line and the true curved
borders of S2 cells come out right without cutting a polygon. Holds drawing only; counting belongs to `earth.hierarchy`.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import ArrayLike

from geo_pipeline.earth.cell_index import UNCOVERED, CellIndex
from geo_pipeline.earth.cells import cell_ids
from geo_pipeline.earth.hierarchy import Hierarchy, Partition
from geo_pipeline.scoring.report.figures import DOTS_PER_INCH, FAINT, INK, STYLE

WIDTH_PX, FINER = 1240, 2  # of a map in the picture, and how many samples stand side by side in one of its pixels
PALETTE, PALETTE_FROM = "YlGnBu", 0.12  # the palette's first tenth is too near to the colour of nowhere
NOWHERE, BORDER = "#eef0f2", "#ffffff"
LEAST_BORDERED = 24 * FINER**2  # samples; the borders of smaller cells would hide their colour
INCHES, PANEL_INCHES, TITLE_INCHES, MAP_INCHES, FOOTER_INCHES = 8.4, 4.22, 0.58, 3.52, 0.34

# Equal Earth (Šavrič, Patterson and Jenny, 2018): areas are true, so a cell's patch is as large as the cell.
_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_M = np.sqrt(3.0) / 2.0


def partition_map(hierarchy: Hierarchy, total: int, chosen: Sequence[int] | None = None) -> bytes:
    """`partition_figure` as PNG; the same hierarchy gives the same bytes."""
    with mpl.rc_context(STYLE):
        figure, buffer = partition_figure(hierarchy, total, chosen), io.BytesIO()
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        return buffer.getvalue()


def partition_figure(hierarchy: Hierarchy, total: int, chosen: Sequence[int] | None = None) -> Figure:
    """One world map per chosen partition; without a choice up to three, else the coarsest and the finest.

    `total` is how many photographs there were, covered or not.
    """
    count = len(hierarchy.partitions)
    numbers = list(chosen) if chosen is not None else shown_partitions(count)
    partitions = [hierarchy.partitions[number] for number in numbers]
    lat_deg, lon_deg, inside_YX = sample_grid(WIDTH_PX * FINER)
    index = CellIndex([partition.cell_ids for partition in partitions])
    rows_NP = index.rows(index.intervals(cell_ids(lat_deg, lon_deg)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(INCHES, len(numbers) * PANEL_INCHES + FOOTER_INCHES))
        for at, number in enumerate(numbers):
            top = FOOTER_INCHES + (len(numbers) - at) * PANEL_INCHES
            rows_YX = np.full(inside_YX.shape, UNCOVERED, np.int32)
            rows_YX[inside_YX] = rows_NP[:, at]
            axes = _axes(figure, 0.1, top - TITLE_INCHES - MAP_INCHES, INCHES - 1.15, MAP_INCHES)
            bar = _axes(figure, INCHES - 0.95, top - TITLE_INCHES - 0.82 * MAP_INCHES, 0.11, 0.64 * MAP_INCHES)
            _draw(axes, bar, partitions[at], rows_YX, inside_YX)
            _explain(figure, top, partitions[at], _name(number, count), hierarchy, number, total)
        words = (
            "A patch is one S2 cell; a cell too small to be seen is a dot. Grey: too few photographs for a cell. "
            "Equal Earth projection, areas are true."
        )
        figure.text(0.1 / INCHES, 0.14 / figure.get_figheight(), words, size=7.5, color=FAINT)
    return figure


def shown_partitions(count: int) -> list[int]:
    """Which partitions have a map where nobody chose."""
    return list(range(count)) if count <= 3 else [0, count - 1]


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))


def _theta_y() -> tuple[np.ndarray, np.ndarray]:
    """Equal Earth's parametric latitude and the height on the map that belongs to it, from pole to pole."""
    theta = np.arcsin(_M * np.sin(np.radians(np.linspace(-90, 90, 7201))))
    return theta, theta * (_A1 + _A2 * theta**2 + theta**6 * (_A3 + _A4 * theta**2))


def _stretch(theta: np.ndarray) -> np.ndarray:
    """Width on the map of one radian of longitude."""
    return 2 * np.sqrt(3.0) * np.cos(theta) / (3 * (9 * _A4 * theta**8 + 7 * _A3 * theta**6 + 3 * _A2 * theta**2 + _A1))


def project(lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place on the map, x to the right and y upwards."""
    theta = np.arcsin(_M * np.sin(np.radians(lat_deg)))
    return np.radians(lon_deg) * _stretch(theta), theta * (_A1 + _A2 * theta**2 + theta**6 * (_A3 + _A4 * theta**2))


def map_extent() -> tuple[float, float]:
    """(half the width, half the height) of the map."""
    return float(np.pi * _stretch(np.zeros(1))[0]), float(_theta_y()[1][-1])


def sample_grid(width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lat_deg (N,), lon_deg (N,), bool (Y, X)): the samples that lie on the Earth, from the top left, and where."""
    half_x, half_y = map_extent()
    height = FINER * round(width / FINER * half_y / half_x)
    x = (np.arange(width) + 0.5) / width * 2 * half_x - half_x
    y = half_y - (np.arange(height) + 0.5) / height * 2 * half_y
    thetas, ys = _theta_y()
    theta = np.interp(y, ys, thetas)
    lon_YX = np.degrees(x[None, :] / _stretch(theta)[:, None])
    lat_YX = np.broadcast_to(np.degrees(np.arcsin(np.clip(np.sin(theta) / _M, -1, 1)))[:, None], lon_YX.shape)
    inside_YX = np.abs(lon_YX) <= 180.0
    return lat_YX[inside_YX], lon_YX[inside_YX], inside_YX


def _draw(axes: Axes, bar_axes: Axes, partition: Partition, rows_YX: np.ndarray, inside_YX: np.ndarray) -> None:
    """The picture of the cells with its graticule and colour bar."""
    low, high = int(partition.counts.min()), int(partition.counts.max())
    norm = LogNorm(low, max(high, low + 1))
    half_x, half_y = map_extent()
    picture_YX3 = _picture(partition, norm, rows_YX, inside_YX)
    axes.imshow(picture_YX3, extent=(-half_x, half_x, -half_y, half_y), interpolation="antialiased")
    _graticule(axes)
    shades = mpl.colors.ListedColormap(mpl.colormaps[PALETTE](_shades(np.linspace(0, 1, 256))))
    bar = axes.figure.colorbar(mpl.cm.ScalarMappable(norm, shades), cax=bar_axes)
    bar.outline.set_visible(False)
    bar.set_ticks(_ticks(low, max(high, low + 1)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label("Photographs in the cell", size=8)


def _picture(partition: Partition, norm: LogNorm, rows_YX: np.ndarray, inside_YX: np.ndarray) -> np.ndarray:
    """Pixels (Y / FINER, X / FINER, 3) uint8: the samples filled, borders and specks marked, neighbours mixed."""
    shares = norm(partition.counts.astype(np.float64)).filled(0)
    colours = _bytes(mpl.colormaps[PALETTE](_shades(shares))[:, :3])
    picture_YX3 = np.concatenate([colours, [_bytes(to_rgb(NOWHERE))]])[rows_YX]  # row -1 is the last: nowhere
    samples = np.bincount(rows_YX[rows_YX != UNCOVERED], minlength=len(partition))
    picture_YX3[_borders(rows_YX, samples >= LEAST_BORDERED)] = _bytes(to_rgb(BORDER))
    _specks(picture_YX3, partition, samples, colours)
    picture_YX3[~inside_YX] = 255
    parts = [picture_YX3[row::FINER, column::FINER] for row in range(FINER) for column in range(FINER)]
    mixed_YX3: np.ndarray = sum(parts[1:], start=parts[0].astype(np.uint16)) // np.uint16(len(parts))
    return mixed_YX3.astype(np.uint8)


def _bytes(colours: ArrayLike) -> np.ndarray:
    return np.rint(255 * np.asarray(colours)).astype(np.uint8)


def _shades(share: np.ndarray) -> np.ndarray:
    return PALETTE_FROM + (1 - PALETTE_FROM) * share


def _borders(rows_YX: np.ndarray, bordered: np.ndarray) -> np.ndarray:
    """Samples whose right or lower neighbour lies in another cell, one of the two being large enough to be framed."""
    framed_YX = np.append(bordered, False)[rows_YX]
    found = np.zeros(rows_YX.shape, bool)
    across = rows_YX[:, 1:] != rows_YX[:, :-1]
    found[:, :-1] |= across & (framed_YX[:, 1:] | framed_YX[:, :-1])
    down = rows_YX[1:] != rows_YX[:-1]
    found[:-1] |= down & (framed_YX[1:] | framed_YX[:-1])
    return found


def _specks(picture_YX3: np.ndarray, partition: Partition, samples: np.ndarray, colours: np.ndarray) -> None:
    """Cells that no sample fell into become a dot of one pixel of the picture, the fullest cells on top."""
    unseen = np.flatnonzero(samples == 0)
    unseen = unseen[np.argsort(partition.counts[unseen], kind="stable")]
    half_x, half_y = map_extent()
    height, width = picture_YX3.shape[:2]
    x, y = project(partition.lat_deg[unseen], partition.lon_deg[unseen])
    column = np.clip(((x + half_x) / (2 * half_x) * width).astype(int), 0, width - FINER)
    row = np.clip(((half_y - y) / (2 * half_y) * height).astype(int), 0, height - FINER)
    for shift in np.ndindex(FINER, FINER):
        picture_YX3[row + shift[0], column + shift[1]] = colours[unseen]


def _graticule(axes: Axes) -> None:
    lat, lon = np.linspace(-90, 90, 181), np.linspace(-180, 180, 361)
    style: dict[str, Any] = {"color": INK, "linewidth": 0.4, "alpha": 0.16}
    for meridian in range(-120, 180, 60):
        axes.plot(*project(lat, np.full_like(lat, meridian)), **style)
    for parallel in range(-60, 90, 30):
        axes.plot(*project(np.full_like(lon, parallel), lon), **style)
        x, y = project(np.array([parallel]), np.array([-180.0]))
        words = f"{abs(parallel)}°{'N' if parallel > 0 else 'S' if parallel < 0 else ''}"
        axes.annotate(
            words, (x[0], y[0]), (-4, 0), textcoords="offset points", ha="right", va="center", size=7, color=FAINT
        )
    for edge in (-180.0, 180.0):
        axes.plot(*project(lat, np.full_like(lat, edge)), color=FAINT, linewidth=0.7)
    for pole in (-90.0, 90.0):
        axes.plot(*project(np.full_like(lon, pole), lon), color=FAINT, linewidth=0.7)
    half_x, half_y = map_extent()
    axes.set_xlim(-1.045 * half_x, 1.005 * half_x)
    axes.set_ylim(-1.02 * half_y, 1.02 * half_y)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _ticks(low: int, high: int) -> list[float]:
    """The ends, and round numbers that stand clear of them."""
    round_numbers = [digit * 10.0**power for power in range(10) for digit in (1, 2, 5)]
    between = [value for value in round_numbers if low * 1.25 < value < high / 1.25]
    if len(between) > 6:
        between = [value for value in between if str(value)[0] == "1"]
    return [float(low), *between, float(high)]


def _name(number: int, count: int) -> str:
    if count == 1:
        return "The partition"
    place = {0: " (coarsest)", count - 1: " (finest)"}.get(number, "")
    return f"Partition {number}{place}"


def _explain(
    figure: Figure, top: float, partition: Partition, name: str, hierarchy: Hierarchy, number: int, total: int
) -> None:
    """Title and one line of numbers, from `top` inches downwards."""
    built = hierarchy.built[number] if hierarchy.built else None
    levels = sorted({int(partition.levels.min()), int(partition.levels.max())})
    words = [
        f"{len(partition):,} cell{'s' * (len(partition) != 1)} of S2 level {' to '.join(map(str, levels))}",
        f"{share_text(int(partition.counts.sum()), total)} of {total:,} photographs lie in one",
    ]
    if built and built.unsplittable_cells:
        many = built.unsplittable_cells > 1
        words.append(f"{built.unsplittable_cells:,} cell{'s' * many} of the last level hold{'s' * (not many)} more")
    limit = f": cells of at most {built.tau_max:,} photographs" if built else ""
    left, height = 0.1 / INCHES, figure.get_figheight()
    figure.text(left, (top - 0.26) / height, name + limit, size=10.5, weight="bold")
    figure.text(left, (top - 0.46) / height, " · ".join(words), size=8, color=FAINT)


def share_text(part: int, whole: int) -> str:
    """A share in percent that says 100 or 0 only where it is true."""
    percent = 100 * part / max(whole, 1)
    if part not in (0, whole):
        percent = min(max(percent, 0.01), 99.99)
    return f"{percent:.2f} %"
