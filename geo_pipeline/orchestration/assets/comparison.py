"""The assets `comparison_scores` and `comparison_report`, both on demand.

Every baseline with its naming idea and without, and every ablation of GeoSURGE, on every benchmark. What the report
says belongs to scoring.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.home.artifact import ALL, Artifact, report, table
from geo_pipeline.methods.method import Method
from geo_pipeline.methods.registry import everyday_methods
from geo_pipeline.orchestration.assets.ablations import ablation_predictions, variants
from geo_pipeline.orchestration.assets.reports import (
    judged_answers,
    method_lines,
    report_context,
    score_rows,
    true_places,
)
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, prediction
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.scoring.report.inputs import judge

SCORES = "comparison_scores"
REPORT = report("comparison_report")
STANDARDS = ("densest_cell", "geosurge")
"""Methods that everything is compared with."""


@dataclass(frozen=True)
class Compared:
    """A method or a variant, and the artifact of its answers to a shard of a benchmark."""

    name: str
    answers: Callable[[str], Artifact]


def comparison_stages(
    methods: dict[str, Method], benchmarks: dict[str, Benchmark], profile: Profile, shards: Shards
) -> tuple[Stage, ...]:
    """Scores and report; none where there is nothing to compare."""
    compared = _compared(methods, profile)
    if not compared:
        return ()
    return _scores(compared, benchmarks, profile, shards), _report(compared, methods, benchmarks, profile, shards)


def comparison_scores(benchmark: str) -> Artifact:
    """The artifact of the scores that only the comparison has."""
    return table("scores", f"comparison/{benchmark}")


def _compared(methods: dict[str, Method], profile: Profile) -> list[Compared]:
    """What is scored here: variants of GeoSURGE, and the baselines that `benchmark_scores` does not score already."""
    everyday = everyday_methods(methods, profile.everyday_baselines)
    others = [method for name, method in methods.items() if name not in everyday]
    return [
        *(Compared(name, partial(ablation_predictions, name)) for name in variants(profile)),
        *(Compared(method.name, partial(prediction, method)) for method in others),
    ]


def _scores(compared: Sequence[Compared], benchmarks: dict[str, Benchmark], profile: Profile, shards: Shards) -> Stage:
    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        for key in keys:
            parts = shards.of(key)
            truth = true_places(step, parts)
            answers = pa.concat_tables(
                [step.table("predictions", each.answers(part).key) for part in parts for each in compared]
            )
            judged = judge(key, answers, truth, profile.distance)
            errors_km = {each.name: _errors(judged, each.name, truth.num_rows) for each in compared}
            rows = score_rows(benchmarks[key], errors_km, truth, profile)
            yield Made(key, {"scores": rows}, notes={"images": truth.num_rows})

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
            *(each.answers(part) for part in shards.of(key) for each in compared),
        ),
        outputs=lambda key: (comparison_scores(key),),
        make=make,
        rooms=(
            "scoring.accuracy",
            "scoring.report.inputs",
            "orchestration.assets.comparison",
            "orchestration.assets.reports",
            "earth.distance",
        ),
        settings=(profile.distance, [benchmarks[name] for name in shards.benchmarks], [each.name for each in compared]),
        on_demand=True,
    )


def _report(
    compared: Sequence[Compared],
    methods: dict[str, Method],
    benchmarks: dict[str, Benchmark],
    profile: Profile,
    shards: Shards,
) -> Stage:
    shown = {name: method for name, method in methods.items() if name in STANDARDS or method.baseline is not None}
    scored_daily = [name for name in shown if name not in {each.name for each in compared}]
    context = replace(report_context(shown, benchmarks, profile), methods=method_lines(shown))

    def answers(part: str) -> tuple[Artifact, ...]:
        daily = (prediction(methods[name], part) for name in scored_daily)
        return (*daily, *(each.answers(part) for each in compared))

    def inputs(key: str) -> tuple[Artifact, ...]:
        scores = ((table("scores", name), comparison_scores(name)) for name in shards.benchmarks)
        parts = ((table("catalogue", part), *answers(part)) for part in shards.benchmark_keys)
        return tuple(artifact for each in (*scores, *parts) for artifact in each)

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.scoring.published import published_rows
        from geo_pipeline.scoring.report.comparison import write_comparison
        from geo_pipeline.scoring.report.comparison_inputs import ComparisonInputs

        daily = pa.concat_tables([step.table("scores", name) for name in shards.benchmarks])
        kept = daily.filter(pc.is_in(daily["method"], pa.array(scored_daily, pa.string())))
        others = [step.table("scores", comparison_scores(name).key) for name in shards.benchmarks]
        judged = judged_answers(step, shards, answers)
        published = {name: tuple(published_rows(name)) for name in shards.benchmarks if benchmarks[name].published}
        inputs = ComparisonInputs(context, pa.concat_tables([kept, *others]), judged, published)
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
        settings=([benchmarks[name] for name in shards.benchmarks], [each.name for each in compared], context),
        on_demand=True,
    )


def _errors(judged: pa.Table, name: str, count: int) -> np.ndarray:
    """Errors (N,) in km in the order of the images' ids; infinite where there is no answer at all."""
    rows = judged.filter(pc.equal(judged["method"], name)).sort_by("image_id")
    found: np.ndarray = rows["error_km"].to_numpy() if rows.num_rows else np.full(count, np.inf)
    return found
