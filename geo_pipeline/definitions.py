"""The Dagster code location; assembly only.

`defs` is what Dagster loads: its home comes from the environment (GEO_PIPELINE_HOME), its profile, seed, photographs
and shards from there (GEO_PIPELINE_PROFILE and so on, see profiles.named) or from what the home remembers. They are
fixed when the code location loads, so that they stand in code versions.
"""

import atexit

import dagster as dg

from geo_pipeline.compute.compute import Compute
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.assembly import assemble
from geo_pipeline.profiles.named import profile_of_environment
from geo_pipeline.profiles.profile import Profile


def build_definitions(profile: Profile, home: Home, compute: Compute) -> dg.Definitions:
    """The assets, checks, jobs and schedule of a profile."""
    return assemble(profile, home, compute).definitions


def _of_environment() -> dg.Definitions:
    profile, folder = profile_of_environment()
    compute = RayCompute(profile.compute)
    atexit.register(compute.close)
    return build_definitions(profile, Home(folder), compute)


defs = _of_environment()
