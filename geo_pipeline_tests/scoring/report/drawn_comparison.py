"""Inputs of the report on ablations and baselines, drawn from a seed."""

from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa

from geo_pipeline.scoring.judged import judge
from geo_pipeline.scoring.published import published_rows
from geo_pipeline.scoring.report.comparison_inputs import Budget, ComparisonInputs
from geo_pipeline.scoring.report.context import BenchmarkLine, MethodLine
from geo_pipeline.scoring.twins import WITHOUT_IDEA
from geo_pipeline_tests.scoring.report.drawn_report import CONTEXT, drawn_scores

BASELINES = (("lknn", "[L]kNN"), ("planet_net", "PlaNet"), ("isns", "ISNs"), ("pigeon", "PIGEON"))
LINES = (
    MethodLine("densest_cell", "Densest cell", "guess"),
    MethodLine("geosurge", "GeoSURGE", "retrieval"),
    *(
        MethodLine(name + end, title + words, "retrieval", baseline=True)
        for name, title in BASELINES
        for end, words in (("", ""), (WITHOUT_IDEA, ", without its idea"))
    ),
)
# How well each answers: the share of images answered near the true place. ISNs without their idea and one block of
# fusion are left out, as if they had not been run yet.
SKILL = {
    "densest_cell": 0.02,
    "geosurge": 0.8,
    "classifier": 0.45,
    "depth_5": 0.75,
    "depth_3": 0.9,
    "depth_1": 0.2,
    "fusion_2": 0.78,
    "fusion_0": 0.35,
    "lknn": 0.5,
    "lknn_without_idea": 0.25,
    "planet_net": 0.4,
    "planet_net_without_idea": 0.65,
    "isns": 0.5,
    "pigeon": 0.6,
    "pigeon_without_idea": 0.58,
    "other_crops": 0.82,
}
BUDGETS = {
    "geosurge": Budget(12, 2000, 1e-3, 0.85, 128),
    "lknn": Budget(4, 2000, 2e-3, 0.7, 128),
    "lknn_without_idea": Budget(0, 2000, 2e-3, 0.7, 128),
}


def drawn_comparison(images: int = 120, seed: int = 5, published: bool = False) -> ComparisonInputs:
    """Two benchmarks of a drawn planet; `published`: the first is named as IM2GPS3k instead, with its printed rows."""
    rng = np.random.default_rng(seed)
    lines = list(CONTEXT.benchmarks)
    if published:
        lines[0] = BenchmarkLine("im2gps3k", "IM2GPS3k", published=True)
    parts = []
    for line in lines:
        lat, lon = rng.uniform(-60, 60, images), rng.uniform(-180, 180, images)
        truth = pa.table(
            {
                "image_id": [f"{line.name}-{n:05d}" for n in range(images)],
                "author": [f"author-{n % 31}" for n in range(images)],
                "lat_deg": lat,
                "lon_deg": lon,
            }
        )
        luck, near, far = rng.random(images), rng.exponential(0.15, images), rng.exponential(15.0, images)
        for name, skill in SKILL.items():
            own = np.where(rng.random(images) < 0.15, rng.random(images), luck)
            degrees = np.where(own < skill, near * (2 - skill), far)
            moved = np.clip(lat + np.where(lat > 0, -degrees, degrees), -90, 90)
            predictions = pa.table(
                {
                    "image_id": truth["image_id"],
                    "method": [name] * images,
                    "lat_deg": moved,
                    "lon_deg": lon,
                    "failure": pa.nulls(images, pa.string()),
                    "chosen": pa.nulls(images, pa.string()),
                    "score": pa.nulls(images, pa.float64()),
                }
            )
            parts.append(judge(line.name, predictions, truth, [name]))
    judged = pl.DataFrame(pa.concat_tables(parts))
    context = replace(CONTEXT, methods=LINES, benchmarks=tuple(lines))
    rows = {line.name: tuple(published_rows(line.name)) for line in lines if line.published}
    return ComparisonInputs(context, drawn_scores(judged), judged, rows, budgets=BUDGETS)
