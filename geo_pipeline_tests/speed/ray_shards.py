"""How shards are given to Ray, at the sample's size: actors that Ray starts again (ours), tasks with a worker kept in
each process, Ray Data over keys, and no Ray at all.

`python -m geo_pipeline_tests.speed.ray_shards [--save]` segments drawn photographs, each way in processes of its own
and in turn, and gives a shard that kills its process to each, with a deadline. The numbers are small by design: what is
measured is start-up, how often the network is loaded, and whether a poison shard is bounded.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from geo_pipeline.compute.compute import ComputeError
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.compute.shard_job import TableJob
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline_tests.compute import nodes, workers
from geo_pipeline_tests.speed.measuring import fresh_process, machine, save

WAYS = ("in process", "actors", "tasks", "data")
CONFIG = ComputeConfig(actors=2, cpus=4, stall_s=300)
ROUNDS, SHARDS, ROWS = 2, 6, 32
DEADLINE_S = 60.0


def results(way: str, job: TableJob, keys: list[str]) -> Iterator[tuple[str, Any]]:
    """The keys with their notes, as soon as each is done."""
    if way == "in process":
        yield from InProcessCompute(CONFIG).map_shards(job, keys)
    elif way == "actors":
        with RayCompute(CONFIG) as compute:
            yield from compute.map_shards(job, keys)
    else:
        with RayCompute(CONFIG) as compute:
            compute._start()
            yield from (_tasks if way == "tasks" else _data)(job, keys)


_OPENED: dict[str, Callable[[str], Any]] = {}


def _work(job: TableJob, name: str, key: str) -> dict[str, object]:
    if name not in _OPENED:
        _OPENED.clear()
        _OPENED[name] = job.open()
    return dict(_OPENED[name](key))


def _tasks(job: TableJob, keys: list[str]) -> Iterator[tuple[str, Any]]:
    """Two tasks at a time, tried three times; each process keeps the job that it opened."""
    import ray

    task = ray.remote(num_cpus=0.25, max_retries=2, max_calls=0, scheduling_strategy="SPREAD")(_work)
    kept, waiting, busy = ray.put(job), list(reversed(keys)), {}
    while waiting or busy:
        while waiting and len(busy) < CONFIG.actors:
            key = waiting.pop()
            busy[task.remote(kept, "job", key)] = key
        for reference in ray.wait(list(busy), num_returns=1)[0]:
            yield busy.pop(reference), ray.get(reference)


class _DataWorker:
    def __init__(self, job: TableJob) -> None:
        self.work = job.open()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"key": row["key"], **self.work(row["key"])}


def _data(job: TableJob, keys: list[str]) -> Iterator[tuple[str, Any]]:
    """Ray Data over the keys with a pool of two actors."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_items([{"key": key} for key in keys], override_num_blocks=len(keys))
    made = rows.map(
        _DataWorker, fn_constructor_args=(job,), compute=ray.data.ActorPoolStrategy(size=CONFIG.actors), num_cpus=0.25
    )
    for row in made.iter_rows():
        yield row["key"], row


def one(way: str, folder: Path) -> dict[str, float]:
    """Seconds to the first shard and to the last, and how many processes loaded the network."""
    keys = [f"shard-{number}" for number in range(SHARDS)]
    home = nodes.home_of_photographs(folder / "home", keys, ROWS)
    notes = folder / "notes"
    notes.mkdir()
    job = workers.job_of(
        home, keys, workers.NotingSegmenter, workers.SegmentsFor(notes), workers.images_in, "segmentations"
    )
    began = time.perf_counter()
    times = [time.perf_counter() - began for _ in results(way, job, keys)]
    loads = len(list(notes.glob("loaded-*")))
    return {"first_s": times[0], "last_s": times[-1], "loads": loads}


