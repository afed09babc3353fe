"""`geo-pipeline observe`: looks at the photographs, as every run and the UI's start do."""

import os

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.dagster_home import local_instance
from geo_pipeline.orchestration.events import record_observations
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.observation import observe
from geo_pipeline.profiles.profile import Profile


def observe_photographs(profile: Profile, home: Home) -> str:
    """Look, keep what was seen in the home and in Dagster, and say in one line how many shards differ."""
    lineage = bind(ASSETS, profile, METHODS, BENCHMARKS)
    changed = observe(lineage.scope, home)
    photographs = lineage.assets["photographs"]
    with local_instance(home, os.environ) as instance:
        record_observations(instance, photographs, Freshness(lineage, home))
    return f"{len(changed):,} of {len(photographs.keys):,} shards hold other photographs than before"
