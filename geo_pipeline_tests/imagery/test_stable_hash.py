"""Hashes that must never change, because splits and shards hang on them."""

from hypothesis import given
from hypothesis import strategies as st

from geo_pipeline.imagery.stable_hash import jump_bucket, stable_hash


def test_the_hash_is_pinned_and_keeps_parts_apart():
    assert stable_hash("split", "photos", "place 1347b3") == 4663674752676282929
    assert stable_hash("ab", "c") != stable_hash("a", "bc")


@given(st.integers(0, 2**64 - 1), st.integers(1, 300))
def test_one_bucket_more_moves_keys_only_into_it(key, buckets):
    before, after = jump_bucket(key, buckets), jump_bucket(key, buckets + 1)
    assert 0 <= before < buckets
    assert after in (before, buckets)


def test_buckets_fill_evenly():
    counts = [0] * 8
    for number in range(4000):
        counts[jump_bucket(stable_hash(str(number)), 8)] += 1
    assert min(counts) > 420
    assert max(counts) < 580
