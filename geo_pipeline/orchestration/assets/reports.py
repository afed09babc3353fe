"""The assets `benchmark_scores` (per benchmark) and `benchmark_report` (Markdown and HTML)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.home.artifact import ALL, Artifact, manifest, report, table
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, prediction
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.scoring.report.context import BenchmarkLine, MethodLine, ReportContext
from geo_pipeline.scoring.report.run_options import RunOptions
from geo_pipeline.scoring.routing import ORACLE

if TYPE_CHECKING:
    import polars as pl

    from geo_pipeline.scoring.examples import Example
    from geo_pipeline.scoring.report.inputs import ReportInputs

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
    answers = {name: partial(prediction, method) for name, method in methods.items()}
    routers = [name for name, method in methods.items() if method.paradigm == "router"]

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.scoring.scores import score_benchmark, score_routers

        for key in keys:
            judged = judged_predictions(step, key, shards, answers)
            tables = {
                "scores": score_benchmark(benchmarks[key], judged, list(methods), profile.distance),
                "routing_scores": score_routers(benchmarks[key], judged, routers),
                "judged": judged,
            }
            yield Made(key, tables, notes={"images": len(judged["image_id"].unique())})

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
        outputs=lambda key: (table("scores", key), table("routing_scores", key), table("judged", key)),
        make=make,
        rooms=(
            "scoring.judged",
            "scoring.scores",
            "orchestration.assets.reports",
        ),
        settings=(profile.distance, [benchmarks[name] for name in shards.benchmarks], list(methods)),
    )


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
            table("geocells"),
            manifest("image_manifest"),
            manifest("segmentation_manifest"),
            *(table(name, part) for part in shards.benchmark_keys for name in ("images", "segmentations")),
            *(table("training_curves", name) for name in curve_names),
            *(
                table(name, benchmark)
                for benchmark in shards.benchmarks
                for name in ("scores", "routing_scores", "judged")
            ),
        )

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.scoring.report.pages import write_report

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
        rooms=("scoring", "orchestration.assets.reports"),
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
) -> "ReportInputs":
    """Every table of the report."""
    import polars as pl

    from geo_pipeline.scoring.published import published_rows
    from geo_pipeline.scoring.report.inputs import ReportInputs

    def together(name: str) -> pl.DataFrame:
        return pl.DataFrame(pa.concat_tables([step.table(name, each) for each in shards.benchmarks]))

    judged = together("judged")
    return ReportInputs(
        context=report_context(methods, benchmarks, profile),
        scores=together("scores"),
        routing_scores=together("routing_scores"),
        judged=judged,
        coverage=pl.DataFrame(step.table("coverage")),
        census=pl.DataFrame(step.table("census")),
        leakage=pl.DataFrame(step.table("leakage")),
        georouting=pl.DataFrame(step.table("georouting")),
        training_curves={name: pl.DataFrame(step.table("training_curves", name)) for name in curve_names},
        published={name: tuple(published_rows(name)) for name in shards.benchmarks if benchmarks[name].published},
        examples=examples(step, judged, profile, shards),
    )


def examples(step: Step, judged: "pl.DataFrame", profile: Profile, shards: Shards) -> "tuple[Example, ...]":
    """Successes and failures of every benchmark, with what they are shown with."""
    from geo_pipeline.earth.hierarchy import Hierarchy
    from geo_pipeline.scoring.example_photographs import ShardFiles, report_examples

    def files(key: str) -> ShardFiles:
        return ShardFiles(step.path("images", key), step.path("segmentations", key))

    step.listed("segmentation_manifest", "segmentations")
    references = [files(key) for key in step.listed("image_manifest", "images")]
    queries = {name: [files(key) for key in shards.of(name)] for name in shards.benchmarks}
    hierarchy = Hierarchy.from_table(step.table("geocells"))
    return report_examples(judged, hierarchy, references, queries, profile.distance)


def judged_predictions(
    step: Step, benchmark: str, shards: Shards, answers: Mapping[str, Callable[[str], Artifact]]
) -> pa.Table:
    """The table `judged` of one benchmark; `answers` gives, by method, the predictions of a shard."""
    from geo_pipeline.scoring.judged import TRUTH_COLUMNS, judge

    keys = shards.of(benchmark)
    truth = pa.concat_tables([step.table("catalogue", key, TRUTH_COLUMNS) for key in keys])
    given = [step.table("predictions", artifact_of(key).key) for key in keys for artifact_of in answers.values()]
    return judge(benchmark, pa.concat_tables(given), truth, answers, step.profile.distance)
