"""Mends Dagster's folder before Dagster opens it: Dagster itself stops at a damaged file, at every start anew.

The record inside a home is derived: what the home holds is recorded again by the next run, and nothing is made again
for it. So a damaged file of it is moved aside and begun anew, with a line. A folder that the user named in DAGSTER_HOME
is the user's: there the fault is named and nothing is touched. Unfinished runs belong to dead_runs.py.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import yaml

CONFIGURATION = "dagster.yaml"
_MAGIC = b"SQLite format 3\x00"
_CHECKED_BYTES = 64 * 2**20
"""Larger databases are opened, not read from end to end: that would take seconds."""


class DagsterRecordError(RuntimeError):
    """Dagster's folder is not what it has to be; the message says what to do."""


def check_given(folder: str) -> None:
    """Raise DagsterRecordError when the folder that DAGSTER_HOME names cannot be Dagster's."""
    place = Path(folder)
    problem = "a relative path" if not place.is_absolute() else "" if place.is_dir() else "no folder there"
    if problem:
        raise DagsterRecordError(
            f"found DAGSTER_HOME={folder} ({problem}), expected the absolute path of an existing folder; correct it, "
            "or unset it and the home keeps Dagster's record itself"
        )
    for file, reason in _damaged(place):
        raise DagsterRecordError(
            f"found {file}, in the folder that DAGSTER_HOME names, damaged ({reason}); move it away and run again: "
            "the record begins anew, and nothing is computed again for that"
        )


def mend(folder: Path, configuration: str, say: Callable[[str], None]) -> None:
    """Move what is damaged of the record inside a home aside, one line each, and write the configuration anew."""
    for file, reason in list(_damaged(folder)):
        aside = file.with_name(f"{file.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        for suffix in ("-wal", "-shm"):
            beside = file.with_name(file.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
        file.rename(aside)
        say(f"{file} is damaged ({reason}): moved to {aside.name}, and begun anew")
    if not (folder / CONFIGURATION).is_file():
        (folder / CONFIGURATION).write_text(configuration)


def unreadable(folder: Path) -> str | None:
    """Why Dagster cannot open its folder, which it does for writing even to read; None when it can."""
    if not os.access(folder / "history", os.W_OK):
        return f"{folder} may not be written to, which Dagster needs to read it"
    return next((f"{file} is damaged ({reason})" for file, reason in _damaged(folder)), None)


def _damaged(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files of Dagster's folder that cannot be read, each with the reason."""
    reason = _configuration_problem(folder / CONFIGURATION)
    if reason:
        yield folder / CONFIGURATION, reason
    main = [folder / "history/runs.db", folder / "history/runs/index.db", folder / "schedules/schedules.db"]
    for file in main:
        reason = _database_problem(file)
        if reason:
            yield file, reason
    for file in folder.glob("history/runs/*.db"):  # one per run, which only its own page in the UI reads
        if file not in main and not _has_magic(file):
            yield file, "no SQLite file"


def _configuration_problem(file: Path) -> str:
    if not file.is_file():
        return ""
    try:
        known = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        from dagster._core.instance.config import dagster_instance_config

        if not isinstance(known, dict):
            return f"found {type(known).__name__}, expected settings"
        dagster_instance_config(str(file.parent))
    except (yaml.YAMLError, ValueError, dg.DagsterError) as error:
        return " ".join(str(error).split())[:200]
    return ""


def _database_problem(file: Path) -> str:
    if not file.is_file():
        return ""
    if not _has_magic(file):
        return "no SQLite file"
    try:
        connection = sqlite3.connect(file, timeout=10)
        try:
            small = file.stat().st_size <= _CHECKED_BYTES
            words = connection.execute(
                "PRAGMA quick_check(1)" if small else "SELECT 'ok' FROM sqlite_master"
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError:  # a full disk, another process, no right to write: the file may be whole
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if words is None or words[0] == "ok" else str(words[0])


def _has_magic(file: Path) -> bool:
    """Whether a file begins as an SQLite database does; an empty one is a database without a table."""
    with file.open("rb") as handle:
        return handle.read(len(_MAGIC)) in (_MAGIC, b"")
