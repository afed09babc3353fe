"""The Dagster code location; assembly only. The assets stand in orchestration/assets.

`defs` is what Dagster loads: its home comes from the environment (GEO_PIPELINE_HOME), its profile, seed, photographs,
shards and settings from there (GEO_PIPELINE_PROFILE and so on, see profiles.named) or from what the home remembers.
They are fixed when the code location loads, so that they stand in code versions.
"""

import atexit
from collections.abc import Mapping

import dagster as dg

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.compute import Compute
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.home.home import Home
from geo_pipeline.methods.method import Method
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.named import profile_of_environment
from geo_pipeline.profiles.profile import Profile


def build_definitions(
    profile: Profile,
    home: Home,
    compute: Compute,
    methods: Mapping[str, Method] = METHODS,
    benchmarks: Mapping[str, Benchmark] = BENCHMARKS,
) -> dg.Definitions:
    """The assets, checks, jobs and automation of a profile."""
    return code_location(bind(ASSETS, profile, methods, benchmarks), home, compute)


def _of_environment() -> dg.Definitions:
    profile, folder = profile_of_environment()
    compute = RayCompute(profile.compute)
    atexit.register(compute.close)
    return build_definitions(profile, Home(folder), compute)


defs = _of_environment()
