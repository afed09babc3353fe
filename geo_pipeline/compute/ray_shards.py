"""Shards on Ray: actors that are given keys, and that Ray starts again.

An actor loads its network once and works on one shard at a time. Where its process or its node is lost, Ray starts it
again, on another node where need be, and the shard goes to whichever actor is free, a bounded number of times. That
bound is kept here: Ray's own (`max_task_retries`) is used up within a second by a node that does not answer before Ray
knows that it is lost. Keys go out and numbers come back: rows are read and written where the actor runs.
`geo_pipeline_tests.speed.ray_shards` compares this with Ray tasks and with Ray Data.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from geo_pipeline.compute.compute import ComputeError, Notes, ShardJob

TRIES = 3
"""How often a shard may end the process that works on it, before it is held to be the cause."""
BEAT = "beat"
BEAT_S = 5.0
WAIT_S = 0.25


class ShardActor:
    """Lives in an actor. `batches_done` answers from a thread of its own while `run` works."""

    def __init__(self, job: ShardJob) -> None:
        self.job = job
        self.work: Callable[[str], Notes] | None = None

    def started(self) -> None:
        """Answers once the process is there."""

    def run(self, key: str) -> dict[str, object]:
        """Do one shard."""
        if self.work is None:
            self.work = self.job.open()
        return dict(self.work(key))

    def batches_done(self) -> int:
        """How far it has come: grows while it works."""
        return int(getattr(self.work, "batches_done", 0))


class ShardActors:
    """The actors of one call: at most `size`, each with `cpus` and `gpus`; ended when `results` is."""

    def __init__(self, job: ShardJob, size: int, cpus: float, gpus: float, stall_s: float) -> None:
        import ray

        self._ray = ray
        self._name = job.name
        self._size, self._stall_s = max(1, size), stall_s
        self._asks = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
        self._kept_job = ray.put(job)
        self._class = ray.remote(
            num_cpus=cpus,
            num_gpus=gpus or None,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
            max_task_retries=-1,
            concurrency_groups={BEAT: 1},
        )(ShardActor)
        self._actors: list[Any] = []
        self._deaths: Counter[str] = Counter()
        self._progress: list[int | None] = []

    def results(self, keys: Sequence[str]) -> Iterator[tuple[str, Notes]]:
        """Every key with its notes, as soon as it is done."""
        waiting: deque[str] = deque(keys)
        idle: list[Any] = []
        busy: dict[Any, tuple[Any, str | None]] = {}
        try:
            for _ in range(min(self._size, len(keys))):
                actor = self._class.remote(self._kept_job)
                self._actors.append(actor)
                busy[actor.started.remote()] = (actor, None)
            while waiting or any(key is not None for _, key in busy.values()):
                for reference in self._finished(list(busy)):
                    actor, key = busy.pop(reference)
                    notes = self._notes(reference, key)
                    if notes is None and key is not None:
                        waiting.appendleft(key)
                        busy[actor.started.remote()] = (actor, None)
                    else:
                        idle.append(actor)
                    while waiting and idle:
                        free, following = idle.pop(), waiting.popleft()
                        busy[free.run.options(max_task_retries=0).remote(following)] = (free, following)
                    if key is not None and notes is not None:
                        yield key, notes
        finally:
            for actor in self._actors if self._ray.is_initialized() else ():
                self._ray.kill(actor, no_restart=True)

    def _finished(self, references: list[Any]) -> list[Any]:
        """At least one reference that has come to its end. Raises ComputeError when nothing moves for `stall_s`."""
        while True:
            if done := self._waited(references):
                return done
            progress = self._beats()
            if progress == self._progress or not any(progress):
                raise self._stalled(progress)
            self._progress = progress

    def _waited(self, references: list[Any]) -> list[Any]:
        """What has come to its end within `stall_s`; a signal is heard meanwhile, to which Ray's own wait is deaf."""
        end = time.monotonic() + self._stall_s
        while (left := end - time.monotonic()) > 0:
            done: list[Any] = self._ray.wait(references, num_returns=1, timeout=min(left, WAIT_S))[0]
            if done:
                return done
        return []

    def _beats(self) -> list[int | None]:
        """Batches done by each actor; None of one that does not answer."""
        asked = [actor.batches_done.options(concurrency_group=BEAT).remote() for actor in self._actors]
        answered = set(self._ray.wait(asked, num_returns=len(asked), timeout=BEAT_S)[0])
        return [self._beat(reference) if reference in answered else None for reference in asked]

    def _beat(self, reference: Any) -> int | None:
        try:
            return int(self._ray.get(reference))
        except self._ray.exceptions.RayError:
            return None

    def _notes(self, reference: Any, key: str | None) -> Notes | None:
        """What came of a finished reference; None where the process or the node at work was lost."""
        errors = self._ray.exceptions
        where = "at its start" if key is None else f"at shard {key}"
        try:
            return self._ray.get(reference) or {}
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(getattr(error, "cause", None), BaseException) else error
            raise ComputeError(
                f"{self._name} failed {where}: {type(cause).__name__}: {cause}; finished shards are kept, run again "
                "once that is mended"
            ) from cause
        except errors.UnserializableException as error:
            lines = [line.strip() for line in str(error).splitlines() if "Error" in line and "ray." not in line]
            raise ComputeError(
                f"{self._name} failed {where}: {' '.join(lines[-1:])[:400]}; finished shards are kept, run again once "
                "that is mended"
            ) from None
        except (errors.RayActorError, errors.ObjectLostError) as error:
            if key is not None:
                self._deaths[key] += 1
                if self._deaths[key] < TRIES:
                    return None
            often = "died" if key is None else f"died {TRIES} times"
            raise ComputeError(
                f"{self._name} {often} {where}, expected it to live: {_cause_of_death(str(error))}. If "
                "memory ran out, lower compute.actors or compute.batch_rows (--set); if it is this shard, look at its "
                "input; run again, finished shards are kept"
            ) from None
        except errors.RuntimeEnvSetupError as error:
            raise ComputeError(
                f"{self._name} could not start on a node: {_cause_of_death(str(error))}; expected every node to have "
                "what docs/deployment/ lists"
            ) from None

    def _stalled(self, progress: list[int | None]) -> ComputeError:
        started = sum(beat is not None for beat in progress)
        whole, free = self._ray.cluster_resources(), self._ray.available_resources()
        lacking = [
            f"{name} {free.get(name, 0.0):g} free of {whole.get(name, 0.0):g}"
            for name, wanted in self._asks.items()
            if free.get(name, 0.0) < wanted
        ]
        asked = ", ".join(f"{name} {wanted:g}" for name, wanted in self._asks.items())
        if started:
            reason = f"{started} of {len(progress)} workers answer, none has finished a batch: the work hangs"
        else:
            reason = f"no worker answers; each asks {asked}, and the cluster has {'; '.join(lacking) or 'that free'}"
        return ComputeError(
            f"found no result of {self._name} for {self._stall_s:.0f} s, expected one: {reason}. Free resources, or "
            "raise compute.stall_s (--set), and run again; finished shards are kept"
        )


def _cause_of_death(words: str) -> str:
    """What Ray's many lines say of the cause, in one."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    causes = [line for line in lines if "exit type" in line.lower() or "exit detail" in line.lower()] or lines[-1:]
    return " ".join(causes)[:400].rstrip(". ")
