"""The graph over the stages: who makes what, what depends on what, and what is missing or stale. No Dagster here.

Whether something is stale follows from fingerprints in the home: an artifact is fresh when it was made by today's
code and settings from what its inputs hold today, and its inputs are fresh themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.orchestration.artifacts import Artifact, fingerprint
from geo_pipeline.orchestration.stage import Stage
from geo_pipeline.orchestration.storage import Home
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
    def owners(self) -> dict[Artifact, tuple[Stage, str]]:
        """Which stage, at which key, writes an artifact."""
        return {
            output: (stage, key)
            for stage in self.stages.values()
            for key in stage.keys
            for output in stage.outputs(key)
        }

    def owner(self, artifact: Artifact) -> tuple[Stage, str]:
        """The stage and key that write an artifact."""
        return self.owners[artifact.whole()]

    def parents(self, stage: Stage) -> dict[str, dict[str, set[str]]]:
        """For each asset that a stage reads: its own keys, each with the keys of that asset that it reads."""
        found: dict[str, dict[str, set[str]]] = {}
        for key in stage.keys:
            for artifact in stage.inputs(key):
                parent, parent_key = self.owner(artifact)
                found.setdefault(parent.name, {}).setdefault(key, set()).add(parent_key)
        return found

    def downstream(self, names: Sequence[str]) -> list[str]:
        """These assets and all that depend on them, in the order of the lineage."""
        wanted = set(names)
        for stage in self.stages.values():
            if wanted & set(self.parents(stage)):
                wanted.add(stage.name)
        return [name for name in self.stages if name in wanted]


@dataclass
class Freshness:
    """The state of artifacts in one home, each looked up once. Make a new one after something was written."""

    lineage: Lineage
    home: Home
    _versions: dict[Artifact, str | None] = field(default_factory=dict)
    _states: dict[tuple[str, str], State] = field(default_factory=dict)
    _expected: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def version(self, artifact: Artifact) -> str | None:
        """Content hash of an artifact, None when it is not there."""
        if artifact not in self._versions:
            self._versions[artifact] = self.home.version(artifact)
        return self._versions[artifact]

    def expected(self, stage: Stage, key: str) -> str | None:
        """The fingerprint that the stage's output must have now; None when an input is not there."""
        if (stage.name, key) not in self._expected:
            versions = {_label(artifact): self.version(artifact) for artifact in stage.inputs(key)}
            known = {label: version for label, version in versions.items() if version is not None}
            outside = (
                {"outside": stage.outside(self.home, key)} if stage.outside and len(known) == len(versions) else {}
            )
            whole = len(known) == len(versions)
            self._expected[stage.name, key] = fingerprint(stage.code_version, {**known, **outside}) if whole else None
        return self._expected[stage.name, key]

    def own_state(self, stage: Stage, key: str) -> State:
        """The state of one output, taking its inputs as they are."""
        stored = [self.home.stored(output) for output in stage.outputs(key)]
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
        problems: dict[str, list[str]] = {}
        for key in keys:
            for parent, parent_key in self._parents(stage, key):
                state = self.state(parent, parent_key)
                if state != "fresh":
                    where = f" [{parent_key}]" if parent.partitioned else ""
                    line = f"{parent.name}{where} is {state}"
                    if line not in problems.setdefault(parent.name, []):
                        problems[parent.name].append(line)
        if problems:
            found = "; ".join(_shortened(lines) for lines in problems.values())
            raise StaleInputError(
                f"{stage.name} reads what is not up to date: {found}. Expected inputs made by today's "
                "code, settings and data; "
                f"materialize {', '.join(problems)} first (or everything: `geo-pipeline run`)"
            )

    def _parents(self, stage: Stage, key: str) -> Iterator[tuple[Stage, str]]:
        for artifact in stage.inputs(key):
            yield self.lineage.owner(artifact)


def _label(artifact: Artifact) -> str:
    narrowed = "" if artifact.where is None else f"?{artifact.where[0]}={artifact.where[1]}"
    return f"{artifact.kind}/{artifact.name}/{artifact.key}{narrowed}"


def _shortened(lines: list[str]) -> str:
    return "; ".join(lines) if len(lines) <= 3 else f"{lines[0]} and {len(lines) - 1} more shards"
