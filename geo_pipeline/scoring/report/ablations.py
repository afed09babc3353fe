"""The ablations of GeoSURGE (Tables VI to VIII, and crops): their variants, what the paper prints, what is found here.

A variant is a method of its own in the tables `scores` and judged predictions; the full model is the method `geosurge`.
Tables and words belong in `comparison_tables` and `comparison`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from geo_pipeline.scoring.accuracy import paired_by_threshold
from geo_pipeline.scoring.published import PublishedRow
from geo_pipeline.scoring.report.context import MethodLine
from geo_pipeline.scoring.report.numbers import Scored, method_scores, paired_errors, thresholds

FULL = "geosurge"
Verdict = Literal["holds", "opposite", "not distinguishable", "no change printed"]


@dataclass(frozen=True)
class Ablation:
    """One table of the paper, or one that it has not (`table` is empty, and nothing printed stands beside ours).

    column: what the variants differ in, as the paper's first column is named. variants: (method, label) in the paper's
    order. reference: the method that the others are compared with; `full_first`: the full model is compared with each
    of the others instead. printed_gains: the paper prints points over the reference, not accuracies.
    """

    anchor: str
    table: str
    title: str
    column: str
    about: str
    variants: tuple[tuple[str, str], ...]
    reference: str
    full_first: bool
    printed_gains: bool = False

    @property
    def source(self) -> str:
        """Paper and table, as published rows name them."""
        return f"GeoSURGE, {self.table}" if self.table else ""

    @property
    def heading(self) -> str:
        """The title, with the paper's table where there is one."""
        return f"{self.title} ({self.table})" if self.table else self.title

    @property
    def labels(self) -> Mapping[str, str]:
        """What the paper calls each variant, by method."""
        return dict(self.variants)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(first, second): the paper's claim is that the first is better."""
        others = [method for method, _ in self.variants if method != self.reference]
        return tuple((self.reference, other) if self.full_first else (other, self.reference) for other in others)


ABLATIONS = (
    Ablation(
        "geography",
        "Table VI",
        "Geographic embeddings or a classifier head",
        "Geographic embeddings?",
        "The full model matches an image with a learned vector per geocell. The variant has a classifier head per "
        "partition instead and learns no such vectors; everything else is the same.",
        ((FULL, "Yes"), ("classifier", "No")),
        reference=FULL,
        full_first=True,
    ),
    Ablation(
        "depth",
        "Table VII",
        "Depth of the hierarchy",
        "Hierarchy levels",
        "The same model, trained and used with fewer partitions. The paper does not list which; a shallower hierarchy "
        "keeps the finest ones here, unless the options below say otherwise: with the coarsest alone no answer could "
        "be as near as the paper prints.",
        ((FULL, "7"), ("depth_5", "5"), ("depth_3", "3"), ("depth_1", "1")),
        reference=FULL,
        full_first=True,
    ),
    Ablation(
        "fusion",
        "Table VIII",
        "Blocks of semantic fusion",
        "Fusion blocks",
        "The same model with fewer blocks that fuse the segmentation map into the image's tokens; with 0 blocks no map "
        "is read. The paper prints only what each depth gains over 0 blocks, in points.",
        ((FULL, "3"), ("fusion_2", "2"), ("fusion_1", "1"), ("fusion_0", "0")),
        reference="fusion_0",
        full_first=False,
        printed_gains=True,
    ),
)


def ablations_of(crops: str) -> tuple[Ablation, ...]:
    """Those of the paper, and the crops of a run whose full model is asked with `crops`."""
    ten = crops == "ten"
    about = (
        "The same weights, asked once with the ten crops of a photograph (four corners and the centre, each mirrored "
        f"as well) and once with its centre alone; this run takes {'the ten' if ten else 'the centre'}. The paper "
        "takes ten and compares nothing with them."
    )
    labels = ("ten", "centre") if ten else ("centre", "ten")
    variants = tuple(zip((FULL, "other_crops"), labels, strict=True))
    title = "Crops at inference (section III-D)"
    return (*ABLATIONS, Ablation("crops", "", title, "Crops", about, variants, reference=FULL, full_first=True))


def variant_lines(crops: str) -> tuple[MethodLine, ...]:
    """Every variant as the reports name it."""
    return tuple(
        MethodLine(name, f"{ablation.column} {label}", "retrieval")
        for ablation in ablations_of(crops)
        for name, label in ablation.variants
        if name != FULL
    )


@dataclass(frozen=True)
class Direction:
    """One printed difference and ours beside it, at one threshold; ours in fractions with a paired 95 % interval."""

    first: str
    second: str
    threshold_km: float
    published: Decimal
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether ours points where the printed one does; not where its interval includes 0."""
        if self.published == 0:
            return "no change printed"
        if self.low <= 0 <= self.high:
            return "not distinguishable"
        return "holds" if (self.difference > 0) == (self.published > 0) else "opposite"


def printed_rows(ablation: Ablation, rows: Sequence[PublishedRow]) -> dict[str, PublishedRow]:
    """The paper's rows of one ablation by our name of the variant."""
    return {row.ours: row for row in rows if row.source == ablation.source}


def printed_differences(
    ablation: Ablation, rows: Sequence[PublishedRow]
) -> dict[tuple[str, str], dict[float, Decimal]]:
    """What the paper prints for each pair, in points: gains as printed, else differences of the printed accuracies."""
    printed = printed_rows(ablation, rows)
    found = {}
    for first, second in ablation.pairs:
        if ablation.printed_gains and first in printed:
            found[first, second] = {k: Decimal(text) for k, text in printed[first].printed.items()}
        elif first in printed and second in printed:
            one, other = printed[first].printed, printed[second].printed
            found[first, second] = {k: Decimal(one[k]) - Decimal(other[k]) for k in one if k in other}
    return found


def our_differences(
    inputs: Scored, ablation: Ablation, benchmark: str
) -> dict[tuple[str, str], dict[float, tuple[float, float, float]]]:
    """(difference, low, high) at each threshold for the pairs that were both scored, paired by image."""
    scored, limits = method_scores(inputs, benchmark), thresholds(inputs)
    found = {}
    for first, second in ablation.pairs:
        if first in scored and second in scored:
            mine, other, authors = paired_errors(inputs, benchmark, first, second)
            found[first, second] = paired_by_threshold(mine, other, authors, limits)
    return found


def directions(inputs: Scored, ablation: Ablation, benchmark: str, rows: Sequence[PublishedRow]) -> list[Direction]:
    """Every printed difference that this benchmark can be compared with, in the paper's order."""
    printed = printed_differences(ablation, rows)
    found = []
    for pair, ours in our_differences(inputs, ablation, benchmark).items():
        for limit, (difference, low, high) in ours.items():
            if limit in printed.get(pair, {}):
                found.append(Direction(*pair, limit, printed[pair][limit], difference, low, high))
    return found
