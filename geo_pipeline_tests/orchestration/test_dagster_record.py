"""Dagster's folder, damaged file by file: inside a home it begins anew, elsewhere the fault is named."""

import contextlib
import logging
import os
import sqlite3
import time
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml
from dagster._daemon.monitoring.concurrency import execute_concurrency_slots_iteration

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.dagster_home import DAGSTER_YAML, EARLIER_YAML, local_instance, prepare_dagster_home
from geo_pipeline.orchestration.dagster_record import DagsterRecordError, check_given, mend, unreadable

DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


@pytest.fixture(autouse=True)
def restored_environment(monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # what a test leaves there is gone after it


def opened(root, say):
    """The instance inside a home, as a run of a new process opens it."""
    os.environ["DAGSTER_HOME"] = ""
    return local_instance(Home(root), os.environ, say)


@pytest.fixture
def folder(tmp_path):
    with opened(tmp_path, pytest.fail) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("thing"))
        list(instance.all_instigator_state())
    for name in DATABASES:  # what lies in the log beside a database would mend it
        with contextlib.closing(sqlite3.connect(tmp_path / "dagster" / name)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path / "dagster"


def garbled(data, kind):
    hole = data[:16] + bytes(max(16, len(data) // 2)) + data[len(data) // 2 :]
    return {"garbage": b"\xfe\x01" * 4000, "hole": hole[: len(data)]}[kind]


@pytest.mark.parametrize("kind", ["garbage", "hole"])
@pytest.mark.parametrize("name", [*DATABASES, "dagster.yaml"])
def test_what_is_damaged_in_a_home_is_moved_aside_and_begun_anew(tmp_path, folder, name, kind):
    file = folder / name
    file.write_bytes(garbled(file.read_bytes(), kind))
    assert f"{name.rpartition('/')[2]} is damaged" in unreadable(folder)
    with pytest.raises(DagsterRecordError, match="move it away and run again"):
        check_given(str(folder))
    lines = []
    with opened(tmp_path, lines.append) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("thing"))
        assert instance.get_latest_materialization_event(dg.AssetKey("thing"))
    assert len(lines) == 1
    assert "and begun anew" in lines[0]
    assert len(list(file.parent.glob(f"{file.name}.damaged-*"))) == 1
    assert (folder / "dagster.yaml").read_text() == DAGSTER_YAML
    with opened(tmp_path, lines.append):
        assert len(lines) == 1


def test_a_configuration_of_the_users_is_left_as_it_is(tmp_path, folder):
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with opened(tmp_path, pytest.fail):
        assert (folder / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"


@pytest.mark.parametrize(("name", "why"), [(".", "a relative path"), ("/nowhere/at/all", "no folder there")])
def test_a_wrong_dagster_home_is_one_line(tmp_path, name, why):
    with pytest.raises(DagsterRecordError, match=rf"DAGSTER_HOME=.*{why}.*absolute path.*unset it"):
        local_instance(Home(tmp_path), {"DAGSTER_HOME": name})


def test_a_full_disk_is_no_damage_of_the_record(tmp_path, folder):
    from resource import RLIMIT_FSIZE, getrlimit, setrlimit

    limits = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (2000, limits[1]))
    try:
        mend(folder, DAGSTER_YAML, pytest.fail)
    finally:
        setrlimit(RLIMIT_FSIZE, limits)
    assert not list(folder.rglob("*.damaged-*"))


def test_homes_of_earlier_versions_get_the_configuration_that_frees_slots_and_others_keep_theirs(tmp_path):
    folder = prepare_dagster_home(Home(tmp_path / "new"))
    configuration = folder / "dagster.yaml"
    assert yaml.safe_load(configuration.read_text())["run_monitoring"]["free_slots_after_run_end_seconds"] == 5
    configuration.write_text(EARLIER_YAML)
    prepare_dagster_home(Home(tmp_path / "new"))
    assert configuration.read_text() == DAGSTER_YAML
    configuration.write_text(EARLIER_YAML + "# ours\n")
    prepare_dagster_home(Home(tmp_path / "new"))
    assert configuration.read_text() == EARLIER_YAML + "# ours\n"


def test_the_daemon_gives_back_the_slot_of_a_run_that_was_killed(tmp_path):
    """As it does where the UI runs: the run is marked as failed there, and its slot would be kept for ever."""
    with local_instance(Home(tmp_path), {}) as instance:
        storage, run = instance.event_log_storage, instance.create_run_for_job(dg.GraphDefinition("g").to_job())
        storage.set_concurrency_slots("gpu", 1)
        storage.claim_concurrency_slot("gpu", run.run_id, "step")
        instance.report_run_failed(run, "killed")
        end = time.monotonic() + 30
        context = SimpleNamespace(instance=instance)
        while storage.get_concurrency_info("gpu").active_slot_count and time.monotonic() < end:
            list(execute_concurrency_slots_iteration(context, logging.getLogger("daemon")))
            time.sleep(0.5)
        assert storage.get_concurrency_info("gpu").active_slot_count == 0
