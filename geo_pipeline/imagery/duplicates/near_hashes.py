"""All pairs of 64-bit hashes that differ in a few bits, without comparing every hash with every other.

The bits are dealt into four blocks of 16. Two hashes that differ in at most 6 bits differ in at most 1 bit of one of
the first three blocks, or in no bit of the fourth: otherwise they would differ in 2 + 2 + 2 + 1 = 7. So each hash is
compared with those that share a block with it, or all but one bit of a block: every pair is found, and of the 4.7
million squared, one comparison in a thousand is made. (This is the general pigeonhole principle of similarity search
under Hamming distance: Qin et al., GPH, ICDE 2018, with their allotment of thresholds that sum to 6 - 4 + 1.)

How the bits are dealt is chosen from the data, since the hashes of photographs are far from uniform. Images, sets and
leakage belong to `find`, the compiled loop to `kernels`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geo_pipeline.earth.parallel import in_threads, thread_count

MOST_BITS = 15
MOST_COMPARISONS = 1e12
"""Beyond this (at worst half an hour on two cores) buckets are no longer compared whole. Photographs do not get there:
4.7 million take 1e10."""
NONE_NEAR = 255
_BLOCKS, _BLOCK_BITS, _BUCKETS = 4, 16, 1 << 16
_SAMPLE = 1 << 16
_PIECES = 64


class HashError(ValueError):
    """Hashes, or a number of bits, that cannot be searched."""


@dataclass(frozen=True)
class Neighbours:
    """What each of N distinct hashes has near it.

    nearest: distance in bits to the nearest other hash, NONE_NEAR where none is within the radius. reached: the bits
    that its neighbours carry (see `neighbours`), not its own. group: the least row that is joined to it by a chain of
    neighbours. exact: whether every pair was surely found.
    """

    nearest: NDArray[np.uint8]
    reached: NDArray[np.uint64]
    group: NDArray[np.int32]
    exact: bool


@dataclass(frozen=True)
class _Plan:
    """How hashes are compared: which bit goes where, how many bits may differ in each block, how much of a bucket."""

    bits: NDArray[np.int64]
    limits: NDArray[np.int64]
    window: int


def neighbours(
    hashes: NDArray[np.uint64],
    carried: NDArray[np.uint64],
    radius: int = 6,
    threads: int | None = None,
    most_comparisons: float = MOST_COMPARISONS,
) -> Neighbours:
    """Distance, group and what is carried by the neighbours of each hash; pairs are never kept.

    hashes (N,): distinct. carried (N,): bits of each hash, for example the sets in which it occurs; a hash reaches the
    bits of all hashes within `radius` bits. Memory: about 100 bytes per hash and 13 more per thread. Raises HashError
    for hashes that repeat or a radius outside 0 to 15.
    """
    plan = _planned(hashes, radius, most_comparisons)
    size, workers = len(hashes), thread_count() if threads is None else threads
    nearest, reached = np.full(size, NONE_NEAR, np.uint8), np.zeros(size, np.uint64)
    group = np.arange(size, dtype=np.int32)
    for block in _blocks(hashes, plan):
        place_of = np.empty(size, np.int32)
        place_of[block.order] = np.arange(size, dtype=np.int32)
        found = _State(nearest[block.order], reached[block.order], place_of[group[block.order]])
        _learn(block, plan, radius, carried[block.order], found, workers)
        nearest[block.order], reached[block.order] = found.nearest, found.reached
        group[block.order] = block.order[found.parent]
    least = np.full(size, size, np.int32)
    np.minimum.at(least, group, np.arange(size, dtype=np.int32))
    return Neighbours(nearest, reached, least[group], plan.window >= size)


def near_pairs(hashes: NDArray[np.uint64], radius: int = 6) -> NDArray[np.int32]:
    """All pairs (P, 2) of rows within `radius` bits, each once, the lesser row first, in order.

    All are held at once: for measurements, and for a look at some duplicates. Raises as `neighbours`.
    """
    from geo_pipeline.imagery.duplicates.kernels import list_pairs

    plan = _planned(hashes, radius, np.inf)
    parts = [np.empty((0, 2), np.int32)]
    for block in _blocks(hashes, plan):
        flips = _flips(int(plan.limits[block.number]))
        for start, stop in _pieces(len(hashes)):
            place = (block.hashes, block.edges, flips, block.number, plan.limits, radius)
            pairs = np.empty((list_pairs(*place, parts[0][:0], start, stop), 2), np.int32)
            list_pairs(*place, pairs, start, stop)
            parts.append(np.sort(block.order[pairs], axis=1))
    every = np.concatenate(parts)
    return every[np.lexsort((every[:, 1], every[:, 0]))]


@dataclass(frozen=True)
class _Block:
    """The hashes in the order of one block's bits: `order` says which row each is, `edges` where each bucket begins."""

    number: int
    hashes: NDArray[np.uint64]
    order: NDArray[np.int32]
    edges: NDArray[np.int64]


