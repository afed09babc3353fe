"""Bring a home up to date: ask Dagster and the home what is missing or stale, asset by asset, and execute only that.

One run per asset that needs something, over all the shards it needs; used by `geo-pipeline run` and by the jobs of
the UI.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_selection import DagsterInvalidAssetSelectionError

from geo_pipeline.home.home import Home
from geo_pipeline.home.lock import held
from geo_pipeline.home.views import refresh_views
from geo_pipeline.orchestration import dagster_record
from geo_pipeline.orchestration.checks import refuse_failed
from geo_pipeline.orchestration.dead_runs import close_dead_runs, process_tags, waits_for
from geo_pipeline.orchestration.definition import GPU_POOL, Observer, RunControl
from geo_pipeline.orchestration.lineage import Freshness, Lineage
from geo_pipeline.orchestration.provenance import needed_keys
from geo_pipeline.orchestration.stage import Stage

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
"""
DAGSTER_FOLDER = "dagster"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_BARE_NAME = re.compile(r"(?<!\w)(?!(?:and|or|not|sinks|roots)\b)[A-Za-z_]\w*")
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class CheckFailedError(RuntimeError):
    """A blocking asset check failed."""


class RunObserver(Observer):
    """An observer of a whole run; this one says nothing."""

    def stage_begins(self, stage: Stage, needed: Sequence[str]) -> None:
        """A stage will be executed for these keys; none means that it is up to date."""

    def stage_ends(self, stage: Stage, seconds: float) -> None:
        """A stage was executed."""

    def noted(self, line: str) -> None:
        """Something that the reader has to know: a dead run that was closed, a wait."""


@dataclass
class Summary:
    """What a run did: executed keys by asset."""

    executed: dict[str, list[str]] = field(default_factory=dict)


def bring_up_to_date(
    definitions: dg.Definitions,
    lineage: Lineage,
    home: Home,
    control: RunControl,
    instance: dg.DagsterInstance,
    selection: str | None = None,
    observer: RunObserver | None = None,
) -> Summary:
    """Execute what is missing or stale, in the order of the lineage.

    Raises the first error of a stage, or CheckFailedError.
    """
    watcher = observer or RunObserver()
    with held(home.root, watcher.noted):
        close_dead_runs(instance, watcher.noted)
        return _bring_up_to_date(definitions, lineage, home, control, instance, selection, watcher)


def _bring_up_to_date(
    definitions: dg.Definitions,
    lineage: Lineage,
    home: Home,
    control: RunControl,
    instance: dg.DagsterInstance,
    selection: str | None,
    watcher: RunObserver,
) -> Summary:
    outside: dict[str, str] = {}
    control.observer, control.outside = watcher, outside
    summary, freshness = Summary(), Freshness(lineage, home, outside)
    job = definitions.resolve_implicit_global_asset_job_def()
    remove_leftovers(home)
    try:
        for name in selected(definitions, lineage, selection):
            stage = lineage.stages[name]
            needed = needed_keys(instance, stage, freshness)
            watcher.stage_begins(stage, needed)
            if needed:
                started = time.monotonic()
                control.wanted = frozenset(needed)
                waiting = waits_for(instance, GPU_POOL) if stage.heavy else None
                if waiting:
                    watcher.noted(waiting)
                _execute(job, stage, needed, instance)
                summary.executed[name] = needed
                freshness = Freshness(lineage, home, outside)
                watcher.stage_ends(stage, time.monotonic() - started)
            else:
                refuse_failed(lineage, stage, home)
    finally:
        control.wanted = control.outside = None
    refresh_views(home)
    return summary


def selected(definitions: dg.Definitions, lineage: Lineage, selection: str | None) -> list[str]:
    """The assets of a Dagster selection string, in the order of the lineage.

    Without one, all but those that are only made on demand. A bare name stands for the asset of that name, so that
    `+name` is it and all that it stands on, as `+key:"name"` is in the UI.
    """
    if selection is None:
        return lineage.everyday
    words = selection if ":" in selection else _BARE_NAME.sub(r'key:"\g<0>"', selection)
    try:
        chosen = dg.AssetSelection.from_string(words).resolve(list(definitions.assets or []))  # type: ignore[arg-type]
    except dg.DagsterInvalidSubsetError:
        chosen = set()
    except DagsterInvalidAssetSelectionError as error:
        raise ValueError(
            f"found the selection {selection!r}, which Dagster cannot read ({error}); expected such as 'geocells', "
            "'geocells+', '+benchmark_report' or 'a or b'"
        ) from error
    names = {key.to_user_string() for key in chosen}
    if not names:
        raise ValueError(
            f"found no asset that matches the selection {selection!r}; expected names such as "
            f"{', '.join(list(lineage.stages)[:3])}"
        )
    return [name for name in lineage.stages if name in names]


def remove_leftovers(home: Home) -> None:
    """Delete files that a killed run left beside their place."""
    leftovers = [*home.root.glob(".*.part"), *(home.root / "index").glob(".index-*")]
    for folder in ("tables", "manifests"):
        leftovers += (home.root / folder).rglob(".*.part")
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)


def local_instance(
    home: Home, environment: dict[str, str], say: Callable[[str], None] = lambda line: None
) -> dg.DagsterInstance:
    """The persistent Dagster instance: of DAGSTER_HOME where that is set, else inside the home.

    Telemetry is off in the latter, and what is damaged of it begins anew; `say` gets one line for each. Raises
    DagsterRecordError when DAGSTER_HOME cannot be used.
    """
    sync_less()
    if environment.get("DAGSTER_HOME"):
        dagster_record.check_given(environment["DAGSTER_HOME"])
    else:
        folder = prepare_dagster_home(home)
        dagster_record.mend(folder, DAGSTER_YAML, say)
        environment["DAGSTER_HOME"] = str(folder)
    return dg.DagsterInstance.get()


def sync_less() -> None:
    """Let SQLite wait for the disk at its checkpoints instead of at each of the six commits of an event.

    Its write-ahead log stays whole whatever happens; a power cut may take the last events, which the next run records
    again (`provenance.unrecorded_keys`).
    """
    import sqlalchemy

    if not sqlalchemy.event.contains(sqlalchemy.Engine, "connect", _on_connect):
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _on_connect)


def _on_connect(connection: object, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")


def prepare_dagster_home(home: Home) -> Path:
    """The folder for Dagster inside the home, with its configuration."""
    folder = home.root / DAGSTER_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.is_file():
        configuration.write_text(DAGSTER_YAML)
    return folder


def _execute(job: dg.JobDefinition, stage: Stage, needed: Sequence[str], instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey(stage.name)
    tags = process_tags() | ({RANGE_START: needed[0], RANGE_END: needed[-1]} if stage.partitioned else {})
    part = job.get_subset(asset_selection={key})
    result = part.execute_in_process(instance=instance, tags=tags, raise_on_error=True, run_config=QUIET)
    failed = [evaluation for evaluation in result.get_asset_check_evaluations() if not evaluation.passed]
    if failed:
        words = "; ".join(
            f"{evaluation.asset_key.to_user_string()} {evaluation.check_name}: {evaluation.description}"
            for evaluation in failed
        )
        raise CheckFailedError(f"an asset check failed: {words}")
