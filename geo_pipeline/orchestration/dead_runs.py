"""Closes what killed processes left open in Dagster's record, which Dagster does only where its daemon runs.

A run whose process was killed stays "started" for ever and keeps its slot of a concurrency pool; the next run then
waits for that slot without end. Called once at the start of a run, which holds the home's lock (home/lock.py).
"""

from collections.abc import Callable

import dagster as dg

from geo_pipeline.home.processes import Process, is_running, started_s

PROCESS_TAG = "geo_pipeline/process"
"""Tag of our runs: the process that executes it, as `Process.to_json` writes it."""
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def process_tags() -> dict[str, str]:
    """The tag by which a later run finds out whether this process still works at a run."""
    return {PROCESS_TAG: Process.this().to_json()}


def close_dead_runs(instance: dg.DagsterInstance, say: Callable[[str], None]) -> None:
    """Mark runs of processes that are gone as failed, and give back their slots; `say` gets one line when there were.

    Runs of living processes, of other machines, and queued ones are left alone.
    """
    dead = [run for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)) if _is_dead(instance, run)]
    for run in dead:
        instance.report_run_failed(run, "The process of this run was killed; what it finished is kept.")
    slots = _free_slots(instance)
    if dead or slots:
        parts = [f"closed {len(dead)} unfinished run{'s' if len(dead) != 1 else ''}"] if dead else []
        parts += [f"gave back {slots} slot{'s' if slots != 1 else ''} of a pool"] if slots else []
        say(f"{' and '.join(parts)} of killed processes in Dagster's record")


def waits_for(instance: dg.DagsterInstance, pool: str) -> str | None:
    """A line that names who holds the slots of a pool that is full; None when there is a slot left."""
    info = instance.event_log_storage.get_concurrency_info(pool)
    if not info.slot_count or info.active_slot_count < info.slot_count:
        return None
    runs = [instance.get_run_by_id(run_id) for run_id in sorted(info.active_run_ids)]
    names = [f"run {run.run_id[:8]} (process {_process_words(instance, run)})" for run in runs if run is not None]
    return f"waits for the pool {pool}, which {', '.join(names) or 'another run'} holds; Ctrl-C ends the wait"


def _free_slots(instance: dg.DagsterInstance) -> int:
    """Give back the slots of runs that are finished or no longer recorded; how many runs had some."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return 0
    freed = 0
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
            freed += 1
    return freed


def _is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    process = Process.from_json(run.tags.get(PROCESS_TAG, ""))
    if process is not None:
        return process.state() == "gone"
    pid, when = _recorded_pid(instance, run)
    if pid is None:
        return False
    started = started_s(pid)
    return not is_running(pid) if started is None else started > when + 1  # a later process may have the same id


def _process_words(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    process = Process.from_json(run.tags.get(PROCESS_TAG, ""))
    return f"{process.pid} on {process.host}" if process else str(_recorded_pid(instance, run)[0] or "unknown")


def _recorded_pid(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[int | None, float]:
    """The process id in the latest engine event of a run, and when that was (seconds since 1970)."""
    found: tuple[int | None, float] = (None, 0.0)
    for record in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        text = event.engine_event_data.metadata.get("pid") if event else None
        if text is not None and str(text.value).isdigit():
            found = (int(str(text.value)), record.timestamp)
    return found
