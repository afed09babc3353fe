"""What a method is: its name, what it reads, and which implementation answers.

Entries stand one per file beside this one.

A method never touches storage: it asks for its inputs through `Reads`, which orchestration implements. What it asks
for must be what `upstream` declares; a test compares the two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa

from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.home.halves import Halves
from geo_pipeline.lvlm.config import LvlmConfig

Kind = Literal["guess", "cells", "retrieval", "generation", "router"]
"""What a method answers with; the two paradigms of GeoRouter are `retrieval` and `generation`."""
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

    def table(
        self, name: str, key: str = "all", columns: Sequence[str] | None = None, ids: Sequence[str] | None = None
    ) -> pa.Table:
        """One key of a table: all columns and rows, or some columns, or the rows of some image ids."""
        ...

    def mapped(self, name: str, key: str, column: str) -> list[Halves]:
        """The vectors of a column, mapped from the file of one key: float16 (N, D), an array for each row group."""
        ...

    def predictions(self, method: str, query_set: str) -> pa.Table:
        """Another method's answers to a query set."""
        ...

    def listed(self, manifest_name: str, table_name: str) -> list[str]:
        """The keys of a table that a manifest lists."""
        ...


@dataclass(frozen=True)
class Method:
    """One implementation of image to coordinates.

    - `asset`: the Dagster asset of its predictions; `upstream`: the assets it reads, the ones keyed by query set
      included.
    - `worker()`: the class that answers, imported when it is asked for; `remote`: whether it runs on Ray (a network) or
      beside the driver.
    - `queries(reads, query_set)`: the table that the implementation is called with; `arguments(reads)`: its
      constructor's arguments.
    - `settings(profile)`: the configuration that its answers depend on.
    - `query_sets`: `all` also answers the router's training queries. `variant`: the prompt of a router
      that has one of its own, else None.
    - `baseline`: the name of the baseline (`baselines.registry`) that it trains and answers with, else None.
    """

    name: str
    title: str
    kind: Kind
    description: str
    asset: str
    upstream: tuple[str, ...]
    worker: Callable[[], Callable[..., Any]]
    queries: Callable[[Reads, str], pa.Table]
    arguments: Callable[[Reads], Mapping[str, object]]
    settings: Callable[[Settings], object]
    remote: bool = False
    query_sets: QuerySets = "all"
    variant: str | None = None
    baseline: str | None = None

    @property
    def checkpoint(self) -> str | None:
        """The asset of a router's or baseline's own checkpoint; None for methods that train nothing of their own."""
        return f"{self.name}_checkpoint" if self.kind == "router" or self.baseline else None
