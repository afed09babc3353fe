"""Puts a profile, a home and a place to compute together into one Dagster code location; assembly only."""

from dataclasses import dataclass

import dagster as dg

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.compute import Compute
from geo_pipeline.home.home import Home
from geo_pipeline.methods.method import Method
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import all_stages
from geo_pipeline.orchestration.definition import RunControl, stage_asset
from geo_pipeline.orchestration.jobs import build_jobs, weekly_rebenchmark
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.profiles.profile import Profile


@dataclass(frozen=True)
class Assembly:
    """Everything of one code location."""

    definitions: dg.Definitions
    lineage: Lineage
    home: Home
    control: RunControl


def assemble(
    profile: Profile,
    home: Home,
    compute: Compute,
    methods: dict[str, Method] | None = None,
    benchmarks: dict[str, Benchmark] | None = None,
) -> Assembly:
    """The code location of a profile; `methods` and `benchmarks` stand in for the registries."""
    lineage = all_stages(
        profile, METHODS if methods is None else methods, BENCHMARKS if benchmarks is None else benchmarks
    )
    return assemble_lineage(lineage, home, compute)


def assemble_lineage(lineage: Lineage, home: Home, compute: Compute) -> Assembly:
    """The code location of a lineage."""
    control = RunControl()
    assets = [stage_asset(lineage, stage) for stage in lineage.stages.values()]
    definitions = dg.Definitions(
        assets=assets,
        jobs=build_jobs(lineage, assets),
        schedules=[weekly_rebenchmark()],
        resources={"home": home, "compute": compute, "control": control},
        executor=dg.in_process_executor,
    )
    return Assembly(definitions, lineage, home, control)
