"""Which photographs are byte-equal or near-equal to others, in which groups, and which sets share them (leakage).

Byte-equal: the same SHA-256. Near-equal: perceptual hashes that differ in at most 6 bits. A hash that says nothing
makes nobody near-equal: `perceptual_hash` sets a bit for each frequency above the median, so that a photograph, noise
of a black night included, has exactly 32 set bits, while an image that is flat or has few frequencies (a plain colour,
a gradient) has few, the median being zero. Such images are duplicates of each other only where their bytes are equal.

A group is a connected component: A near B and B near C are one group, however far A is from C. Leakage and `distance`
count direct neighbours only. How the near pairs are found belongs to `near_hashes`, the tables of what was found to
`tables`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo_pipeline.imagery.duplicates.near_hashes import MOST_COMPARISONS, NONE_NEAR, neighbours

NEAR_BITS = 6
LEAST_SET_BITS = 16
"""A hash with fewer set bits than this, or more than 64 minus this, says too little to call two images alike."""
MOST_SETS = 64


class DuplicateError(ValueError):
    """Columns that cannot be searched for duplicates."""


@dataclass(frozen=True)
class Duplicates:
    """What was found for each of N images; S sets.

    byte, near: for each image the sets (bit s of a uint64 is set s) in which another image is byte-equal to it, or
    near-equal and not byte-equal to any there. distance: bits to the nearest other image, 0 for byte-equal ones, 255
    for none. group: number of its group, counted from 0 in order of the first image; -1 for an image without another.
    informed: whether its hash says something. exact: whether every near pair was surely found.
    """

    byte: NDArray[np.uint64]
    near: NDArray[np.uint64]
    distance: NDArray[np.uint8]
    group: NDArray[np.int64]
    informed: NDArray[np.bool_]
    exact: bool


def find_duplicates(
    sets: NDArray[np.int64],
    sha256: NDArray[np.uint64],
    phash: NDArray[np.int64],
    near_bits: int = NEAR_BITS,
    threads: int | None = None,
    most_comparisons: float = MOST_COMPARISONS,
) -> Duplicates:
    """Search N images for duplicates. sets (N,): number of the set of each, under 64. sha256 (N, 4): `packed_sha256`.

    Memory: about 250 bytes per image. Raises DuplicateError for columns of different lengths or more than 64 sets.
    """
    if not len(sets) == len(sha256) == len(phash):
        raise DuplicateError(
            f"found {len(sets):,} sets, {len(sha256):,} SHA-256 and {len(phash):,} hashes, expected one of each per "
            "image; pass the columns of the same images"
        )
    if len(sets) and int(sets.max()) >= MOST_SETS:
        raise DuplicateError(
            f"found {int(sets.max()) + 1} sets, expected at most {MOST_SETS} (one bit each); compare fewer at a time"
        )
    mask = np.uint64(1) << sets.astype(np.uint64)
    informed = informs(phash)
    copies = _numbered(sha256)
    byte = _others(copies, sets, mask)
    hashes, rows_of = _distinct(phash[informed].view(np.uint64))
    carried = np.zeros(len(hashes), np.uint64)
    np.bitwise_or.at(carried, rows_of, mask[informed])
    found = neighbours(hashes, carried, near_bits, threads, most_comparisons)
    near = np.zeros(len(sets), np.uint64)
    near[informed] = _others(rows_of, sets[informed], mask[informed]) | found.reached[rows_of]
    near &= ~byte
    distance = np.full(len(sets), NONE_NEAR, np.uint8)
    alone = np.bincount(rows_of, minlength=len(hashes)) == 1
    distance[informed] = np.where(alone, found.nearest, 0)[rows_of]
    distance[byte != 0] = 0
    trees = np.full(len(sets), -1, np.int64)
    trees[informed] = found.group[rows_of]
    return Duplicates(byte, near, distance, _groups(trees, copies, byte != 0, near != 0), informed, found.exact)


def informs(phash: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each perceptual hash says enough to call two images alike (module docstring)."""
    bits = np.bitwise_count(np.ascontiguousarray(phash, np.int64).view(np.uint64))
    return (bits >= LEAST_SET_BITS) & (bits <= 64 - LEAST_SET_BITS)


def _numbered(sha256: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number the distinct rows of (N, 4): by their first 64 bits, and by all where those are the same by chance."""
    _, rows_of = _distinct(sha256[:, 0])
    first = np.empty(len(sha256), np.int64)
    first[rows_of] = np.arange(len(sha256))
    if np.array_equal(sha256[first[rows_of]], sha256):
        return rows_of
    return np.unique(sha256, axis=0, return_inverse=True)[1].ravel()


def _distinct(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct values in order, and which of them each is (np.unique takes ten times as long)."""
    order = np.argsort(values)
    ordered = values[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(values) else np.zeros(0, bool)
    rows_of = np.empty(len(values), np.int64)
    rows_of[order] = np.cumsum(new) - 1
    return ordered[new], rows_of


def _others(keys: NDArray[np.int64], sets: NDArray[np.int64], mask: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """For each image the sets in which another image has its key; keys are numbered from 0."""
    present = np.zeros(int(keys.max()) + 1 if len(keys) else 0, np.uint64)
    np.bitwise_or.at(present, keys, mask)
    pairs, rows_of = _distinct(keys.astype(np.uint64) * np.uint64(MOST_SETS) + sets.astype(np.uint64))
    alone_in_set = np.bincount(rows_of, minlength=len(pairs))[rows_of] == 1
    return np.where(alone_in_set, present[keys] & ~mask, present[keys])


def _groups(
    trees: NDArray[np.int64], copies: NDArray[np.int64], byte: NDArray[np.bool_], near: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Number the groups: images of one tree of near hashes, or of equal bytes, are together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    member = byte | near
    nodes = int(trees.max(initial=-1)) + 1
    linked = member & (trees >= 0)
    width = nodes + int(copies.max(initial=-1)) + 1
    edges = (np.ones(int(linked.sum()), np.int8), (trees[linked], nodes + copies[linked]))
    _, labels = connected_components(coo_array(edges, shape=(width, width)), directed=False)
    of_image = labels[nodes + copies[member]]
    _, first, number = np.unique(of_image, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    group = np.full(len(trees), -1, np.int64)
    group[member] = rank[number]
    return group
