"""Hashes that never change between runs, machines or Python versions: for splits, shards and their order."""

import hashlib

_MASK = (1 << 64) - 1


def stable_hash(*parts: str) -> int:
    """64-bit hash of the parts, kept apart by length: ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


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
