"""Decides which set a photograph belongs to: train, holdout, router_queries or a benchmark.

Photographs that could give each other away form a *group*, and a group is never divided between {train, holdout},
router_queries and the benchmark:

- `by=("author",)`: all photographs of one author; without a known author, all of one place (S2 level 10 cell).
- `by=("author", "place")`: connected components: photographs are joined when they share an author or a place.

The rule, for each query set in turn: walk the groups in the order of a hash of their authors and places, and take a
group while the set stays within its share of the photographs. A group larger than half of that share stays in
training: on real collections one giant component forms (a national park that everyone photographs), and as a query set
it would be all there is to measure. Ids, file names, order and EXIF play no part. The shares are those of the
photographs that the source leaves open; sets that the source names are kept as they are.

The holdout is taken from the training pool by author (by place where the author is unknown), whatever `by` says: it
stops training, and a place that training never saw would tell it nothing about cells.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from geo_pipeline.imagery.stable_hash import stable_hash

TRAIN, HOLDOUT, ROUTER_QUERIES = "train", "holdout", "router_queries"
POOL_SETS = (TRAIN, HOLDOUT)
SplitBy = tuple[Literal["author"]] | tuple[Literal["author"], Literal["place"]]
_UNKNOWN_AUTHORS = frozenset(("", "unknown", "anonymous", "none", "null", "nan", "n/a", "-", "?"))


class SplitError(ValueError):
    """The photographs cannot be split as asked: too few authors or places, or shares that make no sense."""


@dataclass(frozen=True)
class SplitConfig:
    """Shares of the photographs that the source leaves open; `holdout` is a share of what is left for training.

    The defaults are the paper's: 1 % held out (GeoSURGE IV), and for the router 100 thousand of MP-16's 4 million.
    """

    holdout: float = 0.01
    router_queries: float = 0.025
    benchmark: float = 0.0
    benchmark_name: str = "photos"
    by: SplitBy = ("author",)

    def __post_init__(self) -> None:
        shares = {"holdout": self.holdout, "router_queries": self.router_queries, "benchmark": self.benchmark}
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise SplitError(f"Found {name}={share}; expected a share from 0 to below 1.")
        if self.router_queries + self.benchmark >= 1:
            raise SplitError(
                "router_queries and benchmark leave nothing to train on: their shares must sum to below 1."
            )
        if self.by not in (("author",), ("author", "place")):
            raise SplitError(f"Found by={self.by}; expected ('author',) or ('author', 'place').")
        if self.benchmark_name in (TRAIN, HOLDOUT, ROUTER_QUERIES):
            raise SplitError(f"Found benchmark_name={self.benchmark_name}, which is another set; choose another name.")

    @classmethod
    def sample(cls) -> "SplitConfig":
        """For the sample world, whose benchmarks are drawn as such: a pool of a few thousand, split by author."""
        return cls(holdout=0.04, router_queries=0.36)

    @classmethod
    def photographs(cls) -> "SplitConfig":
        """For a few hundred real photographs: about 60 % training, 15 % router queries, 25 % benchmark."""
        return cls(holdout=0.08, router_queries=0.15, benchmark=0.25, by=("author", "place"))


def author_key(author: str | None) -> str | None:
    """One spelling for one author: letter case, width and spaces do not matter; None for an unknown one."""
    if author is None:
        return None
    key = " ".join(unicodedata.normalize("NFKC", author).casefold().split())
    return None if key in _UNKNOWN_AUTHORS else key


def assign_sets(
    authors: Sequence[str | None], places: Sequence[str], given: Sequence[str | None], config: SplitConfig
) -> list[str]:
    """The set of every photograph. `places`: S2 level 10 tokens; `given`: sets that the source fixes.

    Raises `SplitError` when the open photographs form too few groups for the sets that are asked for.
    """
    sets = list(given)
    opened = [row for row, name in enumerate(given) if name is None]
    keys = [author_key(authors[row]) for row in opened]
    open_places = [places[row] for row in opened]
    groups = _components(keys, open_places) if config.by == ("author", "place") else _by_author(keys, open_places)
    left = Counter(groups)
    chosen: dict[str, str] = {}
    for name, share in ((config.benchmark_name, config.benchmark), (ROUTER_QUERIES, config.router_queries)):
        for group in _take(left, share, len(opened), name):
            chosen[group] = name
            del left[group]
    pool = [index for index, group in enumerate(groups) if group not in chosen]
    held = _holdout([keys[index] for index in pool], [open_places[index] for index in pool], config.holdout)
    held_rows = {pool[index] for index in held}
    for index, row in enumerate(opened):
        sets[row] = chosen.get(groups[index], HOLDOUT if index in held_rows else TRAIN)
    return [name for name in sets if name is not None]


def _by_author(keys: Sequence[str | None], places: Sequence[str]) -> list[str]:
    """A group per author; per place where the author is unknown."""
    return [_author_node(key) if key is not None else f"place {place}" for key, place in zip(keys, places, strict=True)]


def _components(keys: Sequence[str | None], places: Sequence[str]) -> list[str]:
    """A group per connected component of authors and places, named by its member with the least hash."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for key, place in zip(keys, places, strict=True):
        ends = [root(f"place {place}")] + ([root(_author_node(key))] if key is not None else [])
        first = min(ends, key=stable_hash)
        for end in ends:
            parent[end] = first
    return [root(f"place {place}") for place in places]


def _author_node(key: str) -> str:
    return f"author {key}"


def _take(left: Counter[str], share: float, total: int, name: str) -> list[str]:
    """The groups of one query set, by the rule of this module; nothing for a share of 0."""
    if share == 0 or total == 0:
        return []
    target = max(1, round(share * total))
    largest = max(2, target // 2)
    taken: list[str] = []
    count = 0
    for group in _hash_order(left, name):
        if left[group] <= largest and count + left[group] <= target:
            taken.append(group)
            count += left[group]
    if not taken and len(left) > 1:  # only large groups: the smallest serves, so long as one is left to train on
        taken = [min(_hash_order(left, name), key=lambda group: left[group])]
    if len(left) - len(taken) < 1 or not taken:
        raise SplitError(
            f"Found {len(left)} group{'s' if len(left) != 1 else ''} of photographs that share authors or places, "
            f"too few to set any aside for {name}. Add photographs of other authors and places, or set "
            f"the share of {name} to 0."
        )
    return taken


def _holdout(keys: Sequence[str | None], places: Sequence[str], share: float) -> list[int]:
    """Positions, within the pool, of the held-out photographs: by author, or by place if one author took all."""
    if share == 0 or not keys:
        return []
    groups = _by_author(keys, places)
    if len(set(groups)) == 1:
        groups = [f"place {place}" for place in places]
    taken = set(_take(Counter(groups), share, len(groups), HOLDOUT))
    return [index for index, group in enumerate(groups) if group in taken]


def _hash_order(groups: Iterable[str], salt: str) -> list[str]:
    """Groups in an order that depends on their names only; each set has an order of its own."""
    return sorted(groups, key=lambda group: (stable_hash("split", salt, group), group))
