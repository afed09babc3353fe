"""What the report on ablations and baselines is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from geo_pipeline.scoring.published import PublishedRow, ablation_rows
from geo_pipeline.scoring.report.ablations import variant_lines
from geo_pipeline.scoring.report.context import ReportContext


@dataclass(frozen=True)
class ComparisonInputs:
    """The tables of the report on ablations and baselines.

    context: as in the main report. Its `methods` name GeoSURGE, the densest cell and every baseline that belongs in the
    report, scored or not: what is named and not scored is reported as missing. Variants of ablations need no line.
    scores: the table of that name, methods and variants (`ablations`) one below the other.
    judged: the table of that name, every method and variant that has scores.
    published: rows of papers per benchmark; only those of published benchmarks are shown.
    ablations: printed rows of Tables VI to VIII.
    """

    context: ReportContext
    scores: pl.DataFrame
    judged: pl.DataFrame
    published: Mapping[str, tuple[PublishedRow, ...]] = field(default_factory=dict)
    ablations: tuple[PublishedRow, ...] = field(default_factory=ablation_rows)

    def with_variants(self) -> "ComparisonInputs":
        """The same with the variants of ablations among the methods of the context."""
        named = {line.name for line in self.context.methods}
        more = tuple(line for line in variant_lines(self.context.crops) if line.name not in named)
        return replace(self, context=replace(self.context, methods=(*self.context.methods, *more)))
