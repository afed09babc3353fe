"""What the report on ablations and baselines is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from geo_pipeline.scoring.published import PublishedRow, ablation_rows
from geo_pipeline.scoring.report.ablations import variant_lines
from geo_pipeline.scoring.report.context import ReportContext


@dataclass(frozen=True)
class Budget:
    """What a training took: epochs that it ran, images of an epoch, learning rate, its factor per epoch, batch."""

    epochs: int
    images: int
    lr: float
    gamma: float
    batch: int

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> "Budget":
        """That of the training whose checkpoint has this card."""
        metrics, training = card["metrics"], card["config"]["training"]
        return cls(metrics["epochs"], metrics["train_images"], training["lr"], training["gamma"], training["batch"])

    @property
    def words(self) -> str:
        """All of it, for one cell of a table."""
        if not self.epochs:
            return "nothing is trained"
        seen = f"{self.epochs} × {self.images:,} = {self.epochs * self.images:,}"
        return f"{seen}; {self.lr:g} × {self.gamma:g} per epoch; {self.batch:,}"


@dataclass(frozen=True)
class ComparisonInputs:
    """The tables of the report on ablations and baselines.

    context: as in the main report. Its `methods` name GeoSURGE, the densest cell and every baseline that belongs in the
    report, scored or not: what is named and not scored is reported as missing. Variants of ablations need no line.
    scores: the table of that name, methods and variants (`ablations`) one below the other.
    judged: the table of that name, every method and variant that has scores.
    published: rows of papers per benchmark; only those of published benchmarks are shown.
    ablations: printed rows of Tables VI to VIII.
    budgets: what the training of GeoSURGE and of each baseline took, by method.
    """

    context: ReportContext
    scores: pl.DataFrame
    judged: pl.DataFrame
    published: Mapping[str, tuple[PublishedRow, ...]] = field(default_factory=dict)
    ablations: tuple[PublishedRow, ...] = field(default_factory=ablation_rows)
    budgets: Mapping[str, Budget] = field(default_factory=dict)

    def with_variants(self) -> "ComparisonInputs":
        """The same with the variants of ablations among the methods of the context."""
        named = {line.name for line in self.context.methods}
        more = tuple(line for line in variant_lines(self.context.crops) if line.name not in named)
        return replace(self, context=replace(self.context, methods=(*self.context.methods, *more)))
