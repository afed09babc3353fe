"""The compiled loop that finds near-equal hashes: compares every hash with those of the buckets beside its own.

Imports numba, which takes a second: import this module where it is used. Why these buckets hold every pair, and what is
done with the pairs, stands in `duplicates`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from geo_pipeline.earth.cell_kernels import compiled

_LOW_16 = np.uint64(0xFFFF)
_PIECE = 128


@intrinsic
def _set_bits(_context: object, _value: object) -> tuple[Any, Callable[..., Any]]:
    """Number of set bits of a uint64, as the processor's own instruction."""

    def code(_target: object, builder: Any, _signature: object, arguments: tuple[Any, ...]) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), code


@compiled
def dealt(hashes_N: np.ndarray, bits_64: np.ndarray, dealt_N: np.ndarray, start: int, stop: int) -> None:
    """Write the hashes with their bits in another order: bit k of the result is bit `bits_64[k]`."""
    for n in range(start, stop):
        value = np.uint64(0)
        for k in range(64):
            value |= ((hashes_N[n] >> np.uint64(bits_64[k])) & np.uint64(1)) << np.uint64(k)
        dealt_N[n] = value


@compiled
def root(parent_N: np.ndarray, node: int) -> int:
    """The root of a node's tree; the path to it is halved on the way."""
    while parent_N[node] != node:
        parent_N[node] = parent_N[parent_N[node]]
        node = parent_N[node]
    return node


@compiled
def join(parent_N: np.ndarray, other_N: np.ndarray) -> None:
    """Merge the groups of another forest over the same nodes into this one; the least node becomes the root."""
    for node in range(len(parent_N)):
        _unite(parent_N, node, other_N[node])
    for node in range(len(parent_N)):
        parent_N[node] = root(parent_N, node)


@compiled
def _unite(parent_N: np.ndarray, left: int, right: int) -> None:
    left, right = root(parent_N, left), root(parent_N, right)
    if left < right:
        parent_N[right] = left
    elif right < left:
        parent_N[left] = right


@compiled
def _run(edges: np.ndarray, bucket: int, beside: int, place: int, window: int) -> tuple[int, int]:
    """The places of bucket `beside` with which the hash at `place` of `bucket` is compared: each pair comes up once."""
    low, high = edges[beside], edges[beside + 1]
    if beside == bucket:
        return place + 1, min(high, place + 1 + window)
    if beside < bucket or high - low <= window:
        return low, high if beside > bucket else low
    centre = low + (place - edges[bucket]) * (high - low) // (edges[bucket + 1] - edges[bucket])
    low = max(low, min(centre - window // 2, high - window))
    return low, low + window


@compiled
def scan(
    hashes_N: np.ndarray,
    edges: np.ndarray,
    flips: np.ndarray,
    shift: int,
    radius: int,
    window: int,
    own_N: np.ndarray,
    nearest_N: np.ndarray,
    reached_N: np.ndarray,
    parent_N: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Compare the hashes at places [start, stop) with what lies beside them, and keep what is learnt from near pairs.

    hashes_N: in the order of their 16 bits from `shift`; edges (65537): where each bucket begins; flips: what a
    bucket's number is changed by to reach the buckets that are looked into, at most `window` hashes in each. A pair
    within `radius` bits lowers nearest_N, adds the bits of own_N to reached_N, and joins two trees of parent_N. A pair
    that teaches nothing is passed over without a branch: where all hashes lie near each other, most are of that kind.
    """
    for place in range(start, stop):
        value, own = hashes_N[place], own_N[place]
        bucket = np.int64((value >> np.uint64(shift)) & _LOW_16)
        for flip in flips:
            low, high = _run(edges, bucket, bucket ^ flip, place, window)
            for first in range(low, high, _PIECE):
                last = min(first + _PIECE, high)
                near = np.int64(0)
                for at in range(first, last):
                    near += np.int64(_set_bits(value ^ hashes_N[at]) <= np.uint64(radius))
                if near == 0:
                    continue
                tree, reached, nearest = root(parent_N, place), reached_N[place], np.int64(nearest_N[place])
                news = np.int64(0)
                for at in range(first, last):
                    bits = np.int64(_set_bits(value ^ hashes_N[at]))
                    missing = (own_N[at] & ~reached) | (own & ~reached_N[at])
                    closer = (bits < nearest) | (bits < np.int64(nearest_N[at]))
                    news += np.int64((bits <= radius) & (closer | (missing != 0) | (parent_N[at] != tree)))
                if news == 0:
                    continue
                for at in range(first, last):
                    bits = np.int64(_set_bits(value ^ hashes_N[at]))
                    if bits <= radius:
                        nearest_N[place] = min(nearest_N[place], bits)
                        nearest_N[at] = min(nearest_N[at], bits)
                        reached_N[place] |= own_N[at]
                        reached_N[at] |= own
                        _unite(parent_N, place, at)


@compiled
def list_pairs(
    hashes_N: np.ndarray,
    edges: np.ndarray,
    flips: np.ndarray,
    block: int,
    limits: np.ndarray,
    radius: int,
    pairs_P2: np.ndarray,
    start: int,
    stop: int,
) -> int:
    """Count the pairs within `radius` that places [start, stop) begin and no earlier block finds, and write them down.

    As many are written (two entries each) as fit pairs_P2. The other arguments are those of `scan`; block k has
    the 16 bits from 16 k, of which limits[k] may differ.
    """
    found = 0
    for place in range(start, stop):
        value = hashes_N[place]
        bucket = np.int64((value >> np.uint64(16 * block)) & _LOW_16)
        for flip in flips:
            low, high = _run(edges, bucket, bucket ^ flip, place, len(hashes_N))
            for at in range(low, high):
                difference = value ^ hashes_N[at]
                if np.int64(_set_bits(difference)) > radius:
                    continue
                earlier = False
                for k in range(block):
                    earlier |= np.int64(_set_bits((difference >> np.uint64(16 * k)) & _LOW_16)) <= limits[k]
                if not earlier:
                    if found < len(pairs_P2):
                        pairs_P2[found, 0], pairs_P2[found, 1] = place, at
                    found += 1
    return found
