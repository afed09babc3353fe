"""The assets `comparison_scores` and `comparison_report`, both on demand.

Every baseline with its naming idea and without, and every ablation of GeoSURGE, on every benchmark. What the report
says belongs to scoring.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.home.artifact import ALL, Artifact, report, table
from geo_pipeline.methods.method import Method
from geo_pipeline.methods.registry import everyday_methods
from geo_pipeline.orchestration.assets.ablations import ablation_predictions, variants
from geo_pipeline.orchestration.assets.reports import (
    judged_predictions,
    method_lines,
    report_context,
)
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, prediction
from geo_pipeline.profiles.profile import Profile

SCORES = "comparison_scores"
REPORT = report("comparison_report")
STANDARDS = ("densest_cell", "geosurge")
"""Methods that everything is compared with."""
Compared = Mapping[str, Callable[[str], Artifact]]


def comparison_stages(
    methods: dict[str, Method], benchmarks: dict[str, Benchmark], profile: Profile, shards: Shards
) -> tuple[Stage, ...]:
    """Scores and report; none where there is nothing to compare."""
    compared = _compared(methods, profile)
    if not compared:
        return ()
    return _scores(compared, benchmarks, profile, shards), _report(compared, methods, benchmarks, profile, shards)


def comparison_scores(benchmark: str) -> tuple[Artifact, Artifact]:
    """The artifacts of the scores and the judged predictions that only the comparison has."""
    key = f"comparison/{benchmark}"
    return table("scores", key), table("judged", key)


def _compared(methods: dict[str, Method], profile: Profile) -> Compared:
    """What is scored here, each with the artifact of its answers to a shard of a benchmark.

    Variants of GeoSURGE, and the baselines that `benchmark_scores` does not score already.
    """
    everyday = everyday_methods(methods, profile.everyday_baselines)
    others = {name: partial(prediction, method) for name, method in methods.items() if name not in everyday}
    return {name: partial(ablation_predictions, name) for name in variants(profile)} | others


def _scores(compared: Compared, benchmarks: dict[str, Benchmark], profile: Profile, shards: Shards) -> Stage:
    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.scoring.scores import score_benchmark

        for key in keys:
            judged = judged_predictions(step, key, shards, compared)
            scores = score_benchmark(benchmarks[key], judged, list(compared), profile.distance, oracle=False)
            yield Made(key, {"scores": scores, "judged": judged}, notes={"images": len(judged["image_id"].unique())})

    return Stage(
        name=SCORES,
        title="Scores of the comparison",
        description=(
            "How often every baseline, with the idea that names it and without, and every ablation of GeoSURGE is "
            "within 1, 25, 200, 750 and 2500 km on each benchmark."
        ),
        group="reports",
        kinds=("parquet",),
        keys=shards.benchmarks,
        partitioned=True,
        inputs=lambda key: (
            *(table("catalogue", part) for part in shards.of(key)),
            *(answers(part) for part in shards.of(key) for answers in compared.values()),
        ),
        outputs=comparison_scores,
        make=make,
        rooms=(
            "scoring.judged",
            "scoring.scores",
            "orchestration.assets.comparison",
            "orchestration.assets.reports",
        ),
        settings=(profile.distance, [benchmarks[name] for name in shards.benchmarks], list(compared)),
        on_demand=True,
    )


def _report(
    compared: Compared,
    methods: dict[str, Method],
    benchmarks: dict[str, Benchmark],
    profile: Profile,
    shards: Shards,
) -> Stage:
    shown = {name: method for name, method in methods.items() if name in STANDARDS or method.baseline is not None}
    scored_daily = [name for name in shown if name not in compared]
    context = replace(report_context(shown, benchmarks, profile), methods=method_lines(shown))

    def inputs(key: str) -> tuple[Artifact, ...]:
        daily = (table(name, benchmark) for name in ("scores", "judged") for benchmark in shards.benchmarks)
        return (*daily, *(artifact for name in shards.benchmarks for artifact in comparison_scores(name)))

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        import polars as pl

        from geo_pipeline.scoring.published import published_rows
        from geo_pipeline.scoring.report.comparison import write_comparison
        from geo_pipeline.scoring.report.comparison_inputs import ComparisonInputs

        def together(name: str) -> pl.DataFrame:
            daily = pa.concat_tables([step.table(name, key) for key in shards.benchmarks])
            others = [step.table(name, f"comparison/{key}") for key in shards.benchmarks]
            kept = pl.DataFrame(daily).filter(pl.col("method").is_in(scored_daily))
            return pl.concat([kept, pl.DataFrame(pa.concat_tables(others))])

        published = {name: tuple(published_rows(name)) for name in shards.benchmarks if benchmarks[name].published}
        inputs = ComparisonInputs(context, together("scores"), together("judged"), published)
        paths = write_comparison(inputs, step.building())
        yield Made(ALL, notes={"figures": len(paths.figures)})

    return Stage(
        name=REPORT.name,
        title="Comparison report",
        description=(
            "What every part of GeoSURGE and the idea of every earlier method bring: each with and without it on the "
            "same photographs, beside what the papers print (Tables VI to VIII). Made on demand."
        ),
        group="reports",
        kinds=("markdown", "html"),
        keys=(ALL,),
        partitioned=False,
        inputs=inputs,
        outputs=lambda key: (REPORT,),
        make=make,
        rooms=("scoring", "orchestration.assets.reports", "orchestration.assets.comparison"),
        settings=([benchmarks[name] for name in shards.benchmarks], list(compared), context),
        on_demand=True,
    )
