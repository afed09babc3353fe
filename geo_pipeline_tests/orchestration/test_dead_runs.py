"""Runs and slots that killed processes left in Dagster's record, left by a process that is really killed."""

import signal
import subprocess
import sys

import dagster as dg
import pytest

from geo_pipeline.orchestration.dead_runs import close_dead_runs, process_tags, waits_for

STARTS = """
import sys, time
import dagster as dg
from geo_pipeline.orchestration.dead_runs import process_tags

@dg.asset(pool="gpu")
def heavy():
    print("works", flush=True)
    time.sleep(60)

tags = process_tags() if sys.argv[2] == "tagged" else {}
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    job = dg.Definitions(assets=[heavy]).resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job.execute_in_process(instance=instance, tags=tags, run_config=quiet)
"""
CONFIGURATION = "telemetry:\n  enabled: false\nconcurrency:\n  pools:\n    default_limit: 1\n"


@pytest.fixture
def instance(tmp_path):
    (tmp_path / "dagster.yaml").write_text(CONFIGURATION)
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        yield found


@pytest.fixture(params=["tagged", "untagged"])
def child(tmp_path, instance, request):
    """A process that works at an asset of the GPU pool; its run says which process, or only Dagster's events do."""
    started = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(tmp_path), request.param], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout.readline() == "works\n"
    yield started
    started.kill()
    started.wait()
    started.stdout.close()


def test_the_slot_of_a_killed_run_is_given_back_and_its_run_closed(instance, child):
    lines = []
    close_dead_runs(instance, lines.append)
    assert lines == [], "a living run is left alone"
    assert f"{child.pid}" in waits_for(instance, "gpu")
    child.send_signal(signal.SIGKILL)
    child.wait()
    close_dead_runs(instance, lines.append)
    assert lines == ["closed 1 unfinished run and gave back 1 slot of a pool of killed processes in Dagster's record"]
    assert waits_for(instance, "gpu") is None
    assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
    close_dead_runs(instance, lines.append)
    assert len(lines) == 1


def test_a_run_of_this_process_is_left_alone(instance):
    run = instance.create_run_for_job(dg.GraphDefinition("nothing").to_job(), tags=process_tags())
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, "nothing"), run.run_id)
    close_dead_runs(instance, lambda line: pytest.fail(line))
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED
