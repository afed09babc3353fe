"""Jobs over assets of different partitions definitions, which an asset job of Dagster cannot hold: each is one op.

Each brings some assets up to date, as `geo-pipeline run` does, and links the runs that it starts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.bring_up_to_date import Wanted, bring_up_to_date, selected
from geo_pipeline.orchestration.lineage import Lineage


@dataclass(frozen=True)
class JobDeclaration:
    """A job: what it is for, and the assets that it brings up to date, as a Dagster selection."""

    name: str
    description: str
    selection: str


JOBS = (
    JobDeclaration(
        "rebuild_geosurge",
        "Train GeoSURGE again where its inputs, code or settings changed, and renew everything that depends on it.",
        "geosurge_checkpoint+",
    ),
    JobDeclaration(
        "rebuild_router",
        "Train the routers again where their inputs, code or settings changed, and renew what depends on them.",
        "georouting_table+",
    ),
    JobDeclaration(
        "rebenchmark",
        "Renew predictions, scores and the report where they are stale; trains nothing.",
        'tag:"weekly"="yes"',
    ),
    JobDeclaration(
        "compare",
        "Train every baseline, with its idea and without, and every ablation of GeoSURGE where something changed, "
        "score them, and renew the comparison report with all that it stands on.",
        "+comparison_report",
    ),
)


def build_jobs(
    lineage: Lineage, whole: dg.Definitions, definitions: Callable[..., dg.Definitions]
) -> list[dg.JobDefinition]:
    """The jobs of a code location over `whole`, but for those that select nothing of it; `definitions` makes its assets
    anew with the resources of a job.
    """
    found = [(each, names) for each in JOBS if (names := _names(each, whole, lineage))]
    return [_job(each, names, lineage, definitions) for each, names in found]


def _names(declared: JobDeclaration, whole: dg.Definitions, lineage: Lineage) -> list[str]:
    try:
        return list(chosen(declared, whole, lineage).assets)
    except ValueError:  # no asset of the selection's name
        return []


def chosen(declared: JobDeclaration, definitions: dg.Definitions, lineage: Lineage) -> Wanted:
    """What a job brings up to date: the everyday keys of what it selects, and all keys where it compares."""
    names = selected(definitions, lineage, declared.selection)
    whole = declared.name == "compare"
    assets = {name: lineage.assets[name].keys if whole else lineage.assets[name].everyday for name in names}
    return Wanted({name: keys for name, keys in assets.items() if keys})


def _job(
    declared: JobDeclaration, names: list[str], lineage: Lineage, definitions: Callable[..., dg.Definitions]
) -> dg.JobDefinition:
    @dg.op(
        name=f"{declared.name}_assets",
        description=declared.description,
        required_resource_keys={"home", "compute", "progress"},
        out=dg.Out(dg.Nothing),
    )
    def bring_up(context: dg.OpExecutionContext) -> None:
        home: Home = context.resources.home
        inner = definitions(home, context.resources.compute, context.resources.progress)
        tags = {"dagster/parent_run_id": context.run_id, "dagster/root_run_id": context.run_id, "job": declared.name}
        what = chosen(declared, inner, lineage)
        summary = bring_up_to_date(inner, lineage, home, context.instance, what, context.resources.progress, tags)
        context.add_output_metadata(
            {
                "assets": dg.MetadataValue.md(", ".join(f"`{name}`" for name in what.assets)),
                **{name: dg.MetadataValue.dagster_run(run) for name, run in summary.runs.items()},
            }
        )
        for name, keys in summary.executed.items():
            context.log.info(f"{name}: {', '.join(keys)} (run {summary.runs[name]})")
        if not summary.executed:
            context.log.info("nothing to do: everything is up to date")

    @dg.job(
        name=declared.name,
        description=f"{declared.description} Assets: {', '.join(f'`{name}`' for name in names)}",
        metadata={"selection": dg.MetadataValue.text(declared.selection)},
    )
    def job() -> None:
        bring_up()

    return job
