"""The assets `benchmark_scores` (per benchmark) and `benchmark_report` (Markdown and HTML)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.home.artifact import ALL, Artifact, report, table
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.assets.examples import example_inputs, report_examples
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, prediction
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.scoring.accuracy import Score, score_errors
from geo_pipeline.scoring.cell_hits import judged_cell_hits
from geo_pipeline.scoring.report_inputs import (
    BenchmarkLine,
    MethodLine,
    ReportContext,
    ReportInputs,
    judge,
)
from geo_pipeline.scoring.routing import oracle_errors, routing_accuracy
from geo_pipeline.scoring.run_options import RunOptions

TRUTH_COLUMNS = ("image_id", "author", "lat_deg", "lon_deg")
ORACLE = "oracle"
PARADIGM_WORD = {
    "guess": "guess",
    "cells": "retrieval",
    "retrieval": "retrieval",
    "generation": "generation",
    "router": "router",
}
REPORT = report("benchmark_report")


def scores_stage(
    methods: dict[str, Method], benchmarks: dict[str, Benchmark], profile: Profile, shards: Shards
) -> Stage:
    """The scores of every method on a benchmark."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        for key in keys:
            truth = true_places(step, shards.of(key))
            predictions = pa.concat_tables(
                [step.predictions(name, part) for part in shards.of(key) for name in methods]
            )
            scores, routing = score_benchmark(benchmarks[key], methods, predictions, truth, profile)
            yield Made(key, {"scores": scores, "routing_scores": routing}, notes={"images": truth.num_rows})

    return Stage(
        name="benchmark_scores",
        title="Scores",
        description=(
            "How often each method is within 1, 25, 200, 750 and 2500 km on each benchmark, with "
            "intervals; an image without an answer counts "
            "as wrong at every distance."
        ),
        group="reports",
        kinds=("parquet",),
        keys=shards.benchmarks,
        partitioned=True,
        inputs=lambda key: (
            *(table("catalogue", part) for part in shards.of(key)),
            *(prediction(method, part) for part in shards.of(key) for method in methods.values()),
        ),
        outputs=lambda key: (table("scores", key), table("routing_scores", key)),
        make=make,
        rooms=(
            "scoring.accuracy",
            "scoring.routing",
            "scoring.report_inputs",
            "orchestration.assets.reports",
            "earth.distance",
        ),
        settings=(profile.distance, [benchmarks[name] for name in shards.benchmarks], list(methods)),
    )


def score_benchmark(
    benchmark: Benchmark, methods: dict[str, Method], predictions: pa.Table, truth: pa.Table, profile: Profile
) -> tuple[pa.Table, pa.Table]:
    """The tables `scores` and `routing_scores` of one benchmark.

    Every row of `truth` counts; an image without a prediction is a failure.
    """
    judged = judge(benchmark.name, predictions, truth, profile.distance)
    errors = {name: judged.filter(pc.equal(judged["method"], name)).sort_by("image_id") for name in methods}
    unanswered = np.full(truth.num_rows, np.inf)
    km = {name: rows["error_km"].to_numpy() if rows.num_rows else unanswered for name, rows in errors.items()}
    retrieval, generation = km.get("retrieval", unanswered), km.get("generation", unanswered)
    scores = score_rows(benchmark, km | {ORACLE: oracle_errors(retrieval, generation)}, truth, profile)
    routed = []
    for name, method in methods.items():
        if method.paradigm == "router" and errors[name].num_rows:
            chose_generation = np.array([chosen == "generation" for chosen in errors[name]["chosen"].to_pylist()])
            for threshold, eligible, correct in routing_accuracy(
                retrieval, generation, chose_generation, benchmark.thresholds_km
            ):
                accuracy = correct / eligible if eligible else None
                routed.append(
                    {
                        "benchmark": benchmark.name,
                        "method": name,
                        "threshold_km": threshold,
                        "eligible": eligible,
                        "correct": correct,
                        "accuracy": accuracy,
                    }
                )
    return scores, pa.Table.from_pylist(routed, schema=load("routing_scores").arrow_schema)


def score_rows(
    benchmark: Benchmark, errors_km: Mapping[str, np.ndarray], truth: pa.Table, profile: Profile
) -> pa.Table:
    """The table `scores` of some methods, from their errors (N,) in km in the order of the truth's image_ids."""
    authors = truth.sort_by("image_id")["author"].to_pylist()
    rows = []
    for name, error_km in errors_km.items():
        score = score_errors(error_km, authors, benchmark.thresholds_km, profile.distance)
        rows += [_score_row(benchmark.name, name, score, threshold) for threshold in benchmark.thresholds_km]
    return pa.Table.from_pylist(rows, schema=load("scores").arrow_schema)


def _score_row(benchmark: str, method: str, score: Score, threshold: float) -> dict[str, object]:
    low, high = score.interval_95[threshold]
    return {
        "benchmark": benchmark,
        "method": method,
        "threshold_km": threshold,
        "distance": score.distance,
        "count": score.count,
        "failures": score.failures,
        "accuracy": score.accuracy[threshold],
        "low": low,
        "high": high,
        "median_km": score.median_km,
    }


