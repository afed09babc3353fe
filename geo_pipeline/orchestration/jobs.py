"""The jobs of the UI, each named for a wish.

A job brings the assets of its wish up to date, as `geo-pipeline run` does.

(An asset job cannot hold assets of different partitions; so a job is one op that executes what is stale in the same
instance.)
"""

import dagster as dg

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.definition import RunControl
from geo_pipeline.orchestration.lineage import Lineage

WEEKLY = "0 3 * * 1"
COMPARISON = "comparison_report"


def wishes(lineage: Lineage) -> dict[str, tuple[str, list[str]]]:
    """For each job: what it is for, and the assets that it brings up to date."""
    everyday = lineage.everyday
    predictions = [name for name in everyday if name.endswith("_predictions")]
    routers = [name for name in everyday if name.startswith("router") and name.endswith("_checkpoint")]
    found = {
        "rebuild_geosurge": (
            "Train GeoSURGE again where its inputs, code or settings changed, and renew everything that depends on it.",
            lineage.downstream(["geosurge_checkpoint"]),
        ),
        "rebuild_router": (
            "Train the routers again where their inputs, code or settings changed, and renew what depends on them.",
            lineage.downstream(["georouting_table", *routers]),
        ),
        "rebenchmark": (
            "Renew predictions, scores and the report where they are stale; trains nothing.",
            [*predictions, "benchmark_scores", "benchmark_report"],
        ),
    }
    wanted = {job: (words, [name for name in names if name in everyday]) for job, (words, names) in found.items()}
    if COMPARISON in lineage.stages:
        words = (
            "Train every baseline, with its idea and without, and every ablation of GeoSURGE where something changed, "
            "score them, and renew the comparison report with all that it stands on."
        )
        wanted["compare"] = (words, list(lineage.stages))
    return wanted


def build_jobs(lineage: Lineage, assets: list[dg.AssetsDefinition]) -> list[dg.JobDefinition]:
    """All jobs of the code location."""
    return [_job(name, words, wanted, lineage, assets) for name, (words, wanted) in wishes(lineage).items()]


def weekly_rebenchmark() -> dg.ScheduleDefinition:
    """Every Monday night; off until switched on in the UI."""
    return dg.ScheduleDefinition(
        name="weekly_rebenchmark",
        job_name="rebenchmark",
        cron_schedule=WEEKLY,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Renew the benchmark report every Monday at 03:00; off until it is switched on.",
    )


def _job(
    name: str, words: str, wanted: list[str], lineage: Lineage, assets: list[dg.AssetsDefinition]
) -> dg.JobDefinition:
    @dg.op(name=f"{name}_assets", description=words, required_resource_keys={"home", "compute", "control"})
    def bring_up(context: dg.OpExecutionContext) -> None:
        from geo_pipeline.orchestration.runner import bring_up_to_date

        home: Home = context.resources.home
        control: RunControl = context.resources.control
        resources = {"home": home, "compute": context.resources.compute, "control": control}
        inner = dg.Definitions(assets=assets, resources=resources, executor=dg.in_process_executor)
        summary = bring_up_to_date(
            inner, lineage, home, control, context.instance, " or ".join(f'key:"{asset}"' for asset in wanted)
        )
        for asset, keys in summary.executed.items():
            context.log.info(f"{asset}: {', '.join(keys)}")
        if not summary.executed:
            context.log.info("nothing to do: everything is up to date")

    @dg.job(name=name, description=words)
    def wish() -> None:
        bring_up()

    return wish
