"""Names of stored things, and fingerprints of how they were made.

An *artifact* is one file or folder of the home: one key of a table, a manifest, a checkpoint, the report. A
*fingerprint* says from what an artifact was made (code version, configuration, content of what it read); a *content
hash* says what is in it. Reading and writing belongs to `home`, what each asset reads to the layers above.
"""

from dataclasses import dataclass
from typing import Literal

ArtifactKind = Literal["table", "manifest", "checkpoint", "report", "observation"]
ALL = "all"


@dataclass(frozen=True, order=True)
class Artifact:
    """One stored thing."""

    kind: ArtifactKind
    name: str
    key: str = ALL

    def label(self) -> str:
        """How messages name it, for example `images [reference-000]`."""
        return self.name if self.key == ALL else f"{self.name} [{self.key}]"


def table(name: str, key: str = ALL) -> Artifact:
    """The artifact of one key of one table."""
    return Artifact("table", name, key)


def manifest(name: str) -> Artifact:
    """The artifact of one manifest (a list of shards with their content hashes)."""
    return Artifact("manifest", name)


def checkpoint(name: str, key: str = ALL) -> Artifact:
    """The artifact of one checkpoint folder."""
    return Artifact("checkpoint", name, key)


def report(name: str) -> Artifact:
    """The artifact of one report folder."""
    return Artifact("report", name)
