"""The Dagster side of a stage.

Its asset with dependencies, versions, checks and metadata, and what happens when it is materialized.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from geo_pipeline.compute.compute import Compute, ComputeError
from geo_pipeline.contracts.contract import ContractError, load
from geo_pipeline.home.home import Home
from geo_pipeline.home.views import refresh_views
from geo_pipeline.orchestration import checks, display, provenance
from geo_pipeline.orchestration.lineage import Freshness, Lineage
from geo_pipeline.orchestration.shards import mapping, partitions_of
from geo_pipeline.orchestration.stage import Made, Stage, Step

OWNERS = ["team:geo-pipeline"]
GPU_POOL = "gpu"


class Observer:
    """Is told what a run does, for a progress display; this one says nothing."""

    def shard_done(self, stage: Stage, key: str, rows: int, reused: bool) -> None:
        """One key of a stage is in the home; `reused`: it was there already, or came out as it was."""

    def said(self, stage: Stage, line: str) -> None:
        """A stage has something to say (one line, such as an epoch's loss)."""


@dataclass
class RunControl:
    """What a run is told: which keys of its range are wanted (None: all), who watches, and what lies outside.

    `outside` are the digests of what stages read from outside the home as the whole run found them at its beginning
    (None: each step looks for itself).
    """

    wanted: frozenset[str] | None = None
    observer: Observer = field(default_factory=Observer)
    outside: dict[str, str] | None = None


def stage_asset(lineage: Lineage, stage: Stage) -> dg.AssetsDefinition:
    """The Dagster asset of a stage."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
        return _asset(lineage, stage)


def _asset(lineage: Lineage, stage: Stage) -> dg.AssetsDefinition:
    @dg.asset(
        name=stage.name,
        deps=_dependencies(lineage, stage),
        partitions_def=partitions_of(stage.keys) if stage.partitioned else None,
        backfill_policy=dg.BackfillPolicy.single_run() if stage.partitioned else None,
        code_version=stage.code_version,
        description=stage.description,
        group_name=stage.group,
        kinds=set(stage.kinds),
        owners=OWNERS,
        metadata=_fixed_metadata(stage),
        pool=GPU_POOL if stage.heavy else None,
        check_specs=checks.check_specs(stage),
        output_required=False,
    )
    def materialize(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        compute: dg.ResourceParam[Compute],
        control: dg.ResourceParam[RunControl],
    ) -> Iterator[Any]:
        yield from _materialize(context, lineage, stage, home, compute, control)

    return materialize


def _materialize(
    context: dg.AssetExecutionContext, lineage: Lineage, stage: Stage, home: Home, compute: Compute, control: RunControl
) -> Iterator[Any]:
    keys = list(context.partition_keys) if stage.partitioned else list(stage.keys)
    keys = [key for key in keys if control.wanted is None or key in control.wanted]
    freshness = Freshness(lineage, home, {} if control.outside is None else control.outside)
    freshness.refuse_stale(stage, keys)
    inputs = provenance.input_tags(context.instance, lineage, stage)
    findings: dict[str, list[checks.Finding]] = {}
    todo = []
    for key in keys:
        if freshness.own_state(stage, key) == "fresh":
            context.log.info(f"{stage.name} [{key}]: unchanged, reused")
            _record(context, lineage, stage, home, Made(key), inputs, True, control)
            findings[key] = checks.examine(lineage, stage, home, key)
        else:
            todo.append(key)
    fingerprints = {key: str(freshness.expected(stage, key)) for key in todo}

    def say(line: str) -> None:
        context.log.info(line)
        control.observer.said(stage, line)

    if todo:
        told = _well_recorded(context.instance, stage, freshness)
        try:
            step = Step(stage, lineage.profile, home, compute, fingerprints, say)
            for made in stage.make(step, todo):
                before = stage.version(home, made.key)
                commit(stage, home, made, fingerprints[made.key])
                if made.key in told and stage.version(home, made.key) == before:
                    stored = home.stored(stage.outputs(made.key)[0])
                    control.observer.shard_done(stage, made.key, stored.rows if stored else 0, True)
                else:
                    _record(context, lineage, stage, home, made, inputs, False, control)
                findings[made.key] = checks.examine(lineage, stage, home, made.key, just_written=True)
        except (ContractError, ComputeError) as error:
            broken = error if isinstance(error, ContractError) else error.__cause__
            if isinstance(broken, ContractError):
                yield dg.AssetCheckResult(
                    passed=False, check_name=checks.CONTRACT, asset_key=stage.name, description=str(broken)
                )
            raise
        refresh_views(home)
    yield dg.MaterializeResult(metadata=provenance.WITHOUT_OWN_EVENT)
    yield from checks.results(stage, findings)


def _well_recorded(instance: dg.DagsterInstance, stage: Stage, freshness: Freshness) -> set[str]:
    """Keys that need no event of their own when they come out as they were: Dagster's record of them is right.

    Only of a stage that reads nothing but what lies outside: elsewhere the event says which inputs it has seen.
    """
    if stage.outside is None or any(stage.inputs(key) for key in stage.keys):
        return set()
    return set(stage.keys) - provenance.unrecorded_keys(instance, stage, freshness)


def commit(stage: Stage, home: Home, made: Made, fingerprint: str) -> None:
    """Write what a stage made for one key; the first output last, because it says that the key is done."""
    for artifact in () if made.written else reversed(stage.outputs(made.key)):
        if artifact.kind == "table":
            home.write_table(artifact.name, artifact.key, made.tables[artifact.name], fingerprint)
        elif artifact.kind == "manifest":
            home.write_manifest(artifact.name, made.shards or {}, fingerprint)
        else:
            home.commit_folder(artifact, fingerprint)


def _record(
    context: dg.AssetExecutionContext,
    lineage: Lineage,
    stage: Stage,
    home: Home,
    made: Made,
    inputs: Mapping[str, str],
    reused: bool,
    control: RunControl,
) -> None:
    version = stage.version(home, made.key)
    stored = home.stored(stage.outputs(made.key)[0])
    rows = stored.rows if stored else 0
    context.log_event(
        dg.AssetMaterialization(
            asset_key=stage.name,
            partition=made.key if stage.partitioned else None,
            metadata=display.event_metadata(lineage.profile, stage, home, made, rows, reused),
            tags=provenance.version_tags(stage, str(version), inputs),
        )
    )
    control.observer.shard_done(stage, made.key, rows, reused)


def _dependencies(lineage: Lineage, stage: Stage) -> list[dg.AssetDep]:
    found = []
    for name, reads in lineage.parents(stage).items():
        parent = lineage.stages[name]
        if not parent.partitioned:
            found.append(dg.AssetDep(name))
        elif stage.partitioned:
            found.append(dg.AssetDep(name, partition_mapping=mapping(parent.keys, stage.keys, reads)))
        else:
            read = reads[stage.keys[0]]
            whole = read == set(parent.keys)
            chosen = (
                dg.AllPartitionMapping()
                if whole
                else dg.SpecificPartitionsPartitionMapping([key for key in parent.keys if key in read])
            )
            found.append(dg.AssetDep(name, partition_mapping=chosen))
    return found


def _fixed_metadata(stage: Stage) -> dict[str, Any]:
    main = stage.outputs(stage.keys[0])[0]
    metadata: dict[str, Any] = {"title": stage.title}
    if main.kind == "table":
        columns = [
            dg.TableColumn(
                column.name,
                column.physical_type,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in load(main.name).columns
        ]
        metadata["dagster/column_schema"] = dg.TableSchema(columns=columns)
    return metadata
