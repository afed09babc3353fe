"""A lineage, a home and a way to compute as one Dagster code location; assembly only."""

import warnings
from functools import partial

import dagster as dg

from geo_pipeline.compute.compute import Compute
from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.automation import weekly_rebenchmark
from geo_pipeline.orchestration.checks import count_checks
from geo_pipeline.orchestration.jobs import build_jobs
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.materialize import dagster_asset
from geo_pipeline.orchestration.progress import Progress
from geo_pipeline.orchestration.source_asset import source_asset


def code_location(lineage: Lineage, home: Home, compute: Compute, progress: Progress | None = None) -> dg.Definitions:
    """Assets, checks, jobs and the weekly sensor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies, code references, source assets
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return _code_location(lineage, home, compute, progress or Progress())


def _code_location(lineage: Lineage, home: Home, compute: Compute, progress: Progress) -> dg.Definitions:
    whole = _assets(lineage, home, compute, progress)
    jobs = build_jobs(lineage, whole, partial(_assets, lineage))
    weekly = [weekly_rebenchmark(lineage)] if any(each.declared.weekly for each in lineage.assets.values()) else []
    return dg.Definitions.merge(whole, dg.Definitions(jobs=jobs, sensors=weekly))


def _assets(lineage: Lineage, home: Home, compute: Compute, progress: Progress) -> dg.Definitions:
    made = [
        source_asset(lineage, asset) if asset.declared.observed else dagster_asset(lineage, asset)
        for asset in lineage.assets.values()
    ]
    return dg.Definitions(
        assets=made,
        asset_checks=count_checks(lineage),
        resources={"home": home, "compute": compute, "progress": progress},
        executor=dg.in_process_executor,
    )
