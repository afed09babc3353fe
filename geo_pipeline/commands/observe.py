"""`geo-pipeline observe`: looks at the photographs, as every run and the UI's start do."""

import os
from pathlib import Path

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.commands.printing import nothing_run
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.dagster_home import local_instance
from geo_pipeline.orchestration.events import record_observations
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.observation import observe
from geo_pipeline.profiles.named import profile_of_environment


def observe_photographs(folder: Path) -> str:
    """Look, keep what was seen in the home and in Dagster, and say in one line how many shards differ."""
    if not folder.is_dir():
        return nothing_run(folder)
    profile, _ = profile_of_environment({**os.environ, "GEO_PIPELINE_HOME": str(folder)})
    home, lineage = Home(folder), bind(ASSETS, profile, METHODS, BENCHMARKS)
    changed = observe(lineage.scope, home)
    photographs = lineage.assets["photographs"]
    with local_instance(home, os.environ) as instance:
        record_observations(instance, photographs, Freshness(lineage, home))
    return f"{len(changed):,} of {len(photographs.keys):,} shards hold other photographs than before"
