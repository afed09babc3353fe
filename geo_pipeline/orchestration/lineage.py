"""The assets of a profile in order, and which shard reads which: asked where Dagster is not imported, as in workers.

What each asset reads of the others, in the order in which data flows. No Dagster here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.home.artifact import Artifact
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.partitions import Scope, shards_of
from geo_pipeline.orchestration.recipe import Asset, Recipe
from geo_pipeline.profiles.profile import Profile, ProfileError


@dataclass(frozen=True)
class Lineage:
    """All assets of a profile."""

    scope: Scope
    assets: Mapping[str, Asset]

    @property
    def profile(self) -> Profile:
        """The profile."""
        return self.scope.profile

    @property
    def benchmarks(self) -> Mapping[str, Benchmark]:
        """The registry of benchmarks."""
        return self.scope.benchmarks

    def benchmark_of(self, key: str) -> str | None:
        """The benchmark whose photographs lie in this shard, None for every other one."""
        name = self.scope.shards.sets.get(key)
        return name if name in self.scope.benchmarks else None

    @cached_property
    def owners(self) -> dict[Artifact, tuple[Asset, str]]:
        """Which asset, at which key, writes an artifact."""
        return {
            output: (asset, key)
            for asset in self.assets.values()
            for key in asset.keys
            for output in asset.outputs(key)
        }

    @property
    def everyday(self) -> list[str]:
        """The assets that a plain run brings up to date, as far as their everyday keys go."""
        return [name for name, asset in self.assets.items() if asset.everyday]

    @cached_property
    def _parents(self) -> dict[str, dict[str, dict[str, set[str]]]]:
        return {}

    def parents(self, asset: Asset) -> dict[str, dict[str, set[str]]]:
        """For each asset that an asset reads: its own keys, each with the keys of that asset that it reads."""
        if asset.name not in self._parents:
            found: dict[str, dict[str, set[str]]] = {}
            for key in asset.keys:
                for read in asset.inputs(key):
                    found.setdefault(read.asset, {}).setdefault(key, set()).add(read.key)
            self._parents[asset.name] = found
        return self._parents[asset.name]

    def downstream(self, names: Sequence[str]) -> list[str]:
        """These assets and all that depend on them, in the order of the lineage."""
        wanted = set(names)
        for asset in self.assets.values():
            if wanted & set(self.parents(asset)):
                wanted.add(asset.name)
        return [name for name in self.assets if name in wanted]


def bind(
    recipes: Iterable[Recipe], profile: Profile, methods: Mapping[str, Method], benchmarks: Mapping[str, Benchmark]
) -> Lineage:
    """The lineage of a profile. Raises ProfileError for a benchmark that nobody registered."""
    unknown = [name for name in profile.benchmarks if name not in benchmarks]
    if unknown:
        raise ProfileError(
            f"found the benchmarks {', '.join(unknown)} in profile {profile.name}, expected some of "
            f"{', '.join(benchmarks)}; register them"
        )
    counts = dict(profile.expected_counts)
    benchmarks = {
        name: replace(each, expected_count=counts[name]) if name in counts else each
        for name, each in benchmarks.items()
    }
    scope = Scope(profile, shards_of(profile), methods, benchmarks)
    assets: dict[str, Asset] = {}
    for recipe in recipes:
        for each in recipe.bind(scope, assets):
            assets[each.name] = each
    return Lineage(scope, assets)
