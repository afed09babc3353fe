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
    """`reference` shards for training and holdout, and one for each of `query_sets`, of the set's own name.

    The number of shards never follows from the number of photographs, so one photograph more changes one shard.
    """

    reference: int
    query_sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.reference < 1:
            raise ValueError(
                f"found {self.reference} reference shards, expected at least 1; choose another number with --shards"
            )

    @property
    def reference_keys(self) -> tuple[str, ...]:
        """The keys of the reference shards."""
        return tuple(f"reference-{number:03d}" for number in range(self.reference))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Every key: the reference shards, then the query sets."""
        return (*self.reference_keys, *self.query_sets)

    def numbers(self, owners: np.ndarray, sets: pa.DictionaryArray) -> np.ndarray:
        """The shard (N,) of each photograph as a position in `keys`.

        `owners` (N,) uint64 are hashes of what has to stay together. A query set (`sets`, null where nobody has
        decided) has its own shard; everything else goes to a reference shard by its owner.
        """
        query = np.array(
            [self.reference + self.query_sets.index(name) if name in self.query_sets else -1 for name in _names(sets)]
            + [-1]
        )
        shard: np.ndarray = query[sets.indices.fill_null(len(query) - 1).to_numpy(zero_copy_only=False)]
        rest = shard < 0
        shard[rest] = jump_buckets(owners[rest], self.reference)
        return shard

    def refuse_unknown(self, sets: pa.DictionaryArray) -> None:
        """Raise SourceError where the source names a set that has no shard."""
        unknown = sorted(set(_names(sets)) - {*POOL_SETS, *self.query_sets})
        if unknown:
            raise SourceError(
                f"Found photographs of the set {', '.join(map(repr, unknown))}; expected one of "
                f"{', '.join((*POOL_SETS, *self.query_sets))}. Correct the column set_name of the metadata, or name "
                "the benchmark to the run (--benchmark)."
            )


def _names(sets: pa.DictionaryArray) -> list[str]:
    return [str(name) for name in sets.dictionary.to_pylist()]
