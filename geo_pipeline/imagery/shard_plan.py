"""Which shards a catalogue has, and in which of them a photograph lies. How many there are, the profile decides."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from geo_pipeline.imagery.source import SourceError
from geo_pipeline.imagery.split import POOL_SETS
from geo_pipeline.imagery.stable_hash import jump_buckets


@dataclass(frozen=True)
class ShardPlan:
    """`reference` shards for training and holdout, and `query_shards` for each of `query_sets` (one where not given).

    The only shard of a query set has the set's own name. The number of shards never follows from the number of
    photographs, so one photograph more changes one shard.
    """

    reference: int
    query_sets: tuple[str, ...] = ()
    query_shards: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.reference < 1:
            raise ValueError(
                f"found {self.reference} reference shards, expected at least 1; choose another number with --shards"
            )
        if self.query_shards and (len(self.query_shards) != len(self.query_sets) or min(self.query_shards) < 1):
            raise ValueError(
                f"found the numbers of shards {self.query_shards} for the query sets {', '.join(self.query_sets)}, "
                "expected one number of at least 1 for each; correct query_shards of the profile"
            )

    @property
    def reference_keys(self) -> tuple[str, ...]:
        """The keys of the reference shards."""
        return tuple(f"reference-{number:03d}" for number in range(self.reference))

    @cached_property
    def query_keys(self) -> dict[str, tuple[str, ...]]:
        """The keys of each query set."""
        counts = self.query_shards or (1,) * len(self.query_sets)
        return {
            name: (name,) if count == 1 else tuple(f"{name}-{number:03d}" for number in range(count))
            for name, count in zip(self.query_sets, counts, strict=True)
        }

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Every key: the reference shards, then those of the query sets."""
        return (*self.reference_keys, *(key for keys in self.query_keys.values() for key in keys))

    def numbers(self, owners: np.ndarray, sets: pa.DictionaryArray) -> np.ndarray:
        """The shard (N,) of each photograph as a position in `keys`.

        `owners` (N,) uint64 are hashes of what has to stay together. A query set (`sets`, null where nobody has
        decided) has its own shards; everything else goes to a reference shard. Which one follows from the owner.
        """
        first = {keys[0]: self.keys.index(keys[0]) for keys in self.query_keys.values()}
        begin, count = [], []
        for name in (*_names(sets), ""):
            keys = self.query_keys.get(name, self.reference_keys)
            begin.append(first.get(keys[0], 0))
            count.append(len(keys))
        row = sets.indices.fill_null(len(begin) - 1).to_numpy(zero_copy_only=False)
        shard: np.ndarray = np.array(begin)[row]
        for several in set(count) - {1}:
            mine = np.array(count)[row] == several
            shard[mine] += jump_buckets(owners[mine], several)
        return shard

    def refuse_unknown(self, sets: pa.DictionaryArray) -> None:
        """Raise SourceError where the source names a set that has no shard."""
        unknown = sorted(set(_names(sets)) - {*POOL_SETS, *self.query_sets})
        if unknown:
            raise SourceError(
                f"found photographs of the set {', '.join(map(repr, unknown))}; expected one of "
                f"{', '.join((*POOL_SETS, *self.query_sets))}. Correct the column set_name of the metadata, or name "
                "the benchmark to the run (--benchmark)."
            )


def _names(sets: pa.DictionaryArray) -> list[str]:
    return [str(name) for name in sets.dictionary.to_pylist()]
