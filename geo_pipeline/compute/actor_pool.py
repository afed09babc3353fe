"""The order of work in a pool of actors: which batch goes where, what comes out next, and what happens when one dies.

No Ray here: the actors are reached through `Actors`, which compute.py implements. A batch waits in the driver until an
actor has loaded its network and has room, so an actor that never gets its CPU or GPU holds nothing up.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

BATCHES_PER_ACTOR = 2
WINDOW_PER_ACTOR = 4
BYTES_IN_FLIGHT = 512 * 2**20
DEATHS_ALLOWED = 3


class ComputeError(RuntimeError):
    """Work did not come to its end: no progress for too long, a worker that failed or died, a training that failed."""


class ActorLostError(RuntimeError):
    """An actor died, or took a result with it; the message says of what."""


class Actors(Protocol):
    """What a pool needs of the place where its actors live. References are opaque and can be keys of a dictionary."""

    def start(self) -> tuple[Any, Any]:
        """A new actor and the reference of its loading."""
        ...

    def put(self, rows: pa.Table) -> Any:
        """Keep a batch where actors can read it."""
        ...

    def call(self, actor: Any, batch: Any) -> Any:
        """Give an actor a kept batch; the reference of its result."""
        ...

    def finished(self, references: list[Any], timeout_s: float) -> list[Any]:
        """Those that have come to an end, at least one unless the time is over."""
        ...

    def result(self, reference: Any) -> pa.Table | None:
        """What came of a finished reference: a table, or None of a loading.

        ActorLostError when the actor died, ComputeError when the worker raised.
        """
        ...

    def kill(self, actor: Any) -> None:
        """End an actor now, with whatever it is doing."""
        ...


@dataclass(eq=False)
class _Batch:
    number: int
    kept: Any
    size: int
    deaths: int = 0


@dataclass(eq=False)
class _Member:
    """An actor of the pool: its loading (None once loaded), and what it has to do, oldest first."""

    actor: Any
    loading: Any
    tasks: dict[Any, _Batch] = field(default_factory=dict)

    def references(self) -> list[Any]:
        """Everything that is still awaited of it."""
        return [*([] if self.loading is None else [self.loading]), *self.tasks]


class ActorPool:
    """The actors of one call. `results` gives one table per batch, in order; `close` ends every actor."""

    def __init__(
        self, actors: Actors, size: int, stall_s: float, worker: str, bytes_in_flight: int = BYTES_IN_FLIGHT
    ) -> None:
        self._actors = actors
        self._size = max(1, size)
        self._stall_s = stall_s
        self._worker = worker
        self._bytes_in_flight = bytes_in_flight
        self._members: list[_Member] = []
        self._waiting: deque[_Batch] = deque()
        self._done: dict[int, pa.Table] = {}
        self._taken = 0
        self._due = 0
        self._deaths_at_loading = 0

    def results(self, batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Call the worker on every batch."""
        following = iter(batches)
        more = True
        while more or self._due < self._taken:
            while more and self._has_room():
                rows = next(following, None)
                if rows is None:
                    more = False
                else:
                    self._take(rows)
            self._hand_out()
            if self._due in self._done:
                self._due += 1
                yield self._done.pop(self._due - 1)
            elif self._due < self._taken:
                self._await()

    def close(self) -> None:
        """End every actor."""
        for member in self._members:
            self._actors.kill(member.actor)
        self._members.clear()

    def _has_room(self) -> bool:
        ahead = [*self._waiting, *(batch for member in self._members for batch in member.tasks.values())]
        return not ahead or (
            len(ahead) < BATCHES_PER_ACTOR * self._size
            and self._taken - self._due < WINDOW_PER_ACTOR * self._size
            and sum(batch.size for batch in ahead) < self._bytes_in_flight
        )

    def _take(self, rows: pa.Table) -> None:
        self._waiting.append(_Batch(self._taken, self._actors.put(rows), rows.nbytes))
        self._taken += 1
        if len(self._members) < self._size:
            self._members.append(_Member(*self._actors.start()))

    def _hand_out(self) -> None:
        """Give waiting batches to the loaded actors, to those with the least to do first."""
        ready = [member for member in self._members if member.loading is None]
        for load in range(BATCHES_PER_ACTOR):
            for member in ready:
                if self._waiting and len(member.tasks) == load:
                    batch = self._waiting.popleft()
                    member.tasks[self._actors.call(member.actor, batch.kept)] = batch

    def _await(self) -> None:
        """Wait until something has come to an end, and note what."""
        owners = {reference: member for member in self._members for reference in member.references()}
        finished = self._actors.finished(list(owners), self._stall_s)
        if not finished:
            raise ComputeError(
                f"found no result of {self._worker} for {self._stall_s:.0f} s; expected one: too few free CPUs or GPUs "
                "for its actors, or a worker that hangs. "
                "Free resources, or raise `stall_s` in the profile, and run again; finished shards are kept"
            )
        for reference in finished:
            member = owners[reference]
            if member in self._members and reference in member.references():
                try:
                    self._note(member, reference)
                except ActorLostError as error:
                    self._replace(member, error)

    def _note(self, member: _Member, reference: Any) -> None:
        result = self._actors.result(reference)
        if result is None:
            member.loading = None
            self._deaths_at_loading = 0
        else:
            self._done[member.tasks.pop(reference).number] = result

    def _replace(self, member: _Member, error: ActorLostError) -> None:
        """A new actor in the place of a dead one; what it had finished is kept, the rest is done again."""
        self._actors.kill(member.actor)
        for reference in list(member.tasks):
            try:
                self._note(member, reference)
            except ActorLostError:
                continue
        lost = list(member.tasks.values())  # the oldest was at work, and is held to be the cause
        if member.loading is not None:
            self._deaths_at_loading += 1
        elif lost:
            lost[0].deaths += 1
        if self._deaths_at_loading >= DEATHS_ALLOWED or (lost and lost[0].deaths >= DEATHS_ALLOWED):
            where = "while it loaded" if member.loading is not None else "at the same batch"
            raise ComputeError(
                f"{self._worker} died {DEATHS_ALLOWED} times {where}, expected it to live: {error}. If memory ran out, "
                "lower `actors` or `batch_rows` in the profile, and run again; finished shards are kept"
            ) from None
        self._waiting.extendleft(sorted(lost, key=lambda batch: -batch.number))
        self._members[self._members.index(member)] = _Member(*self._actors.start())
