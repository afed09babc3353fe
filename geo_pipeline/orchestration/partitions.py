"""The shards of a profile's assets, known to the shell and to workers, which have no Dagster to ask for partitions.

They are called shards because a partition of this library is the Earth cut into cells. Which shards there are, which of
them an asset has, and which shards of another asset one shard reads. What lies in a shard is decided by the catalogue.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.methods.method import Method
from geo_pipeline.profiles.profile import Profile

ALL = "all"
"""The key of an asset that is not partitioned."""
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


@dataclass(frozen=True)
class Scope:
    """What the assets of a code location are made for: a profile, its shards, and the registries."""

    profile: Profile
    shards: Shards
    methods: Mapping[str, Method]
    benchmarks: Mapping[str, Benchmark]


Keys = Callable[[Scope], tuple[str, ...]]
"""The partition keys of an asset, or of a part of it."""
KeysRead = Callable[[Scope, str], tuple[str, ...]]
"""Which keys of another asset one key reads."""


def all_shards(scope: Scope) -> tuple[str, ...]:
    """Every shard of photographs."""
    return scope.shards.all


def reference_shards(scope: Scope) -> tuple[str, ...]:
    """The shards of training and reference photographs."""
    return scope.shards.reference


def query_shards(scope: Scope) -> tuple[str, ...]:
    """The shards of every query set."""
    return scope.shards.query_keys


def router_query_shards(scope: Scope) -> tuple[str, ...]:
    """The shards of the router's training queries."""
    return scope.shards.of(ROUTER_QUERIES)


def benchmark_shards(scope: Scope) -> tuple[str, ...]:
    """The shards of every benchmark."""
    return scope.shards.benchmark_keys


def benchmarks(scope: Scope) -> tuple[str, ...]:
    """One key per benchmark."""
    return scope.shards.benchmarks


def same_shard(scope: Scope, key: str) -> tuple[str, ...]:
    """The shard of the same key."""
    return (key,)


def whole(scope: Scope, key: str) -> tuple[str, ...]:
    """An asset that is not partitioned."""
    return (ALL,)


def every(keys: Keys) -> KeysRead:
    """All of these shards."""
    return lambda scope, key: keys(scope)


def shards_of_benchmark(scope: Scope, key: str) -> tuple[str, ...]:
    """The shards of the benchmark that the key names."""
    return scope.shards.of(key)


def variant_key(variant: str, shard: str) -> str:
    """The key of one shard of one variant.

    Plain keys, not Dagster's two dimensions: its mapping to one dimension needs a parent with exactly the shards of
    that dimension, and photographs have more shards than the benchmarks' ones that variants answer.
    """
    return f"{variant}/{shard}"


def variant_and_shard(key: str) -> tuple[str, str]:
    """The inverse of `variant_key`."""
    variant, _, shard = key.partition("/")
    return variant, shard


def shard_part(scope: Scope, key: str) -> tuple[str, ...]:
    """The shard of a variant's key."""
    return (variant_and_shard(key)[1],)


def variant_part(scope: Scope, key: str) -> tuple[str, ...]:
    """The variant of a variant's key."""
    return (variant_and_shard(key)[0],)


def range_tags(keys: list[str]) -> dict[str, str]:
    """The tags of a run over the range that holds these keys.

    It may hold more: the run is told which are wanted (`launchpad.Launch.only`).
    """
    return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