@dataclass(frozen=True)
class _State:
    """What is known so far, in the order of a block: parent is a forest of places."""

    nearest: NDArray[np.uint8]
    reached: NDArray[np.uint64]
    parent: NDArray[np.int32]


def _learn(block: _Block, plan: _Plan, radius: int, own: NDArray[np.uint64], state: _State, workers: int) -> None:
    """Add to `state` what all pairs of a block teach; each thread has a copy of it and takes piece after piece."""
    from geo_pipeline.imagery.duplicates.kernels import join, scan

    flips, pieces = _flips(int(plan.limits[block.number])), iter(_pieces(len(own)))
    shift = _BLOCK_BITS * block.number
    place = (block.hashes, block.edges, flips, shift, radius, plan.window, own)
    copies = [
        state,
        *(_State(state.nearest.copy(), state.reached.copy(), state.parent.copy()) for _ in range(workers - 1)),
    ]

    def work(mine: _State) -> None:
        for start, stop in pieces:
            scan(*place, mine.nearest, mine.reached, mine.parent, start, stop)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, copies))
    for other in copies[1:]:
        np.minimum(state.nearest, other.nearest, out=state.nearest)
        np.bitwise_or(state.reached, other.reached, out=state.reached)
        join(state.parent, other.parent)
    join(state.parent, state.parent)


