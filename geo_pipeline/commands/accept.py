"""`geo-pipeline accept`: records that an edit of the code changes no byte. What that means belongs to orchestration."""

import os
from collections.abc import Iterator

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.accept import accept
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.bring_up_to_date import selected
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.dagster_home import local_instance
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.observation import observe
from geo_pipeline.profiles.profile import Profile


def accept_selection(profile: Profile, home: Home, selection: str, why: str) -> Iterator[str]:
    """Accept what a selection names; one line for each asset. Raises ValueError for no reason or no such asset."""
    lineage = bind(ASSETS, profile, METHODS, BENCHMARKS)
    definitions = code_location(lineage, home, InProcessCompute(profile.compute))
    names = list(lineage.assets) if selection.strip() == "*" else selected(definitions, lineage, selection)
    with local_instance(home, os.environ) as instance:
        observe(lineage.scope, home)
        outcome = accept(lineage, names, home, instance, why)
    for name in names:
        if name in outcome.accepted:
            yield f"{name}: {len(outcome.accepted[name]):,} of {len(lineage.assets[name].keys):,} accepted"
        for reason, keys in outcome.refused.get(name, {}).items():
            yield f"{name}: {len(keys):,} stay stale: {reason}"
        if name in outcome.missing:
            keys = outcome.missing[name]
            words = f"{keys[0]} first; " if lineage.assets[name].partitioned else ""
            yield f"{name}: {len(keys):,} missing, so not accepted ({words}`geo-pipeline run` makes what is missing)"
    if not outcome.accepted and not outcome.missing:
        yield "nothing to accept: nothing is stale by its code alone"