def report_stage(
    methods: dict[str, Method], benchmarks: dict[str, Benchmark], profile: Profile, shards: Shards
) -> Stage:
    """The report."""
    curve_names = ("geosurge_checkpoint", *(method.checkpoint for method in methods.values() if method.checkpoint))

    def inputs(key: str) -> tuple[Artifact, ...]:
        return (
            table("census"),
            table("leakage"),
            table("coverage"),
            table("georouting"),
            *example_inputs(shards.benchmark_keys),
            *(table("catalogue", part) for part in shards.benchmark_keys),
            *(table("training_curves", name) for name in curve_names),
            *(table(name, benchmark) for benchmark in shards.benchmarks for name in ("scores", "routing_scores")),
            *(prediction(method, part) for part in shards.benchmark_keys for method in methods.values()),
        )

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.scoring.report import write_report

        paths = write_report(report_inputs(step, methods, benchmarks, profile, shards, curve_names), step.building())
        yield Made(ALL, notes={"figures": len(paths.figures)})

    return Stage(
        name="benchmark_report",
        title="Benchmark report",
        description=(
            "The report to read first: every method on every benchmark with intervals and figures, what "
            "routing brings, what data and networks these are, and what the benchmarks share with the training data."
        ),
        group="reports",
        kinds=("markdown", "html"),
        keys=(ALL,),
        partitioned=False,
        inputs=inputs,
        outputs=lambda key: (REPORT,),
        make=make,
        rooms=("scoring", "orchestration.assets.reports", "orchestration.assets.examples"),
        settings=(
            profile.statement,
            profile.name,
            profile.seed,
            [benchmarks[name] for name in shards.benchmarks],
            report_context(methods, benchmarks, profile),
        ),
    )


def report_context(methods: dict[str, Method], benchmarks: dict[str, Benchmark], profile: Profile) -> ReportContext:
    """What no table holds."""
    inference, geosurge = profile.inference, profile.geosurge
    partitions = len(profile.partition.tau_max)
    return ReportContext(
        profile=profile.name,
        seed=profile.seed,
        statement=profile.statement,
        methods=(*method_lines(methods), MethodLine(ORACLE, "Oracle (better of the two)", "oracle")),
        benchmarks=tuple(
            BenchmarkLine(each.name, each.title, each.published, each.notes)
            for each in map(benchmarks.__getitem__, profile.benchmarks)
        ),
        models=(
            ("Segmentation", profile.segmentation.model),
            ("Vision tower of GeoSURGE", profile.geosurge.vision.model),
            ("Generation and router", profile.lvlm.model),
        ),
        distance=profile.distance,
        crops=inference.crops,
        score_rule=inference.score,
        near_bits=inference.phash_bits,
        source=profile.source_words,
        options=RunOptions(
            candidates=inference.candidates,
            top_k=inference.top_k,
            cell_weight=inference.cell_weight,
            similarity_temperature=inference.similarity_temperature,
            author_km=inference.author_km,
            depth=geosurge.depth or partitions,
            partitions=partitions,
            fusion_blocks=geosurge.fusion.blocks,
            geography=geosurge.geography,
            loss=geosurge.training.loss,
            symmetric=geosurge.training.symmetric,
            uncovered=geosurge.training.uncovered,
            precision=geosurge.training.precision,
        ),
    )


def method_lines(methods: Mapping[str, Method]) -> tuple[MethodLine, ...]:
    """The methods as a report names them."""
    return tuple(
        MethodLine(method.name, method.title, PARADIGM_WORD[method.paradigm], method.baseline is not None)
        for method in methods.values()
    )


def report_inputs(
    step: Step,
    methods: dict[str, Method],
    benchmarks: dict[str, Benchmark],
    profile: Profile,
    shards: Shards,
    curve_names: Sequence[str],
) -> ReportInputs:
    """Every table of the report."""
    from geo_pipeline.scoring.published import published_rows

    judged = judged_answers(step, shards, lambda part: [prediction(method, part) for method in methods.values()])
    return ReportInputs(
        context=report_context(methods, benchmarks, profile),
        scores=pa.concat_tables([step.table("scores", name) for name in shards.benchmarks]),
        routing_scores=pa.concat_tables([step.table("routing_scores", name) for name in shards.benchmarks]),
        judged=judged,
        coverage=step.table("coverage"),
        census=step.table("census"),
        leakage=step.table("leakage"),
        georouting=step.table("georouting"),
        training_curves={name: step.table("training_curves", name) for name in curve_names},
        published={name: tuple(published_rows(name)) for name in shards.benchmarks if benchmarks[name].published},
        examples=report_examples(step, judged, profile, shards),
        cell_hits=judged_cell_hits(
            judged,
            Hierarchy.from_table(step.table("geocells")).partitions[-1].cell_ids,
            [name for name, method in methods.items() if method.paradigm == "cells"],
        ),
    )


def true_places(step: Step, keys: Sequence[str]) -> pa.Table:
    """image_id, author and place of all photographs of a benchmark, from its shards."""
    return pa.concat_tables([step.table("catalogue", key, TRUTH_COLUMNS) for key in keys])


def judged_answers(step: Step, shards: Shards, answers: Callable[[str], Iterable[Artifact]]) -> pa.Table:
    """The predictions of each benchmark beside the truth; `answers` are the artifacts of a shard's predictions."""
    parts = []
    for benchmark in shards.benchmarks:
        keys = shards.of(benchmark)
        rows = pa.concat_tables([step.table(each.name, each.key) for key in keys for each in answers(key)])
        parts.append(judge(benchmark, rows, true_places(step, keys), step.profile.distance))
    return pa.concat_tables(parts)