def _pieces(size: int) -> list[tuple[int, int]]:
    edges = [size * piece // _PIECES for piece in range(_PIECES + 1)]
    return list(pairwise(edges))


def _blocks(hashes: NDArray[np.uint64], plan: _Plan) -> Iterator[_Block]:
    dealt = _dealt(hashes, plan.bits)
    for number in range(_BLOCKS):
        shift = np.uint64(_BLOCK_BITS * number)
        turned = (dealt << (np.uint64(48) - shift)) | (dealt >> (shift + np.uint64(16))) if number < 3 else dealt
        order = np.argsort(turned)  # the block's bits lead, so that near hashes lie near each other
        ordered = dealt[order]
        sizes = np.bincount(((ordered >> shift) & np.uint64(_BUCKETS - 1)).astype(np.int64), minlength=_BUCKETS)
        edges = np.concatenate([[0], np.cumsum(sizes)])
        yield _Block(number, ordered, order.astype(np.int32), edges)


def _planned(hashes: NDArray[np.uint64], radius: int, most_comparisons: float) -> _Plan:
    """Of a few ways to deal the bits the one with the fewest comparisons, judged on a sample."""
    if not 0 <= radius <= MOST_BITS:
        raise HashError(f"found a distance of {radius} bits, expected 0 to {MOST_BITS}; near-equal images differ in 6")
    repeats = int(np.count_nonzero(np.diff(np.sort(hashes)) == 0))
    if repeats or len(hashes) >= 2**31:
        raise HashError(
            f"found {len(hashes):,} hashes of which {repeats:,} repeat another, expected distinct ones, fewer than "
            "2^31; pass each hash once"
        )
    sample = hashes[:: max(1, len(hashes) // _SAMPLE)]
    deals = [_deal(order) for order in _orders(sample)]
    costs = [_costs(_dealt(sample, bits)) for bits in deals]
    limits = [_limits(cost, radius) for cost in costs]
    totals = [_total(cost, limit) for cost, limit in zip(costs, limits, strict=True)]
    best = int(np.argmin(totals))
    comparisons = _total(_costs(_dealt(hashes, deals[best])), limits[best])
    looked_into = sum(len(_flips(int(limit))) for limit in limits[best])
    room = most_comparisons / max(1, len(hashes) * looked_into)
    window = len(hashes) if comparisons <= most_comparisons else max(1, int(room))
    return _Plan(deals[best], limits[best], window)


def _orders(hashes: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Orders of the 64 bits from which blocks are dealt: as they are, and the most even bits first."""
    share = np.array([np.mean((hashes >> np.uint64(bit)) & np.uint64(1)) if len(hashes) else 0.5 for bit in range(64)])
    return [np.arange(64), np.arange(64).reshape(4, 16).T.ravel(), np.argsort(np.abs(share - 0.5), kind="stable")]


def _deal(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal bits to four blocks, back and forth, so that each gets its part of the even bits."""
    rounds = order.reshape(_BLOCK_BITS, _BLOCKS).copy()
    rounds[1::2] = rounds[1::2, ::-1]
    return rounds.T.ravel()


def _dealt(hashes: NDArray[np.uint64], bits: NDArray[np.int64]) -> NDArray[np.uint64]:
    from geo_pipeline.imagery.duplicates.kernels import dealt

    out = np.empty(len(hashes), np.uint64)
    in_threads(len(hashes), lambda start, stop: dealt(hashes, bits, out, start, stop))
    return out


def _costs(dealt: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Comparisons (4, 17) of each block when 0 to 16 of its bits may differ."""
    costs = np.empty((_BLOCKS, _BLOCK_BITS + 1))
    differing = np.bitwise_count(np.arange(_BUCKETS))
    for block in range(_BLOCKS):
        values = (dealt >> np.uint64(_BLOCK_BITS * block)) & np.uint64(_BUCKETS - 1)
        sizes = np.bincount(values.astype(np.int64), minlength=_BUCKETS)
        pairs = _walsh(_walsh(sizes.astype(np.float64)) ** 2) / _BUCKETS  # pairs (ordered) whose values differ by each
        costs[block] = np.cumsum(np.bincount(differing, weights=pairs, minlength=_BLOCK_BITS + 1)) / 2
    return costs - len(dealt) / 2


def _walsh(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walsh-Hadamard transform: it turns "how many pairs differ by exactly this" into a square."""
    for bit in range(_BLOCK_BITS):
        pairs = values.reshape(-1, 2, 1 << bit)
        values = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1)
    return values.ravel()


def _limits(costs: NDArray[np.float64], radius: int) -> NDArray[np.int64]:
    """How many bits may differ in each block: together radius - 3, the cheapest blocks first."""
    limits = np.zeros(_BLOCKS, np.int64)
    blocks = np.arange(_BLOCKS)
    for _ in range(max(0, radius - _BLOCKS + 1)):
        limits[int(np.argmin(costs[blocks, limits + 1] - costs[blocks, limits]))] += 1
    return limits


def _total(costs: NDArray[np.float64], limits: NDArray[np.int64]) -> float:
    return float(sum(costs[block, limits[block]] for block in range(_BLOCKS)))


@cache
def _flips(limit: int) -> NDArray[np.int64]:
    """All numbers of 16 bits with at most `limit` bits set."""
    numbers = np.arange(_BUCKETS)
    return numbers[np.bitwise_count(numbers) <= limit]
