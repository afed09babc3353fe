"""Geoclass sets: fine cells merged at random into larger classes, several times over (CPlaNet, section 3.2).

A set starts with every fine cell as its own class and joins neighbouring classes, near ones first but in an order that
differs from set to set, until as few are left as wanted. Where all sets are laid over each other, *parts* remain that
are much finer than any class. The network belongs to `cplanet`.

Shapes: F fine cells, E edges, S sets, A parts.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from geo_pipeline.earth.coordinates import coordinates_of, unit_vectors
from geo_pipeline.earth.hierarchy import Partition

_LARGEST = 3.0
_BLUR = 5.0  # neighbours of a city are 1 km apart, those of a desert 1000: less blur would join the same ones always


@dataclass(frozen=True)
class GeoclassSets:
    """Which class each fine cell has in each set, and the parts that the sets make together.

    class_FS, class_AS int64: class of a cell, and of a part; part_F int64: the part of a cell; place_A2 degrees.
    """

    class_FS: np.ndarray
    part_F: np.ndarray
    class_AS: np.ndarray
    place_A2: np.ndarray

    @property
    def counts(self) -> list[int]:
        """Number of classes of each set."""
        return [int(column.max()) + 1 for column in self.class_FS.T]


def geoclass_sets(fine: Partition, sets: int, cells_per_class: float, neighbours: int, seed: int) -> GeoclassSets:
    """`sets` different merges of the cells; a part answers with the mean of its photographs."""
    unit_F3 = unit_vectors(fine.lat_deg, fine.lon_deg)
    edges_E2, length_E = _edges(unit_F3, neighbours)
    wanted = max(1, round(len(fine) / cells_per_class))
    class_FS = np.stack(
        [
            _merged(len(fine), edges_E2, length_E, wanted, np.random.default_rng([seed, number]))
            for number in range(sets)
        ],
        axis=1,
    )
    class_AS, part_F = np.unique(class_FS, axis=0, return_inverse=True)
    part_F = part_F.reshape(-1)
    sums_A3 = np.zeros((len(class_AS), 3))
    np.add.at(sums_A3, part_F, unit_F3 * fine.counts[:, None])
    return GeoclassSets(class_FS, part_F, class_AS, np.stack(coordinates_of(sums_A3), axis=1))


def _edges(unit_F3: np.ndarray, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (E, 2) of neighbouring cells, each once, and their chord lengths (E,)."""
    count = min(neighbours, len(unit_F3) - 1)
    if count < 1:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    near_FK = cKDTree(unit_F3).query(unit_F3, count + 1)[1]
    pairs_E2 = np.stack([np.repeat(np.arange(len(unit_F3)), count + 1), near_FK.reshape(-1)], axis=1)
    pairs_E2 = pairs_E2[pairs_E2[:, 0] != pairs_E2[:, 1]]
    edges_E2 = np.unique(np.sort(pairs_E2, axis=1), axis=0)
    length_E: np.ndarray = np.linalg.norm(unit_F3[edges_E2[:, 0]] - unit_F3[edges_E2[:, 1]], axis=1)
    return edges_E2, length_E


def _merged(
    count: int, edges_E2: np.ndarray, length_E: np.ndarray, wanted: int, draw: np.random.Generator
) -> np.ndarray:
    """Classes (F,) counted from 0: Kruskal's algorithm on lengths that are blurred by a random factor.

    No class grows beyond a few times the average, so that classes stay comparable.
    """
    root = np.arange(count)
    size = np.ones(count, np.int64)
    largest = max(2.0, _LARGEST * count / wanted)
    left = count
    for edge in np.argsort(length_E * draw.lognormal(0.0, _BLUR, len(length_E)), kind="stable"):
        if left <= wanted:
            break
        one, other = (_find(root, int(cell)) for cell in edges_E2[edge])
        if one != other and size[one] + size[other] <= largest:
            root[other] = one
            size[one] += size[other]
            left -= 1
    return np.unique([_find(root, cell) for cell in range(count)], return_inverse=True)[1].reshape(-1)


def _find(root: np.ndarray, cell: int) -> int:
    while root[cell] != cell:
        root[cell] = root[root[cell]]
        cell = int(root[cell])
    return cell
