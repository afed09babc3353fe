"""The shards of a profile: which Dagster partitions there are. What lies in them is decided by the catalogue."""

from dataclasses import dataclass

import dagster as dg

from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.profiles.profile import Profile

ROUTER_QUERIES = "router_queries"


@dataclass(frozen=True)
class Shards:
    """Keys: `reference` for training and reference images.

    Beside them stands one per query set (the router's training queries and each benchmark).
    """

    reference: tuple[str, ...]
    benchmarks: tuple[str, ...]

    @property
    def query_sets(self) -> tuple[str, ...]:
        """The router's training queries and every benchmark."""
        return (ROUTER_QUERIES, *self.benchmarks)

    @property
    def all(self) -> tuple[str, ...]:
        """Every shard."""
        return (*self.reference, *self.query_sets)

    @property
    def plan(self) -> ShardPlan:
        """The same for the catalogue, which fills the shards."""
        return ShardPlan(len(self.reference), self.query_sets)


def shards_of(profile: Profile) -> Shards:
    """The shards of a profile."""
    return Shards(ShardPlan(profile.reference_shards).reference_keys, profile.benchmarks)


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
