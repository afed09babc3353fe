"""What the launchpad of the UI offers for every asset: what changes no byte.

But for the number of training workers, which changes the order of sums alone.
"""

from dataclasses import replace

import dagster as dg
from pydantic import Field

from geo_pipeline.profiles.resources import ComputeConfig


class Launch(dg.Config):
    """How one materialization goes about its work. Profile, seed and settings are fixed when a code location loads."""

    again: bool = Field(default=False, description="Make the selected partitions though they are fresh.")
    accept: str = Field(
        default="",
        description=(
            "Why an edit of the code changes no byte: partitions that are stale by their code alone then count as made "
            "by today's code and are not made again. Kept in the home; `geo-pipeline status` shows it."
        ),
    )
    inference_workers: int | None = Field(
        default=None, ge=1, description="Workers side by side for networks and decoding; the profile's number without."
    )
    training_workers: int | None = Field(
        default=None, ge=1, description="Workers of a training; they have to divide the lanes of its configuration."
    )
    gpus_per_worker: float | None = Field(default=None, ge=0, description="GPUs of each worker; the profile's without.")
    only: list[str] | None = Field(
        default=None, description="Partitions of the range that are wanted; all of them without."
    )
    record_unchanged: bool = Field(
        default=True,
        description="Log an event with the unchanged data version for a fresh partition; backfills and automation "
        "conditions wait for it.",
    )

    def compute(self, config: ComputeConfig) -> ComputeConfig:
        """The profile's use of machines, with what was chosen here."""
        chosen = {
            "actors": self.inference_workers,
            "cpu_actors": self.inference_workers,
            "train_workers": self.training_workers,
            "gpus_per_worker": self.gpus_per_worker,
        }
        return replace(config, **{name: value for name, value in chosen.items() if value is not None})  # type: ignore[arg-type]
