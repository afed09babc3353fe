"""Hashes that must never change, because splits and shards hang on them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.imagery.stable_hash import jump_bucket, jump_buckets, stable_hash, stable_hashes


def test_the_hash_is_pinned_and_keeps_parts_apart():
    assert stable_hash("split", "photos", "place 1347b3") == 4663674752676282929
    assert stable_hash("ab", "c") != stable_hash("a", "bc")


@settings(max_examples=30)
@given(st.text(max_size=5), st.lists(st.text(st.characters(exclude_categories=("Cs",))), max_size=20))
def test_many_hashes_are_those_of_each(salt, texts):
    found = stable_hashes(salt, pa.array(texts, pa.string()))
    assert found.dtype == np.uint64
    assert found.tolist() == [stable_hash(salt, text) for text in texts]
    chunked = pa.chunked_array([texts[:7], texts[7:]], pa.large_string())
    assert stable_hashes(salt, chunked).tolist() == found.tolist()


def test_a_text_that_is_not_there_has_no_hash():
    with pytest.raises(ValueError, match="found 1 texts without a value"):
        stable_hashes("x", pa.array(["a", None]))


@given(st.integers(0, 2**64 - 1), st.integers(1, 300))
def test_one_bucket_more_moves_keys_only_into_it(key, buckets):
    before, after = jump_bucket(key, buckets), jump_bucket(key, buckets + 1)
    assert 0 <= before < buckets
    assert after in (before, buckets)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(1, 5000))
def test_many_buckets_are_those_of_each(keys, buckets):
    found = jump_buckets(np.array(keys, np.uint64), buckets)
    assert found.tolist() == [jump_bucket(key, buckets) for key in keys]


def test_buckets_fill_evenly():
    counts = np.bincount(jump_buckets(stable_hashes("even", pa.array(map(str, range(4000)))), 8), minlength=8)
    assert counts.min() > 420
    assert counts.max() < 580
