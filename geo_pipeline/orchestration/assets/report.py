"""The asset `benchmark_report`. Its words, tables and figures belong to scoring.report."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.assets.scores import scored_methods
from geo_pipeline.orchestration.partitions import Scope, benchmark_shards, benchmarks, every, whole
from geo_pipeline.orchestration.recipe import Reads, asset, report_folder
from geo_pipeline.orchestration.work import Work
from geo_pipeline.profiles.settings import decides_bytes, written
from geo_pipeline.scoring.report.context import BenchmarkLine, MethodLine, ReportContext
from geo_pipeline.scoring.report.run_options import RunOptions
from geo_pipeline.scoring.routing import ORACLE

if TYPE_CHECKING:
    import polars as pl

    from geo_pipeline.earth.hierarchy import Hierarchy
    from geo_pipeline.scoring.examples import Example
    from geo_pipeline.scoring.report.inputs import ReportInputs

PARADIGM_WORD = {
    "guess": "guess",
    "cells": "retrieval",
    "retrieval": "retrieval",
    "generation": "generation",
    "router": "router",
}


def checkpoints(scope: Scope) -> dict[str, tuple[str, str]]:
    """The trainings that a report shows: by the name of their curves, the asset and its key."""
    found = {"geosurge_checkpoint": ("geosurge_checkpoint", "all")}
    for name, method in scored_methods(scope).items():
        if method.checkpoint:
            owner = ("baseline_checkpoints", name) if method.baseline else (method.checkpoint, "all")
            found[method.checkpoint] = owner
    return found


def cell_methods(scope: Scope) -> list[str]:
    """The scored methods that answer with the cell they think likeliest."""
    return [name for name, method in scored_methods(scope).items() if method.kind == "cells"]


def everything_shown(scope: Scope) -> Reads:
    """The tables of the report, and the photographs of its examples."""
    trainings = list(checkpoints(scope).values())
    curves = {
        f"{asset}.training_curves": lambda scope, key, asset=asset: tuple(k for a, k in trainings if a == asset)
        for asset, _ in trainings
    }
    scores = {f"benchmark_scores.{table}": every(benchmarks) for table in ("scores", "routing_scores", "judged")}
    pictures = {name: every(benchmark_shards) for name in ("images", "segmentations")}
    unpartitioned = ("census", "census.leakage", "geocells", "geocells.coverage", "georouting_table")
    lists = ("image_manifest", "segmentation_manifest")
    return {**dict.fromkeys((*unpartitioned, *lists), whole), **pictures, **curves, **scores}


@asset(
    title="Benchmark report",
    reads=everything_shown,
    writes=report_folder("benchmark_report"),
    settings=lambda scope: (
        scope.profile.statement,
        scope.profile.name,
        scope.profile.seed,
        [scope.benchmarks[name] for name in scope.shards.benchmarks],
        report_context(scope, scored_methods(scope)),
        cell_methods(scope),
    ),
    group_name="reports",
    kinds={"markdown", "html"},
    weekly=True,
)
def benchmark_report(work: Work) -> None:
    """The report to read first: every method on every benchmark with intervals and figures, what routing brings, what
    data and networks these are, and what the benchmarks share with the training data.
    """
    from geo_pipeline.scoring.report.pages import write_report

    paths = write_report(report_inputs(work), work.folder())
    work.write(notes={"figures": len(paths.figures)})


def report_inputs(work: Work) -> "ReportInputs":
    """Every table of the report."""
    import polars as pl

    from geo_pipeline.earth.hierarchy import Hierarchy
    from geo_pipeline.scoring.cell_hits import judged_cell_hits
    from geo_pipeline.scoring.published import published_rows
    from geo_pipeline.scoring.report.inputs import ReportInputs

    scope, names = work.scope, work.shards.benchmarks

    def whole_table(name: str) -> pl.DataFrame:
        return pl.DataFrame(work.table(name))

    def together(name: str) -> pl.DataFrame:
        return pl.DataFrame(work.read_all(name, names))

    judged, hierarchy = together("judged"), Hierarchy.from_table(work.table("geocells"))
    return ReportInputs(
        context=report_context(scope, scored_methods(scope)),
        scores=together("scores"),
        routing_scores=together("routing_scores"),
        judged=judged,
        coverage=whole_table("coverage"),
        census=whole_table("census"),
        leakage=whole_table("leakage"),
        georouting=whole_table("georouting"),
        training_curves={name: pl.DataFrame(work.table("training_curves", name)) for name in checkpoints(scope)},
        published={name: tuple(published_rows(name)) for name in names if scope.benchmarks[name].published},
        examples=examples(work, judged, hierarchy),
        cell_hits=judged_cell_hits(judged, hierarchy.partitions[-1].cell_ids, cell_methods(scope)),
    )


def examples(work: Work, judged: "pl.DataFrame", hierarchy: "Hierarchy") -> "tuple[Example, ...]":
    """Successes and failures of every benchmark, with what they are shown with."""
    from geo_pipeline.scoring.example_photographs import ShardFiles, report_examples

    def files(key: str) -> ShardFiles:
        return ShardFiles(work.path("images", key), work.path("segmentations", key))

    work.listed("segmentation_manifest", "segmentations")
    references = [files(key) for key in work.listed("image_manifest", "images")]
    queries = {name: [files(key) for key in work.shards.of(name)] for name in work.shards.benchmarks}
    return report_examples(judged, hierarchy, references, queries, work.profile.distance)


def report_context(scope: Scope, methods: Mapping[str, Method]) -> ReportContext:
    """What no table holds."""
    profile = scope.profile
    inference, geosurge = profile.inference, profile.geosurge
    partitions = len(profile.partition.tau_max)
    return ReportContext(
        profile=profile.name,
        seed=profile.seed,
        statement=profile.statement,
        methods=(*method_lines(methods), MethodLine(ORACLE, "Oracle (better of the two)", "oracle")),
        benchmarks=tuple(
            BenchmarkLine(each.name, each.title, each.published, each.notes)
            for each in map(scope.benchmarks.__getitem__, profile.benchmarks)
        ),
        models=(
            ("Segmentation", profile.segmentation.model),
            ("Vision tower of GeoSURGE", profile.geosurge.vision.model),
            *language_models(profile.lvlm.model, profile.router.lvlm.model),
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
            depth_kept=geosurge.depth_kept,
            partitions=partitions,
            fusion_blocks=geosurge.fusion.blocks,
            geography=geosurge.geography,
            loss=geosurge.training.loss,
            symmetric=geosurge.training.symmetric,
            random_crop=geosurge.training.random_crop,
            horizontal_flip=geosurge.training.horizontal_flip,
            uncovered=geosurge.training.uncovered,
            precision=geosurge.training.precision,
        ),
        settings=written(profile, machines=False),
        chosen=tuple(each for each in profile.chosen if decides_bytes(each[0])),
    )


def language_models(generation: str, router: str) -> tuple[tuple[str, str], ...]:
    """Which model answers and which routes."""
    if generation == router:
        return (("Generation and router", generation),)
    return (("Generation", generation), ("Router", router))


def method_lines(methods: Mapping[str, Method]) -> tuple[MethodLine, ...]:
    """The methods as a report names them."""
    return tuple(
        MethodLine(method.name, method.title, PARADIGM_WORD[method.kind], method.baseline is not None)
        for method in methods.values()
    )
