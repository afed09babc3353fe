"""A Hugging Face cache as the hub's client leaves it: snapshots of links, blobs named by the hub's digests."""

import hashlib
import os

COMMIT = "c" * 40


def fetched(cache, repository, name, data, large=True, commit=COMMIT):
    """Put a file into the cache, as of branch main; return its blob.

    A large file is known by its SHA-256, a small one by git's SHA-1.
    """
    folder = cache / f"models--{repository.replace('/', '--')}"
    plain = hashlib.sha256(data) if large else hashlib.sha1(b"blob %d\0" % len(data) + data)
    blob, entry = folder / "blobs" / plain.hexdigest(), folder / "snapshots" / commit / name
    for place in (blob, entry, folder / "refs" / "main"):
        place.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    entry.unlink(missing_ok=True)
    entry.symlink_to(os.path.relpath(blob, entry.parent))
    (folder / "refs" / "main").write_text(commit)
    return blob


def rewritten(path, data, quietly=False):
    """Put other bytes into a file; `quietly` keeps its time."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + (0 if quietly else 10**9)))


def flipped(data):
    """The same with one other bit."""
    return data[:-1] + bytes([data[-1] ^ 1])
