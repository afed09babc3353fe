"""The assets `comparison_scores` and `comparison_report`, made when they are asked for.

Every baseline with its naming idea and without, and every ablation of GeoSURGE, on every benchmark. What the report
says belongs to scoring.report.comparison.
"""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from geo_pipeline.home.artifact import table
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.assets.ablations import nothing
from geo_pipeline.orchestration.assets.ablations import variants as ablations
from geo_pipeline.orchestration.assets.baselines import variants as baselines
from geo_pipeline.orchestration.assets.report import method_lines, report_context
from geo_pipeline.orchestration.assets.scores import judged_answers, scored_methods
from geo_pipeline.orchestration.partitions import Scope, benchmarks, every, shards_of_benchmark, variant_key, whole
from geo_pipeline.orchestration.recipe import Reads, asset, report_folder
from geo_pipeline.orchestration.work import Work
from geo_pipeline.training.folder import CARD

if TYPE_CHECKING:
    from geo_pipeline.scoring.report.comparison_inputs import Budget

STANDARDS = ("densest_cell", "geosurge")
"""Methods that everything is compared with."""


def scored_here(scope: Scope) -> list[str]:
    """Variants of GeoSURGE, and the baselines that `benchmark_scores` does not score already."""
    return [*ablations(scope), *(name for name in scope.methods if name not in scored_methods(scope))]


def shown(scope: Scope) -> dict[str, Method]:
    """The methods of the comparison, ablations aside."""
    return {name: each for name, each in scope.methods.items() if name in STANDARDS or each.baseline is not None}


def anything_to_compare(scope: Scope) -> bool:
    """Whether there is a variant that only the comparison scores."""
    return bool(scored_here(scope))


def catalogue_and_answers(scope: Scope) -> Reads:
    """The truth of a benchmark, and every compared variant's answers to its shards."""
    here = set(scored_here(scope))
    reads: dict[str, object] = {"catalogue": shards_of_benchmark}
    for asset_name, names in (
        ("geosurge_ablation_predictions", ablations(scope)),
        ("baseline_predictions", baselines(scope)),
    ):
        mine = [name for name in names if name in here]
        if mine:
            reads[asset_name] = lambda scope, key, mine=tuple(mine): tuple(
                variant_key(name, shard) for shard in scope.shards.of(key) for name in mine
            )
    return reads  # type: ignore[return-value]


@asset(
    title="Scores of the comparison",
    partitions=benchmarks,
    everyday=nothing,
    exists=anything_to_compare,
    reads=catalogue_and_answers,
    writes=lambda key: (table("scores", f"comparison/{key}"), table("judged", f"comparison/{key}")),
    settings=lambda scope: (
        scope.profile.distance,
        [scope.benchmarks[name] for name in scope.shards.benchmarks],
        scored_here(scope),
    ),
    group_name="reports",
    kinds={"parquet"},
)
def comparison_scores(work: Work) -> None:
    """How often every baseline, with the idea that names it and without, and every ablation of GeoSURGE is within 1,
    25, 200, 750 and 2500 km on each benchmark.
    """
    from geo_pipeline.scoring.scores import score_benchmark

    names = scored_here(work.scope)
    for key in work.keys:
        judged = judged_answers(work, key, names)
        scores = score_benchmark(work.scope.benchmarks[key], judged, names, work.profile.distance, oracle=False)
        work.write(key, {"images": len(judged["image_id"].unique())}, scores=scores, judged=judged)


def scores_and_trainings(scope: Scope) -> Reads:
    """Every score, and the checkpoints whose cards say how they were trained."""
    names = [
        f"{asset}.{table}" for asset in ("benchmark_scores", "comparison_scores") for table in ("scores", "judged")
    ]
    trained = {"baseline_checkpoints": every(baselines)} if baselines(scope) else {}
    return {**dict.fromkeys(names, every(benchmarks)), "geosurge_checkpoint": whole, **trained}


@asset(
    title="Comparison report",
    everyday=nothing,
    exists=anything_to_compare,
    reads=scores_and_trainings,
    writes=report_folder("comparison_report"),
    settings=lambda scope: (
        [scope.benchmarks[name] for name in scope.shards.benchmarks],
        scored_here(scope),
        report_context(scope, shown(scope)),
    ),
    group_name="reports",
    kinds={"markdown", "html"},
)
def comparison_report(work: Work) -> None:
    """What every part of GeoSURGE and the idea of every earlier method bring: each with and without it on the same
    photographs, beside what the papers print (Tables VI to VIII). Made when it is asked for.
    """
    import polars as pl

    from geo_pipeline.scoring.published import published_rows
    from geo_pipeline.scoring.report.comparison import write_comparison
    from geo_pipeline.scoring.report.comparison_inputs import ComparisonInputs

    scope, names, methods = work.scope, work.shards.benchmarks, shown(work.scope)
    daily = [name for name in methods if name not in scored_here(scope)]

    def together(table_name: str) -> pl.DataFrame:
        kept = pl.DataFrame(work.read_all(table_name, names)).filter(pl.col("method").is_in(daily))
        return pl.concat([kept, pl.DataFrame(work.read_all(table_name, [f"comparison/{name}" for name in names]))])

    context = replace(report_context(scope, methods), methods=method_lines(methods))
    published = {name: tuple(published_rows(name)) for name in names if scope.benchmarks[name].published}
    inputs = ComparisonInputs(context, together("scores"), together("judged"), published, budgets=budgets(work))
    work.write(notes={"figures": len(write_comparison(inputs, work.folder()).figures)})


def budgets(work: Work) -> "dict[str, Budget]":
    """What the trainings of GeoSURGE and of every baseline took, as their cards say."""
    from geo_pipeline.scoring.report.comparison_inputs import Budget

    names = {"geosurge": "geosurge_checkpoint", **{name: f"{name}_checkpoint" for name in baselines(work.scope)}}
    cards = {name: work.checkpoint(folder) / CARD for name, folder in names.items()}
    return {name: Budget.of_card(json.loads(card.read_text(encoding="utf-8"))) for name, card in cards.items()}
