"""What of a home is fresh, where Dagster's staleness marks need its database, are one hop deep and stop no run.

Says what is fresh, stale or missing, and why; refuses to read what is stale, by name. No Dagster here. An artifact is
fresh when it was made by today's code and settings (or code that was accepted as equal, acceptance.py) from what its
inputs hold today, and its inputs are fresh themselves. Both halves stand in its fingerprint: `code:inputs`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from geo_pipeline.home.artifact import Artifact
from geo_pipeline.home.home import Home, Stored
from geo_pipeline.orchestration.acceptance import Accepted, Record, accepted_of
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.observation import observed
from geo_pipeline.orchestration.recipe import Asset, Input
from geo_pipeline.orchestration.versions import digest

State = Literal["fresh", "stale", "missing"]
Reason = Literal["code or settings changed", "inputs changed", "made by an earlier version of geo_pipeline"]


class StaleInputError(RuntimeError):
    """What an asset would read is missing or stale; the message names each with the asset to materialize."""


@dataclass
class Freshness:
    """The state of artifacts in one home, each looked up once. Make a new one after something was written."""

    lineage: Lineage
    home: Home
    _stored: dict[Artifact, Stored | None] = field(default_factory=dict)
    _states: dict[tuple[str, str], State] = field(default_factory=dict)
    _inputs: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def stored(self, artifact: Artifact) -> Stored | None:
        """What the home knows of an artifact, None when it is not there."""
        if artifact.kind == "observation":
            return self._observed.get(artifact.key)
        if artifact not in self._stored:
            self._stored[artifact] = self.home.stored(artifact)
        return self._stored[artifact]

    def version(self, artifact: Artifact) -> str | None:
        """Content hash of an artifact, None when it is not there."""
        stored = self.stored(artifact)
        return stored.content_hash if stored else None

    def made_version(self, asset: Asset, key: str) -> str | None:
        """Content hash over everything an asset wrote for a key, None when something of it is not there."""
        return joined_version([self.version(output) for output in asset.outputs(key)])

    def expected(self, asset: Asset, key: str) -> str | None:
        """The fingerprint that the outputs of a key must have now; None when an input is not there."""
        inputs = self.inputs_digest(asset, key)
        return None if inputs is None else f"{asset.version_of(key)}:{inputs}"

    def inputs_digest(self, asset: Asset, key: str) -> str | None:
        """Digest of what a key's inputs hold now; None when one of them is not there."""
        if (asset.name, key) not in self._inputs:
            versions = {label(read.artifact): self.version(read.artifact) for read in asset.inputs(key)}
            self._inputs[asset.name, key] = None if None in versions.values() else digest(versions)
        return self._inputs[asset.name, key]

    def own_state(self, asset: Asset, key: str) -> State:
        """The state of one output, taking its inputs as they are; what is observed is fresh or was never observed."""
        stored = [self.stored(output) for output in asset.outputs(key)]
        if any(each is None for each in stored):
            return "missing"
        if asset.declared.observed:
            return "fresh"
        return "fresh" if all(each and self._is_made_so(each, asset, key) for each in stored) else "stale"

    def reason(self, asset: Asset, key: str) -> Reason | None:
        """Why an output is stale by itself; None where it is fresh or missing."""
        if self.own_state(asset, key) != "stale":
            return None
        prints = [stored.fingerprint for stored in map(self.stored, asset.outputs(key)) if stored]
        if any(":" not in each for each in prints):
            return "made by an earlier version of geo_pipeline"
        inputs = self.inputs_digest(asset, key)
        return (
            "inputs changed" if any(each.partition(":")[2] != inputs for each in prints) else "code or settings changed"
        )

    def accepted(self, asset: Asset, key: str) -> str | None:
        """The reason that somebody gave when accepting other code than today's for this output; None for today's."""
        stored = self.stored(asset.outputs(key)[0])
        if stored is None or stored.fingerprint == self.expected(asset, key):
            return None
        record = self._record(asset, key, stored.fingerprint)
        return None if record is None else record.why

    def state(self, asset: Asset, key: str) -> State:
        """The state of one output and of everything it was made from."""
        if (asset.name, key) not in self._states:
            state = self.own_state(asset, key)
            if state == "fresh" and any(self.state(*self.owner(read)) != "fresh" for read in asset.inputs(key)):
                state = "stale"
            self._states[asset.name, key] = state
        return self._states[asset.name, key]

    def owner(self, read: Input) -> tuple[Asset, str]:
        """The asset and key that write an input."""
        return self.lineage.assets[read.asset], read.key

    def refuse_stale(self, asset: Asset, keys: Sequence[str]) -> None:
        """Raise StaleInputError, naming every input of these keys that is missing or stale."""
        self.refuse(asset.name, (self.owner(read) for key in keys for read in asset.inputs(key)))

    def refuse(self, reader: str, needed: Iterable[tuple[Asset, str]]) -> None:
        """Raise StaleInputError, naming each of these outputs that is missing or stale; `reader` is who needs them."""
        problems: dict[str, dict[str, None]] = {}
        for asset, key in needed:
            state = self.state(asset, key)
            if state != "fresh":
                where = f" [{key}]" if asset.partitioned else ""
                problems.setdefault(asset.name, {})[f"{asset.name}{where} is {state}"] = None
        if problems:
            found = "; ".join(_shortened(list(lines)) for lines in problems.values())
            raise StaleInputError(
                f"{reader} reads what is not up to date: {found}. Expected inputs made by today's "
                "code, settings and data; "
                f"materialize {', '.join(problems)} first (or everything: `geo-pipeline run`)"
            )

    def _is_made_so(self, stored: Stored, asset: Asset, key: str) -> bool:
        return stored.fingerprint == self.expected(asset, key) or bool(self._record(asset, key, stored.fingerprint))

    def _record(self, asset: Asset, key: str, fingerprint: str) -> Record | None:
        inputs = self.inputs_digest(asset, key)
        return None if inputs is None else self._accepted.record(asset.name, asset.version_of(key), fingerprint, inputs)

    @cached_property
    def _observed(self) -> Mapping[str, Stored]:
        return observed(self.home)

    @cached_property
    def _accepted(self) -> Accepted:
        return accepted_of(self.home)


def joined_version(versions: Sequence[str | None]) -> str | None:
    """One version of several outputs."""
    if any(version is None for version in versions):
        return None
    return versions[0] if len(versions) == 1 else "-".join(str(version)[:16] for version in versions)


def label(artifact: Artifact) -> str:
    """How an input is named in a fingerprint."""
    return f"{artifact.kind}/{artifact.name}/{artifact.key}"


def states(freshness: Freshness, asset: Asset) -> Mapping[str, State]:
    """The state of every key of an asset, taking its inputs as they are."""
    return {key: freshness.own_state(asset, key) for key in asset.keys}


def _shortened(lines: list[str]) -> str:
    return "; ".join(lines) if len(lines) <= 3 else f"{lines[0]} and {len(lines) - 1} more shards"
