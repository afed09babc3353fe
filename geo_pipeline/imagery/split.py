"""Decides which set a photograph belongs to: train, holdout, router_queries or a benchmark.

Photographs that could give each other away form a *group*, and a group is never divided between {train, holdout},
router_queries and the benchmark:

- `by=("author",)`: all photographs of one author; without a known author, all of one place (S2 level 10 cell).
- `by=("author", "place")`: connected components: photographs are joined when they share an author or a place.

A group's set follows from a hash of its name alone, as a number u from 0 to 1: below the benchmark's share it is the
benchmark, in the share after that the router's queries, else training. So the shares hold on average, order and file
names play no part, and **photographs that are added move no other group's photographs**. What can move one:

- It joins what stood apart (`by=("author", "place")`): components that merge take the set of one of them. A component
  is named by its author with the least hash (its place, where no author is known), so a photograph more of a known
  author never renames it, at whatever place.
- Its own group grows beyond `largest_group` photographs, and stays in training from then on: on real collections one
  giant component forms (a national park that everyone photographs), and as a query set it would be all there is.
- The folder is so small that a set would stay empty: the group with the least u then serves, until another one falls
  into that set by itself.

The shares are those of the photographs that the source leaves open; sets that the source names are kept as they are.
The holdout is taken from the training pool by author (by place where the author is unknown), whatever `by` says: it
stops training, and a place that training never saw would tell it nothing about cells.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from geo_pipeline.earth.cell_numbers import tokens
from geo_pipeline.imagery.authors import author_key
from geo_pipeline.imagery.stable_hash import stable_hashes

TRAIN, HOLDOUT, ROUTER_QUERIES = "train", "holdout", "router_queries"
POOL_SETS = (TRAIN, HOLDOUT)
SplitBy = tuple[Literal["author"]] | tuple[Literal["author"], Literal["place"]]


class SplitError(ValueError):
    """The photographs cannot be split as asked: too few authors or places, or shares that make no sense."""


@dataclass(frozen=True)
class SplitConfig:
    """Shares of the photographs that the source leaves open; `holdout` is a share of what is left for training.

    A group (of the holdout: an author) with more than `largest_group` photographs stays in training. The defaults are
    the paper's: 1 % held out (GeoSURGE IV), and for the router 100 thousand of MP-16's 4 million.
    """

    holdout: float = 0.01
    router_queries: float = 0.025
    benchmark: float = 0.0
    benchmark_name: str = "photos"
    by: SplitBy = ("author",)
    largest_group: int = 5000

    def __post_init__(self) -> None:
        shares = {"holdout": self.holdout, "router_queries": self.router_queries, "benchmark": self.benchmark}
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise SplitError(f"found {name}={share}; expected a share from 0 to below 1.")
        if self.router_queries + self.benchmark >= 1:
            raise SplitError(
                "found that router_queries and benchmark leave nothing to train on: their shares must sum to below 1."
            )
        if self.by not in (("author",), ("author", "place")):
            raise SplitError(f"found by={self.by}; expected ('author',) or ('author', 'place').")
        if self.benchmark_name in (TRAIN, HOLDOUT, ROUTER_QUERIES):
            raise SplitError(f"found benchmark_name={self.benchmark_name}, which is another set; choose another name.")
        if self.largest_group < 1:
            raise SplitError(f"found largest_group={self.largest_group}; expected at least 1 photograph.")

    @classmethod
    def sample(cls) -> "SplitConfig":
        """For the sample world, whose benchmarks are drawn as such: a pool of a few thousand, split by author."""
        return cls(holdout=0.04, router_queries=0.36)

    @classmethod
    def photographs(cls) -> "SplitConfig":
        """For a few hundred real photographs: about 60 % training, 15 % router queries, 25 % benchmark.

        A quarter of such a collection often is one component and stays in training; the shares are of all groups.
        """
        return cls(holdout=0.08, router_queries=0.2, benchmark=0.32, by=("author", "place"), largest_group=50)


def assign_sets(
    authors: pa.Array | pa.ChunkedArray, places: np.ndarray, given: pa.Array | pa.ChunkedArray, config: SplitConfig
) -> pa.DictionaryArray:
    """The set of every photograph. `places` (N,) uint64: S2 level 10 cells; `given`: sets that the source fixes.

    Raises `SplitError` when the open photographs form too few groups for the sets that are asked for.
    """
    fixed = _encoded(given)
    names = [str(name) for name in fixed.dictionary.to_pylist()]
    names += [name for name in (TRAIN, HOLDOUT, ROUTER_QUERIES, config.benchmark_name) if name not in names]
    sets = fixed.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    opened = np.flatnonzero(sets < 0)
    if len(opened):
        found = _split(_Groups(_encoded(authors).take(pa.array(opened)), places[opened]), config)
        numbers = np.array([names.index(name) for name in (TRAIN, HOLDOUT, ROUTER_QUERIES, config.benchmark_name)])
        sets[opened] = numbers[found]
    return pa.DictionaryArray.from_arrays(pa.array(sets, pa.int32()), pa.array(names, pa.string()))


_TRAIN, _HOLDOUT, _ROUTER_QUERIES, _BENCHMARK = range(4)


class _Groups:
    """The authors and places of photographs as numbers: nodes 0 .. are authors, those after `authors` are places."""

    def __init__(self, authors: pa.DictionaryArray, places: np.ndarray) -> None:
        keys = [author_key(author) for author in authors.dictionary.to_pylist()]
        known = {key: number for number, key in enumerate(dict.fromkeys(key for key in keys if key is not None))}
        numbers = np.array([-1 if key is None else known[key] for key in keys] + [-1])
        unique_places, place = np.unique(places, return_inverse=True)
        self.author: np.ndarray = numbers[authors.indices.fill_null(len(keys)).to_numpy(zero_copy_only=False)]
        self.place: np.ndarray = place + len(known)
        self.names = pa.array(
            [f"author {key}" for key in known] + [f"place {token}" for token in tokens(unique_places)], pa.string()
        )

    def by_author(self) -> np.ndarray:
        """The node (N,) after which each photograph's group is named: its author, or its place."""
        return np.where(self.author >= 0, self.author, self.place)

    def components(self) -> np.ndarray:
        """The same for connected components: the author with the least hash, or the place where there is none."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count, known = len(self.names), self.author >= 0
        links = coo_array(
            (np.ones(int(known.sum()), np.int8), (self.author[known], self.place[known])), shape=(count, count)
        )
        component = connected_components(links, directed=False)[1]
        is_place = np.arange(count) >= int(self.place.min())
        order = np.lexsort((stable_hashes("group", self.names), is_place, component))
        first = np.flatnonzero(np.diff(component[order], prepend=-1))
        named: np.ndarray = order[first][component][self.by_author()]
        return named


def _split(photographs: _Groups, config: SplitConfig) -> np.ndarray:
    """The set (N,) of photographs that the source leaves open, as a number."""
    node = photographs.components() if config.by == ("author", "place") else photographs.by_author()
    groups, group, sizes = np.unique(node, return_inverse=True, return_counts=True)
    taken = _shares(photographs.names.take(pa.array(groups)), sizes, config)
    sets: np.ndarray = taken[group]
    pool = np.flatnonzero(sets == _TRAIN)
    if config.holdout and len(pool):
        node = photographs.by_author()[pool]
        if len(np.unique(node)) == 1:
            node = photographs.place[pool]
        held, group, sizes = np.unique(node, return_inverse=True, return_counts=True)
        names = photographs.names.take(pa.array(held))
        chosen = np.where((_unit(HOLDOUT, names) < config.holdout) & (sizes <= config.largest_group), _HOLDOUT, _TRAIN)
        _fill(chosen, _HOLDOUT, names, sizes, config)
        sets[pool] = chosen[group]
    return sets


def _shares(names: pa.Array, sizes: np.ndarray, config: SplitConfig) -> np.ndarray:
    """The set of each group by its hash; a set that stays empty is given a group."""
    u = _unit("set", names)
    edges = (config.benchmark, config.benchmark + config.router_queries)
    sets = np.where(u < edges[0], _BENCHMARK, np.where(u < edges[1], _ROUTER_QUERIES, _TRAIN))
    sets[sizes > config.largest_group] = _TRAIN
    for number, share in ((_BENCHMARK, config.benchmark), (_ROUTER_QUERIES, config.router_queries), (_TRAIN, 1.0)):
        if share:
            _fill(sets, number, names, sizes, config)
    return sets


def _fill(sets: np.ndarray, number: int, names: pa.Array, sizes: np.ndarray, config: SplitConfig) -> None:
    """Give an empty set one group of a set that has several: of training before others, not too large, least u."""
    if (sets == number).any():
        return
    label = {_TRAIN: TRAIN, _HOLDOUT: HOLDOUT, _ROUTER_QUERIES: ROUTER_QUERIES, _BENCHMARK: config.benchmark_name}
    spare = np.flatnonzero(np.bincount(sets, minlength=4)[sets] > 1)
    if not len(spare):
        raise SplitError(
            f"found {len(sets)} group{'s' if len(sets) != 1 else ''} of photographs that share authors or places, "
            f"too few to set any aside for {label[number]}. Add photographs of other authors and places, or set "
            f"the share of {label[number]} to 0."
        )
    large = sizes[spare] > config.largest_group
    u = _unit(label[number], names.take(pa.array(spare)))
    sets[spare[np.lexsort((u, np.where(large, sizes[spare], 0), sets[spare] != _TRAIN))[0]]] = number


def _unit(salt: str, names: pa.Array) -> np.ndarray:
    """A number (N,) from 0 to below 1 for each name."""
    return np.right_shift(stable_hashes(f"split {salt}", names), np.uint64(11)) / 2.0**53


def _encoded(texts: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """Texts as a dictionary array; they may be one already."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if pa.types.is_dictionary(whole.type):
        return whole
    encoded: pa.DictionaryArray = whole.cast(pa.string()).dictionary_encode()
    return encoded
