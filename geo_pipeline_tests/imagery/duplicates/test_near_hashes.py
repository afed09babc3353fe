"""Every pair within the radius is found, whatever the hashes look like; time and memory stay bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo_pipeline.imagery.duplicates.near_hashes import NONE_NEAR, HashError, near_pairs, neighbours


def brute(hashes, radius=6):
    """All pairs within the radius by comparing every hash with every other, and their distances."""
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    left, right = np.nonzero(np.triu(bits <= radius, 1))
    return np.stack([left, right], axis=1).astype(np.int32), bits[left, right]


def flipped(rng, hashes, most):
    """The hashes with up to `most` bits turned over."""
    out = hashes.copy()
    for _ in range(most):
        out ^= np.where(rng.random(len(out)) < 0.7, np.uint64(1) << rng.integers(0, 64, len(out)).astype(np.uint64), 0)
    return out


def clustered(rng, count, centres):
    """Half alone, half in clusters of near ones, some of which form chains."""
    alone = rng.integers(0, 2**64, count // 2, dtype=np.uint64)
    middle = rng.integers(0, 2**64, centres, dtype=np.uint64)
    near = flipped(rng, rng.choice(middle, count // 2), 5)
    return np.unique(np.concatenate([alone, near]))


def ball(rng, count, radius):
    """Distinct hashes within `radius` bits of one."""
    drawn = flipped(rng, np.full(4 * count, rng.integers(0, 2**64, dtype=np.uint64)), radius)
    return rng.permutation(np.unique(drawn))[:count]


KINDS = {
    "alone": lambda rng: np.unique(rng.integers(0, 2**64, 1000, dtype=np.uint64)),
    "clustered": lambda rng: clustered(rng, 1000, 20),
    "ball": lambda rng: ball(rng, 1000, 4),
    "one bucket": lambda rng: np.unique(rng.integers(0, 2**20, 1000, dtype=np.uint64) << np.uint64(30)),
    "constant blocks": lambda rng: np.unique(rng.integers(0, 2**16, 1000, dtype=np.uint64) * np.uint64(2**48 + 2**16)),
    "counted up": lambda rng: np.arange(1000, dtype=np.uint64),
}


@pytest.mark.parametrize("radius", [0, 2, 6, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_those_of_brute_force(kind, radius):
    hashes = KINDS[kind](np.random.default_rng(1))
    assert np.array_equal(near_pairs(hashes, radius), brute(hashes, radius)[0])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_those_of_brute_force(kind, threads):
    rng = np.random.default_rng(2)
    hashes = KINDS[kind](rng)
    carried = np.uint64(1) << rng.integers(0, 64, len(hashes)).astype(np.uint64)
    pairs, bits = brute(hashes)
    nearest = np.full(len(hashes), NONE_NEAR, np.uint8)
    reached = np.zeros(len(hashes), np.uint64)
    for left, right in (pairs.T, pairs.T[::-1]):
        np.minimum.at(nearest, left, bits)
        np.bitwise_or.at(reached, left, carried[right])
    edges = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(hashes), len(hashes)))
    _, labels = connected_components(edges, directed=False)
    least = np.full(len(hashes), len(hashes))
    np.minimum.at(least, labels, np.arange(len(hashes)))

    found = neighbours(hashes, carried, threads=threads)
    assert found.exact
    assert np.array_equal(found.nearest, nearest)
    assert np.array_equal(found.reached, reached)
    assert np.array_equal(found.group, least[labels])


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 2**64 - 1), max_size=12), st.lists(st.integers(0, 63), max_size=8), st.integers(0, 15))
def test_any_few_hashes_are_compared_rightly(values, turned, radius):
    for value in list(values)[:3]:
        for bit in turned:
            value ^= 1 << bit
        values.add(value)
    hashes = np.array(sorted(values), np.uint64)
    assert np.array_equal(near_pairs(hashes, radius), brute(hashes, radius)[0])


def test_when_there_are_too_many_comparisons_buckets_are_cut_and_it_is_said():
    hashes = ball(np.random.default_rng(3), 1000, 3)
    found = neighbours(hashes, np.zeros(len(hashes), np.uint64), most_comparisons=1e5)
    assert not found.exact
    right, least = brute(hashes)[0], neighbours(hashes, np.zeros(len(hashes), np.uint64)).nearest
    assert np.all(found.nearest >= least)
    assert np.mean(found.nearest < NONE_NEAR) > 0.9 * np.mean(np.isin(np.arange(len(hashes)), right))


def test_hashes_that_repeat_and_a_wide_radius_are_refused():
    with pytest.raises(HashError, match="1 repeat another"):
        near_pairs(np.array([1, 5, 1], np.uint64))
    with pytest.raises(HashError, match="16 bits, expected 0 to 15"):
        near_pairs(np.array([1], np.uint64), 16)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform and clustered", "ball", "counted up"])
def test_a_hundred_thousand_hashes_of_any_kind_end_soon_and_miss_nothing(kind):
    rng = np.random.default_rng(4)
    hashes = {
        "uniform and clustered": lambda: clustered(rng, 100_000, 3_000),
        "ball": lambda: ball(rng, 100_000, 4),
        "counted up": lambda: np.arange(100_000, dtype=np.uint64),
    }[kind]()
    rows = rng.choice(len(hashes), 300, replace=False)
    found = neighbours(hashes, np.uint64(1) << (np.arange(len(hashes), dtype=np.uint64) % np.uint64(64)))
    for row in rows:
        bits = np.bitwise_count(hashes ^ hashes[row])
        bits[row] = NONE_NEAR
        near = np.flatnonzero(bits <= 6)
        assert found.nearest[row] == (bits.min() if len(near) else NONE_NEAR)
        reached = np.bitwise_or.reduce(np.uint64(1) << (near.astype(np.uint64) % np.uint64(64)), initial=np.uint64(0))
        assert found.reached[row] == reached
        assert np.all(found.group[near] == found.group[row])
