"""The reading side of a home: what assets, methods and workers read of it by the names of assets.

It implements `methods.method.Reads`. The driver and every worker hold one of their own over the same folder, so that no
table has to travel between them. Writing and the state of a file belong to home.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa

from geo_pipeline.home.artifact import ALL, table
from geo_pipeline.home.halves import Halves, mapped
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.home.integrity import Use

ProfileT = TypeVar("ProfileT")


class HomeReads(Generic[ProfileT]):
    """A home as its readers see it. Every call is a read of the named asset; what is not there raises by name."""

    def __init__(self, home: Home, profile: ProfileT) -> None:
        self.home = home
        self.profile = profile

    def table(
        self, name: str, key: str = ALL, columns: Sequence[str] | None = None, ids: Sequence[str] | None = None
    ) -> pa.Table:
        """One key of a table: all columns (checked against the contract) or some, all rows or those of some images."""
        return self.home.read_table(name, key, columns, ids)

    def mapped(self, name: str, key: str, column: str) -> list[Halves]:
        """The vectors of a column of one key, mapped from its file: float16 (N, D), an array for each row group."""
        return mapped(self.path(name, key), column)

    def path(self, name: str, key: str = ALL, use: Use = "whole") -> Path:
        """The file of one key of a table, for a loop that reads it itself: whole, or a part of it."""
        artifact = table(name, key)
        self.home.opened(artifact)
        file = self.home.location(artifact)
        if not file.is_file():
            raise MissingArtifactError(
                f"found no {artifact.label()}, expected it in the home; materialize `{name}` first"
            )
        self.home.verify(artifact, use)
        return file

    def predictions(self, method: str, query_set: str) -> pa.Table:
        """A method's answers to a query set."""
        return self.table("predictions", f"{method}/{query_set}")

    def checkpoint(self, name: str, key: str = ALL) -> Path:
        """The folder of a finished checkpoint."""
        return self.home.checkpoint(name, key)

    def listed(self, manifest_name: str, table_name: str) -> list[str]:
        """The keys of a table that a manifest lists.

        Raises when one of them is not what it was when the manifest was made.
        """
        keys = []
        for label, version in self.home.read_manifest(manifest_name).items():
            name, _, key = label.partition("/")
            if name == table_name:
                if self.home.version(table(name, key)) != version:
                    raise MissingArtifactError(
                        f"{manifest_name} lists another version of {name} [{key}] than the home holds; "
                        f"materialize `{manifest_name}` again"
                    )
                keys.append(key)
        return keys

    def listed_paths(self, manifest_name: str, table_name: str, use: Use = "whole") -> list[Path]:
        """The files of a table that a manifest lists, for a loop that reads them whole, or a part of each."""
        return [self.path(table_name, key, use) for key in self.listed(manifest_name, table_name)]
