"""The shards of a profile: which Dagster partitions there are. What lies in them is decided by the catalogue."""

from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.profiles.profile import Profile

ROUTER_QUERIES = "router_queries"
REFERENCE_PER_QUERY_SHARD = 32
"""A query set that is drawn from the photographs themselves has one shard for so many reference shards."""


@dataclass(frozen=True)
class Shards:
    """Keys of a plan: reference shards for training and reference images, and those of every query set.

    Query sets are the router's training queries and each of `benchmarks`.
    """

    plan: ShardPlan
    benchmarks: tuple[str, ...]

    @property
    def reference(self) -> tuple[str, ...]:
        """The keys of the reference shards."""
        return self.plan.reference_keys

    @property
    def query_sets(self) -> tuple[str, ...]:
        """The names of all query sets."""
        return self.plan.query_sets

    @property
    def all(self) -> tuple[str, ...]:
        """Every key."""
        return self.plan.keys

    @property
    def query_keys(self) -> tuple[str, ...]:
        """The keys of all query sets."""
        return tuple(key for name in self.query_sets for key in self.of(name))

    @property
    def benchmark_keys(self) -> tuple[str, ...]:
        """The keys of all benchmarks."""
        return tuple(key for name in self.benchmarks for key in self.of(name))

    def of(self, query_set: str) -> tuple[str, ...]:
        """The keys of one query set."""
        return self.plan.query_keys[query_set]

    @cached_property
    def sets(self) -> dict[str, str]:
        """The query set of each of its keys; reference shards have none."""
        return {key: name for name, keys in self.plan.query_keys.items() for key in keys}


def shards_of(profile: Profile) -> Shards:
    """The shards of a profile."""
    drawn = (ROUTER_QUERIES, profile.split.benchmark_name)
    share = max(1, profile.reference_shards // REFERENCE_PER_QUERY_SHARD)
    given = dict(profile.query_shards)
    names = (ROUTER_QUERIES, *profile.benchmarks)
    counts = tuple(given.get(name, share if name in drawn else 1) for name in names)
    return Shards(ShardPlan(profile.reference_shards, names, counts), profile.benchmarks)


def partitions_of(keys: tuple[str, ...]) -> dg.StaticPartitionsDefinition:
    """Keys as Dagster partitions."""
    return dg.StaticPartitionsDefinition(list(keys))


def mapping(parent_keys: tuple[str, ...], keys: tuple[str, ...], reads: dict[str, set[str]]) -> dg.PartitionMapping:
    """The Dagster mapping for "key reads these parent keys", when both sides are partitioned."""
    if all(parents == {key} for key, parents in reads.items()) and set(keys) <= set(parent_keys):
        return dg.IdentityPartitionMapping()
    children: dict[str, set[str]] = {}
    for key, parents in reads.items():
        for parent in parents:
            children.setdefault(parent, set()).add(key)
    return dg.StaticPartitionMapping({parent: sorted(found) for parent, found in children.items()})
