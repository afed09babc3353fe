"""One run at a time in a home: a lock that names its holder and ends with its process.

The lock is the system's own (`flock`) on the file `.lock` of the home, so a killed run holds it no longer; the file
says who holds it. A whole run holds it alone; single steps (`shared=True`) hold it together, and no run begins beside
them. What of a dead run has to be tidied up belongs to orchestration/dead_runs.py.
"""

import contextlib
import errno
import fcntl
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geo_pipeline.home.processes import Process

LOCK = ".lock"
LONGEST_COMMAND = 100
"""Characters of a command in a message; Dagster's own have hundreds."""
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_HELD: dict[Path, int] = {}
"""The homes that this process holds, and how often."""


class HomeLockedError(RuntimeError):
    """Another process works in the home; the message names it."""


class ReadOnlyHomeError(RuntimeError):
    """The home cannot be written to."""


class NoFolderError(RuntimeError):
    """The home is a file."""


@dataclass(frozen=True)
class Holder:
    """Who holds a home: its process, its command, and since when (UTC)."""

    process: Process
    command: str
    since: str

    def label(self) -> str:
        """How messages name it."""
        return f"`{self.command}` (process {self.process.pid} on {self.process.host}, since {self.since})"


@contextlib.contextmanager
def held(root: Path, say: Callable[[str], None], shared: bool = False) -> Iterator[None]:
    """Hold a home while something is written to it; a process that holds it already holds it once more.

    `root` is a folder that can be written to, or made. A dead holder is taken over, and `say` gets one line about it.
    Raises HomeLockedError, which names the holder, when another process has it, ReadOnlyHomeError, NoFolderError.
    """
    if root.exists() and not root.is_dir():
        raise NoFolderError(f"found that {root} is a file, expected a folder for the home; choose another with --home")
    root.mkdir(parents=True, exist_ok=True)
    root = root.resolve()
    if _HELD.get(root):
        with _counted(root):
            yield
        return
    descriptor, locked = _open(root / LOCK, shared)
    try:
        _refuse_or_take_over(root / LOCK, descriptor, say, locked)
        mine = _note(descriptor)
        try:
            with _counted(root):
                yield
        finally:
            if _read(descriptor) == mine:
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _counted(root: Path) -> Iterator[None]:
    _HELD[root] = _HELD.get(root, 0) + 1
    try:
        yield
    finally:
        _HELD[root] -= 1


def _open(location: Path, shared: bool) -> tuple[int, bool]:
    """The lock file, and whether the file system locks it. Raises HomeLockedError when another process has it."""
    try:
        descriptor = os.open(location, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        raise ReadOnlyHomeError(
            f"found {location.parent} read-only ({error.strerror}), expected a home that can be written to; make it "
            "writable, or copy it and run with --home COPY (status, locate and sql only read)"
        ) from None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return descriptor, False
        holder = _holder(_read(descriptor))
        os.close(descriptor)
        if error.errno in _BUSY:
            raise HomeLockedError(_refusal(location, holder)) from None
        raise
    return descriptor, True


def _refuse_or_take_over(location: Path, descriptor: int, say: Callable[[str], None], locked: bool) -> None:
    left = _holder(_read(descriptor))
    if left is None or left.process == Process.this():
        return
    state = left.process.state()
    if state == "unknown":
        raise HomeLockedError(
            f"found {location.parent} held by {left.label()}, and from {Process.this().host} it cannot be seen whether "
            f"that process still runs; wait until it has ended, or, when it is gone, delete {location} and run again"
        )
    if state == "runs" and not locked:  # without the system's lock, who is noted has it as long as its process runs
        raise HomeLockedError(_refusal(location, left))
    if state == "gone":
        say(f"{left.label()} did not come to its end; this run goes on from the shards it finished")


def _refusal(location: Path, holder: Holder | None) -> str:
    who = "another process" if holder is None else holder.label()
    how = "wait for it" if holder is None else f"wait for it, or end it (kill {holder.process.pid})"
    return f"found {location.parent} in use by {who}, expected one run at a time in a home; {how}, then run again"


def _note(descriptor: int) -> str:
    command = _shortened(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    since = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"process": Process.this().to_json(), "command": command, "since": since})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
    return text


def _shortened(command: str) -> str:
    return command if len(command) <= LONGEST_COMMAND else f"{command[: LONGEST_COMMAND - 4]} ..."


def _read(descriptor: int) -> str:
    return os.pread(descriptor, 2**16, 0).decode(errors="replace")


def _holder(text: str) -> Holder | None:
    """Who is noted; None for an empty or damaged note."""
    try:
        known = json.loads(text)
        process = Process.from_json(known["process"])
        return None if process is None else Holder(process, str(known["command"]), str(known["since"]))
    except (ValueError, KeyError, TypeError):
        return None
