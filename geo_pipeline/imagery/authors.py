"""When two authors are one: the spelling by which the split, exclusions, hold-outs, counts and intervals compare them.

Tables keep authors as their source spells them.
"""

import unicodedata
from collections.abc import Iterable

import numpy as np

_UNKNOWN = frozenset(("", "unknown", "anonymous", "none", "null", "nan", "n/a", "-", "?"))


def author_key(author: str | None) -> str | None:
    """One spelling for one author: letter case, width and spaces do not matter; None for an unknown one."""
    if author is None:
        return None
    key = " ".join(unicodedata.normalize("NFKC", author).casefold().split())
    return None if key in _UNKNOWN else key


def author_keys(authors: Iterable[str | None]) -> np.ndarray:
    """The keys (N,) of many authors, objects; each different spelling is read once."""
    every = list(authors)
    known = {author: author_key(author) for author in set(every)}
    return np.array([known[author] for author in every], dtype=object)
