"""Dagster's own folder inside a home: where it is, what stands in its configuration, and the instance over it."""

import sqlite3
from collections.abc import Callable, MutableMapping
from pathlib import Path

import dagster as dg

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration import dagster_record

DAGSTER_FOLDER = "dagster"
EARLIER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
"""
"""What stands in homes of earlier versions; a text that somebody has changed is left alone."""
DAGSTER_YAML = f"""\
{EARLIER_YAML}run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  free_slots_after_run_end_seconds: 5
"""
"""The daemon gives the slot of a killed run's pool back: without it the next run from the UI waits for ever."""
NO_COMPUTE_LOGS = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
        "config": {},
    }
}
"""For a run from a shell, whose output is where it was started: Dagster would send it through processes of its own,
which hold up its lines and print tracebacks at Ctrl-C."""


def local_instance(
    home: Home, environment: MutableMapping[str, str], note: Callable[[str], None] = lambda line: None
) -> dg.DagsterInstance:
    """The persistent Dagster instance: of DAGSTER_HOME where that is set, else inside the home.

    Telemetry is off in the latter, and what is damaged of it begins anew; `note` gets one line for each. Raises
    DagsterRecordError when DAGSTER_HOME cannot be used.
    """
    sync_less()
    if environment.get("DAGSTER_HOME"):
        dagster_record.check_given(environment["DAGSTER_HOME"])
    else:
        folder = prepare_dagster_home(home)
        dagster_record.mend(folder, DAGSTER_YAML, note)
        environment["DAGSTER_HOME"] = str(folder)
    return dg.DagsterInstance.local_temp(environment["DAGSTER_HOME"], overrides=NO_COMPUTE_LOGS)  # of a lasting folder


def prepare_dagster_home(home: Home) -> Path:
    """The folder for Dagster inside the home, with its configuration."""
    folder = home.root / DAGSTER_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.is_file() or configuration.read_text(errors="replace") == EARLIER_YAML:
        configuration.write_text(DAGSTER_YAML)
    return folder


def sync_less() -> None:
    """Let SQLite wait for the disk at its checkpoints instead of at each of the six commits of an event.

    Its write-ahead log stays whole whatever happens; a power cut may take the last events, which the next run records
    again (`events.unrecorded_keys`).
    """
    import sqlalchemy

    if not sqlalchemy.event.contains(sqlalchemy.Engine, "connect", _on_connect):
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _on_connect)


def _on_connect(connection: object, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
