"""Tells a terminal shard by shard how a run goes on, which Dagster tells its log: commands.run shows it."""

from collections.abc import Sequence

from geo_pipeline.orchestration.recipe import Asset


class Progress:
    """Is told what a run does."""

    def asset_begins(self, asset: Asset, keys: Sequence[str]) -> None:
        """An asset will be executed for these keys; none means that it is up to date."""

    def shard_done(self, asset: Asset, key: str, rows: int, unchanged: bool) -> None:
        """One key is in the home; `unchanged`: it was fresh, or came out as it was."""

    def message(self, asset: Asset, line: str) -> None:
        """One line, such as an epoch's loss."""

    def note(self, line: str) -> None:
        """Something that the reader has to know: a dead run that was closed, a wait."""

    def asset_ends(self, asset: Asset, seconds: float) -> None:
        """An asset was executed."""
