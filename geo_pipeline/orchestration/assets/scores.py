"""The asset `benchmark_scores`. Errors belong to scoring.judged, accuracies and intervals to scoring.scores."""

import pyarrow as pa

from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.partitions import Scope, benchmarks, shards_of_benchmark, variant_key
from geo_pipeline.orchestration.recipe import Reads, asset, tables
from geo_pipeline.orchestration.work import Work


def scored_methods(scope: Scope) -> dict[str, Method]:
    """The methods that a plain run computes: all but the baselines, and those that `--baselines` names."""
    chosen = scope.profile.everyday_baselines
    return {name: each for name, each in scope.methods.items() if each.baseline is None or each.baseline in chosen}


def catalogue_and_answers(scope: Scope) -> Reads:
    """The truth of a benchmark, and every method's answers to its shards."""
    reads: dict[str, object] = {"catalogue": shards_of_benchmark}
    trained = [name for name, method in scored_methods(scope).items() if method.baseline is not None]
    for method in scored_methods(scope).values():
        reads[method.asset] = shards_of_benchmark
    if trained:
        reads["baseline_predictions"] = lambda scope, key: tuple(
            variant_key(name, shard) for shard in scope.shards.of(key) for name in trained
        )
    return reads  # type: ignore[return-value]


@asset(
    title="Scores",
    partitions=benchmarks,
    reads=catalogue_and_answers,
    writes=tables("scores", "routing_scores", "judged"),
    settings=lambda scope: (
        scope.profile.distance,
        [scope.benchmarks[name] for name in scope.shards.benchmarks],
        list(scored_methods(scope)),
    ),
    group_name="reports",
    kinds={"parquet"},
    weekly=True,
)
def benchmark_scores(work: Work) -> None:
    """How often each method is within 1, 25, 200, 750 and 2500 km on each benchmark, with intervals; an image without
    an answer counts as wrong at every distance.
    """
    from geo_pipeline.scoring.scores import score_benchmark, score_routers

    methods = scored_methods(work.scope)
    routers = [name for name, method in methods.items() if method.kind == "router"]
    for key in work.keys:
        benchmark = work.scope.benchmarks[key]
        judged = judged_answers(work, key, list(methods))
        work.write(
            key,
            {"images": len(judged["image_id"].unique())},
            scores=score_benchmark(benchmark, judged, list(methods), work.profile.distance),
            routing_scores=score_routers(benchmark, judged, routers),
            judged=judged,
        )


def judged_answers(work: Work, benchmark: str, methods: list[str]) -> pa.Table:
    """The table `judged` of one benchmark, from every predictions table that the key reads."""
    from geo_pipeline.scoring.judged import TRUTH_COLUMNS, judge

    truth = work.read_all("catalogue", work.shards.of(benchmark), TRUTH_COLUMNS)
    answers = [artifact.key for artifact in work.inputs_of(benchmark, "predictions")]
    return judge(benchmark, work.read_all("predictions", answers), truth, methods, work.profile.distance)
