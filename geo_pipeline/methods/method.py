"""What a method is: its name, what it reads, and which implementation answers.

Entries stand one per file beside this one.

A method never touches storage: it asks for its inputs through `Reads`, which orchestration implements. What it asks
for must be what `upstream` declares; a test compares the two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.lvlm.config import LvlmConfig

Paradigm = Literal["guess", "cells", "retrieval", "generation", "router"]
QuerySets = Literal["all", "benchmarks"]


class Settings(Protocol):
    """The part of a profile that methods depend on."""

    @property
    def inference(self) -> InferenceConfig:
        """How cells and references are scored."""
        ...

    @property
    def lvlm(self) -> LvlmConfig:
        """Which vision-language model answers."""
        ...


class Reads(Protocol):
    """What a method may ask for. Every call is a read of the named asset."""

    @property
    def profile(self) -> Settings:
        """The profile of the run."""
        ...

    def checkpoint(self, name: str) -> Path:
        """The folder of a checkpoint asset."""
        ...

    def table(self, name: str, key: str = "all", columns: Sequence[str] | None = None) -> pa.Table:
        """One key of a table."""
        ...

    def predictions(self, method: str, query_set: str) -> pa.Table:
        """Another method's answers to a query set."""
        ...

    def reference_features(self) -> pa.Table:
        """The reference gallery: image_id, author, lat_deg, lon_deg, sha256, phash, feature."""
        ...

    def reference_images(self, image_ids: Sequence[str]) -> pa.Table:
        """image_id and jpeg of some reference images."""
        ...


@dataclass(frozen=True)
class Method:
    """One implementation of image to coordinates.

    - `asset`: the Dagster asset of its predictions; `upstream`: the assets it reads, the ones keyed by query set
      included.
    - `implementation`: `module:Class`, imported by the worker; `remote`: whether it runs on Ray (a network) or beside
      the driver.
    - `queries(reads, query_set)`: the table that the implementation is called with; `arguments(reads)`: its
      constructor's arguments.
    - `rooms`: modules whose code makes its answers; `settings(profile)`: the configuration that they depend on.
    - `query_sets`: `all` also answers the router's training queries. `variant`: a router's prompt variant, else None.
    - `baseline`: the name of the baseline (`baselines.registry`) that it trains and answers with, else None.
    """

    name: str
    title: str
    paradigm: Paradigm
    description: str
    asset: str
    upstream: tuple[str, ...]
    implementation: str
    queries: Callable[[Reads, str], pa.Table]
    arguments: Callable[[Reads], Mapping[str, object]]
    rooms: tuple[str, ...]
    settings: Callable[[Settings], object]
    remote: bool = False
    query_sets: QuerySets = "all"
    variant: str | None = None
    baseline: str | None = None

    @property
    def checkpoint(self) -> str | None:
        """The asset of a router's or baseline's own checkpoint; None for methods that train nothing of their own."""
        return f"{self.name}_checkpoint" if self.paradigm == "router" or self.baseline else None
