"""Dagster's own folder inside a home: where it is, what stands in its configuration, and the instance over it."""

import sqlite3
from collections.abc import Callable, MutableMapping
from pathlib import Path

import dagster as dg

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration import dagster_record

DAGSTER_FOLDER = "dagster"
DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
"""


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
    return dg.DagsterInstance.get()


def prepare_dagster_home(home: Home) -> Path:
    """The folder for Dagster inside the home, with its configuration."""
    folder = home.root / DAGSTER_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.is_file():
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
