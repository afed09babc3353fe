"""PIGEON's geography: cells that follow places, and the clusters of photographs inside them.

PIGEON (section 3.1) merges administrative areas into semantic geocells and finds dense clusters with OPTICS. Here no
border file is read: S2 cells whose photographs lie at one place are merged, so that a cell edge no longer cuts a town
in two, and a cell's photographs are divided by k-means on the sphere. What is learnt on them belongs to `pigeon`.

Shapes: C S2 cells, M close pairs of them, G merged cells, N photographs, K clusters.
"""

import math

import numpy as np
from scipy.spatial import cKDTree

from geo_pipeline.earth.coordinates import coordinates_of, unit_vectors
from geo_pipeline.earth.distance import EARTH_RADIUS_KM
from geo_pipeline.earth.hierarchy import Partition

ROUNDS = 8


def merged_cells(partition: Partition, place_km: float, most: int) -> np.ndarray:
    """The merged cell (C,) int64 of each S2 cell, numbered from 0 in the order of their first S2 cells.

    The closest pairs come first; two groups become one when the means of two of their cells lie within `place_km` and
    they have at most `most` S2 cells together.
    """
    unit_C3 = unit_vectors(partition.lat_deg, partition.lon_deg)
    chord = 2 * math.sin(min(place_km / EARTH_RADIUS_KM, math.pi) / 2)
    pairs_M2 = cKDTree(unit_C3).query_pairs(chord, output_type="ndarray")
    length_M = np.linalg.norm(unit_C3[pairs_M2[:, 0]] - unit_C3[pairs_M2[:, 1]], axis=1)
    group_C = np.arange(len(partition))
    members = {int(cell): [int(cell)] for cell in group_C}
    for row in np.lexsort((pairs_M2[:, 1], pairs_M2[:, 0], length_M)):
        first, second = sorted(int(group_C[cell]) for cell in pairs_M2[row])
        if first != second and len(members[first]) + len(members[second]) <= most:
            group_C[members[second]] = first
            members[first] += members.pop(second)
    return np.unique(group_C, return_inverse=True)[1].astype(np.int64)


def merged_means(partition: Partition, group_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes (G,) in degrees of the merged cells: the mean of their photographs, on the sphere."""
    sums_G3 = np.zeros((int(group_C.max()) + 1, 3))
    np.add.at(sums_G3, group_C, unit_vectors(partition.lat_deg, partition.lon_deg) * partition.counts[:, None])
    return coordinates_of(sums_G3)


def nearest(unit_N3: np.ndarray, centre_K3: np.ndarray) -> np.ndarray:
    """The nearest centre (N,) int64 of each point, of equals the first; both unit vectors."""
    return np.asarray(cKDTree(centre_K3).query(unit_N3)[1], np.int64)


def place_clusters(cell_N: np.ndarray, lat_deg_N: np.ndarray, lon_deg_N: np.ndarray, most: int) -> np.ndarray:
    """The cluster (N,) int64 of each photograph inside its cell: 0, 1 and so on, below `most`."""
    cluster_N = np.zeros(len(cell_N), np.int64)
    order_N = np.argsort(cell_N, kind="stable")
    unit_N3 = unit_vectors(lat_deg_N, lon_deg_N)
    for rows in np.split(order_N, np.flatnonzero(np.diff(cell_N[order_N])) + 1):
        cluster_N[rows] = _k_means(unit_N3[rows], most)
    return cluster_N


def _k_means(unit_N3: np.ndarray, most: int) -> np.ndarray:
    """Clusters (N,) int64 without gaps: the first centre is the first point, each further one the farthest from all."""
    chosen = [0]
    distance_N = np.linalg.norm(unit_N3 - unit_N3[0], axis=1)
    while len(chosen) < most and distance_N.max() > 0:
        chosen.append(int(distance_N.argmax()))
        distance_N = np.minimum(distance_N, np.linalg.norm(unit_N3 - unit_N3[chosen[-1]], axis=1))
    centre_K3 = unit_N3[chosen]
    cluster_N = nearest(unit_N3, centre_K3)
    for _ in range(ROUNDS):
        sums_K3 = np.zeros_like(centre_K3)
        np.add.at(sums_K3, cluster_N, unit_N3)
        length_K = np.linalg.norm(sums_K3, axis=1)
        centre_K3 = np.where(length_K[:, None] > 0, sums_K3 / np.maximum(length_K, 1e-12)[:, None], centre_K3)
        moved_N = nearest(unit_N3, centre_K3)
        if np.array_equal(moved_N, cluster_N):
            break
        cluster_N = moved_N
    return np.unique(cluster_N, return_inverse=True)[1].astype(np.int64)
