"""The graph over the stages: who makes what, what depends on what, and what is missing or stale. No Dagster here.

Whether something is stale follows from fingerprints in the home: an artifact is fresh when it was made by today's
code and settings from what its inputs hold today, and its inputs are fresh themselves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.home.artifact import Artifact, fingerprint
from geo_pipeline.home.home import Home, Stored
from geo_pipeline.orchestration.shards import shards_of
from geo_pipeline.orchestration.stage import Stage
from geo_pipeline.profiles.profile import Profile

State = Literal["fresh", "stale", "missing"]


class StaleInputError(RuntimeError):
    """What a stage would read is missing or stale; the message names each with the asset to materialize."""


@dataclass(frozen=True)
class Lineage:
    """All stages of a profile, in the order in which data flows."""

    profile: Profile
    stages: Mapping[str, Stage]
    benchmarks: Mapping[str, Benchmark]

    @cached_property
    def _set_of_key(self) -> dict[str, str]:
        return shards_of(self.profile).sets

    def benchmark_of(self, key: str) -> str | None:
        """The benchmark whose photographs lie in this shard, None for every other one."""
        name = self._set_of_key.get(key)
        return name if name in self.benchmarks else None

    @cached_property
    def owners(self) -> dict[Artifact, tuple[Stage, str]]:
        """Which stage, at which key, writes an artifact."""
        return {
            output: (stage, key)
            for stage in self.stages.values()
            for key in stage.keys
            for output in stage.outputs(key)
        }

    @property
    def everyday(self) -> list[str]:
        """The assets that a plain run brings up to date: all but those that are only made on demand."""
        return [name for name, stage in self.stages.items() if not stage.on_demand]

    def owner(self, artifact: Artifact) -> tuple[Stage, str]:
        """The stage and key that write an artifact."""
        return self.owners[artifact]

    @cached_property
    def _parents(self) -> dict[str, dict[str, dict[str, set[str]]]]:
        return {}

    def parents(self, stage: Stage) -> dict[str, dict[str, set[str]]]:
        """For each asset that a stage reads: its own keys, each with the keys of that asset that it reads."""
        if stage.name not in self._parents:
            found: dict[str, dict[str, set[str]]] = {}
            for key in stage.keys:
                for artifact in stage.inputs(key):
                    parent, parent_key = self.owner(artifact)
                    found.setdefault(parent.name, {}).setdefault(key, set()).add(parent_key)
            self._parents[stage.name] = found
        return self._parents[stage.name]

    def downstream(self, names: Sequence[str]) -> list[str]:
        """These assets and all that depend on them, in the order of the lineage."""
        wanted = set(names)
        for stage in self.stages.values():
            if wanted & set(self.parents(stage)):
                wanted.add(stage.name)
        return [name for name in self.stages if name in wanted]


@dataclass
class Freshness:
    """The state of artifacts in one home, each looked up once. Make a new one after something was written.

    `outside` keeps what stages read from outside the home, one digest per stage: hand the same dictionary on, and a run
    of many steps sees the photographs as they were when it began.
    """

    lineage: Lineage
    home: Home
    outside: dict[str, str] = field(default_factory=dict)
    _stored: dict[Artifact, Stored | None] = field(default_factory=dict)
    _states: dict[tuple[str, str], State] = field(default_factory=dict)
    _expected: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def stored(self, artifact: Artifact) -> Stored | None:
        """What the home knows of an artifact, None when it is not there."""
        if artifact not in self._stored:
            self._stored[artifact] = self.home.stored(artifact)
        return self._stored[artifact]

    def version(self, artifact: Artifact) -> str | None:
        """Content hash of an artifact, None when it is not there."""
        stored = self.stored(artifact)
        return stored.content_hash if stored else None

    def made_version(self, stage: Stage, key: str) -> str | None:
        """Content hash over everything a stage wrote for a key, None when something of it is not there."""
        return stage.joined_version([self.version(output) for output in stage.outputs(key)])

    def expected(self, stage: Stage, key: str) -> str | None:
        """The fingerprint that the stage's output must have now; None when an input is not there."""
        if (stage.name, key) not in self._expected:
            versions = {_label(artifact): self.version(artifact) for artifact in stage.inputs(key)}
            known = {label: version for label, version in versions.items() if version is not None}
            if len(known) == len(versions):
                if stage.outside is not None:
                    known["outside"] = self._outside(stage.name, stage.outside)
                self._expected[stage.name, key] = fingerprint(stage.code_version, known)
            else:
                self._expected[stage.name, key] = None
        return self._expected[stage.name, key]

    def _outside(self, name: str, digest: Callable[[], str]) -> str:
        if name not in self.outside:
            self.outside[name] = digest()
        return self.outside[name]

    def own_state(self, stage: Stage, key: str) -> State:
        """The state of one output, taking its inputs as they are."""
        stored = [self.stored(output) for output in stage.outputs(key)]
        if any(each is None for each in stored):
            return "missing"
        expected = self.expected(stage, key)
        return "fresh" if all(each is not None and each.fingerprint == expected for each in stored) else "stale"

    def state(self, stage: Stage, key: str) -> State:
        """The state of one output and of everything it was made from."""
        if (stage.name, key) not in self._states:
            state = self.own_state(stage, key)
            if state == "fresh" and any(
                self.state(*self.lineage.owner(artifact)) != "fresh" for artifact in stage.inputs(key)
            ):
                state = "stale"
            self._states[stage.name, key] = state
        return self._states[stage.name, key]

    def refuse_stale(self, stage: Stage, keys: Sequence[str]) -> None:
        """Raise StaleInputError, naming every input of these keys that is missing or stale."""
        self.refuse(stage.name, (self.lineage.owner(artifact) for key in keys for artifact in stage.inputs(key)))

    def refuse(self, reader: str, needed: Iterable[tuple[Stage, str]]) -> None:
        """Raise StaleInputError, naming each of these outputs that is missing or stale; `reader` is who needs them."""
        problems: dict[str, dict[str, None]] = {}
        for stage, key in needed:
            state = self.state(stage, key)
            if state != "fresh":
                where = f" [{key}]" if stage.partitioned else ""
                problems.setdefault(stage.name, {})[f"{stage.name}{where} is {state}"] = None
        if problems:
            found = "; ".join(_shortened(list(lines)) for lines in problems.values())
            raise StaleInputError(
                f"{reader} reads what is not up to date: {found}. Expected inputs made by today's "
                "code, settings and data; "
                f"materialize {', '.join(problems)} first (or everything: `geo-pipeline run`)"
            )


def _label(artifact: Artifact) -> str:
    return f"{artifact.kind}/{artifact.name}/{artifact.key}"


def _shortened(lines: list[str]) -> str:
    return "; ".join(lines) if len(lines) <= 3 else f"{lines[0]} and {len(lines) - 1} more shards"
