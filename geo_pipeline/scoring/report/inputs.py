"""What a report is made of: tables by name, and the words that say what they are.

Holds the frozen inputs alone. Which numbers are shown, and how, belongs in `benchmark`; how they are computed belongs
in `scoring.judged` and `scoring.scores`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from geo_pipeline.scoring.examples import Example
from geo_pipeline.scoring.published import PublishedRow
from geo_pipeline.scoring.report.context import ReportContext

if TYPE_CHECKING:
    from geo_pipeline.scoring.cell_hits import CellHits


class ReportError(ValueError):
    """The inputs do not make a report; the message says what was found, what was expected and what to do next."""


@dataclass(frozen=True)
class ReportInputs:
    """The tables of one report.

    scores, routing_scores: the tables of those names, all benchmarks one below the other.
    judged: the table of that name, all benchmarks one below the other.
    georouting: the table of that name, or None when no router was trained.
    training_curves: the table of that name per checkpoint.
    coverage: the table of that name.
    census, leakage: the tables of those names.
    published: rows of papers per benchmark; only those of published benchmarks are shown.
    examples: successes and failures for a page of their own (`examples`); without any there is no such page.
    cell_hits: how the methods that name cells meet those of the finest partition, by benchmark and method.
    """

    context: ReportContext
    scores: pl.DataFrame
    routing_scores: pl.DataFrame
    judged: pl.DataFrame
    coverage: pl.DataFrame
    census: pl.DataFrame
    leakage: pl.DataFrame
    georouting: pl.DataFrame | None = None
    training_curves: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    published: Mapping[str, tuple[PublishedRow, ...]] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    cell_hits: Mapping[tuple[str, str], "CellHits"] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportPaths:
    """Where a report lies: `report.md`, the self-contained `index.html`, and the figures that the Markdown shows.

    examples: the self-contained `examples.html` where there are examples, with `examples.md` beside it; its figures are
    among `figures`.
    """

    markdown: Path
    html: Path
    figures: tuple[Path, ...]
    examples: Path | None = None