def poison(way: str, folder: Path) -> dict[str, Any]:
    """What becomes of a shard at which every process dies: how many died, and how it ended within the deadline."""
    keys = [f"shard-{number}" for number in range(4)]
    home = workers.home_of_numbers(folder / "home", {key: [number] for number, key in enumerate(keys)})
    notes = folder / "notes"
    notes.mkdir()
    job = workers.job_of(home, keys, workers.PidWorker, workers.Watched(notes, deadly=1, deaths=10**6))
    began, ended = time.perf_counter(), "no end"
    with contextlib.suppress(_TooLateError):
        ended = _end(results(way, job, keys), began)
    return {"ended": ended, "deaths": len(list(notes.glob("killed-*"))), "seconds": time.perf_counter() - began}


class _TooLateError(RuntimeError):
    pass


def _end(found: Iterable[Any], began: float) -> str:
    import signal

    import ray.exceptions

    def late(number: int, frame: object) -> None:
        raise _TooLateError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(int(DEADLINE_S))
    try:
        list(found)
    except (ComputeError, ray.exceptions.RayError) as error:
        return f"{type(error).__name__} after {time.perf_counter() - began:.0f} s"
    finally:
        signal.alarm(0)
    return "without an error"


def measure() -> dict[str, Any]:
    """Every way in turn, the shortest of the rounds; then the poison shard."""
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            rounds[way].append(fresh_process("geo_pipeline_tests.speed.ray_shards", "one", way))
    best = {
        way: {name: min(found[name] for found in several) for name in several[0]} for way, several in rounds.items()
    }
    for way in WAYS[1:]:
        best[way] |= {"poison": fresh_process("geo_pipeline_tests.speed.ray_shards", "poison", way)}
    return best


def document(figures: dict[str, Any]) -> str:
    """The figures for a reader."""
    where = machine()
    lines = [
        "# How shards are given to Ray",
        "",
        f"`python -m geo_pipeline_tests.speed.ray_shards`, {where['cores']} cores ({where['cpu']}), local Ray with 4 "
        f"logical CPUs and two workers: {SHARDS} shards of {ROWS} drawn photographs through the sample's OneFormer. "
        f"Shortest of {ROUNDS} rounds in turn, start of Ray included, other work on the machine. The poison shard "
        f"kills the process that works on it every time; deadline {DEADLINE_S:.0f} s.",
        "",
        "| way | first shard | last shard | loads of the network | poison shard: deaths | and how it ended |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for way, found in figures.items():
        end = found.get("poison", {"deaths": "", "ended": "ends the process itself"})
        lines.append(
            f"| {way} | {found['first_s']:.1f} s | {found['last_s']:.1f} s | {found['loads']:.0f} | {end['deaths']} | "
            f"{end['ended']} |"
        )
    return "\n".join([*lines, "", *REASONS])


REASONS = (
    "Chosen: **actors**, a shard at a time each, which Ray starts again (`max_restarts`). As many networks are loaded "
    "as there are workers, and they end with the job. Tasks were no quicker. On GPUs (read, not measured) Ray ends a "
    "task's process after each task unless told otherwise, so that a network is loaded again, or stays in a GPU's "
    "memory after its job. Ray Data was no quicker either and repeats the shard of an actor that dies without end "
    '("There are infinite retries remaining").',
    "",
    "How often a shard may end its process is counted by the driver. Ray's own count for actors, `max_task_retries`, "
    "was tried and is used up within a second where a node is lost: its actors are `temporarily unavailable`, each "
    "retry fails at once, and a good shard was held to be poison (two nodes, one removed).",
)


def main() -> None:
    """Measure everything, or one way in this process."""
    if sys.argv[1:2] in (["one"], ["poison"]):
        with tempfile.TemporaryDirectory() as folder:
            found = (one if sys.argv[1] == "one" else poison)(sys.argv[2], Path(folder))
        print(json.dumps(found))  # noqa: T201 - read by the process that measures
        return
    figures = measure()
    text = document(figures)
    print(text)  # noqa: T201 - what a measurement is run for
    if "--save" in sys.argv:
        save("ray", {"ways": figures}, text)


if __name__ == "__main__":
    main()
