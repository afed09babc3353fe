"""Hashes that never change between runs, machines or Python versions: for splits, shards and their order."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

_MASK = (1 << 64) - 1
_PIECE = 65_536
"""Texts that are Python objects at one time."""


def stable_hash(*parts: str) -> int:
    """64-bit hash of the parts, kept apart by length: ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(_framed(part.encode("utf-8", "surrogatepass")))
    return int.from_bytes(digest.digest(), "little")


def stable_hashes(salt: str, texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """`stable_hash(salt, text)` of many texts, (N,) uint64. Raises ValueError where a text is null."""
    if texts.null_count:
        raise ValueError(
            f"found {texts.null_count} texts without a value, expected a text in every row; fill the nulls first"
        )
    start = hashlib.blake2b(_framed(salt.encode("utf-8", "surrogatepass")), digest_size=8)

    def digest(encoded: bytes) -> bytes:
        hasher = start.copy()
        hasher.update(_framed(encoded))
        return hasher.digest()

    found = [np.frombuffer(b"".join(map(digest, piece)), "<u8") for piece in _pieces(texts)]
    return np.concatenate(found).astype(np.uint64) if found else np.zeros(0, np.uint64)


def jump_bucket(key: int, buckets: int) -> int:
    """Bucket 0 .. buckets-1 of a 64-bit key; one bucket more moves only 1/(buckets+1) of the keys.

    Jump consistent hash, Lamping and Veach 2014 (arXiv:1406.2294).
    """
    bucket, following = -1, 0
    while following < buckets:
        bucket = following
        key = (key * 2862933555777941757 + 1) & _MASK
        following = int((bucket + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return bucket


def jump_buckets(keys: np.ndarray, buckets: int) -> np.ndarray:
    """`jump_bucket` of many keys (N,) uint64, as (N,) int64."""
    bucket = np.zeros(len(keys), np.int64)
    moving, key = np.arange(len(keys)), keys.astype(np.uint64)
    following = np.zeros(len(keys))
    while len(moving):
        here = following < buckets
        moving, key, following = moving[here], key[here], following[here]
        bucket[moving] = following.astype(np.int64)
        key = key * np.uint64(2862933555777941757) + np.uint64(1)
        step = (1 << 31) / ((key >> np.uint64(33)).astype(np.float64) + 1)
        following = np.floor((bucket[moving] + 1) * step)
    return bucket


def _framed(encoded: bytes) -> bytes:
    return len(encoded).to_bytes(8, "little") + encoded


def _pieces(texts: pa.Array | pa.ChunkedArray) -> Iterator[list[bytes]]:
    for start in range(0, len(texts), _PIECE):
        yield texts.slice(start, _PIECE).cast(pa.large_binary()).to_pylist()
