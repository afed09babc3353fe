"""Which process did something, in words that another process can check later: whether it still runs.

A process id is used again after a while, and means nothing on another machine; so the host, its boot and the moment
at which the process started stand beside it. What processes hold belongs to lock.py and orchestration/dead_runs.py.
"""

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

PROC = Path("/proc")
State = Literal["runs", "gone", "unknown"]


@dataclass(frozen=True)
class Process:
    """One process of one machine; `boot` and `started` are empty where the system does not report them."""

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        return cls(platform.node(), _boot(), os.getpid(), started_at(os.getpid()))

    def state(self) -> State:
        """Whether it still runs; unknown when it is a process of another machine."""
        same_boot = bool(self.boot) and self.boot == _boot()
        if not same_boot and self.host != platform.node():
            return "unknown"
        if self.boot and not same_boot:
            return "gone"  # this machine has been started again since
        now = started_at(self.pid)
        if self.started and now:
            return "runs" if now == self.started else "gone"
        return "runs" if is_running(self.pid) else "gone"

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """The process that `to_json` wrote down; None for any other text."""
        try:
            known = json.loads(text)
            return cls(str(known["host"]), str(known["boot"]), int(known["pid"]), str(known["started"]))
        except (ValueError, KeyError, TypeError):
            return None


def is_running(pid: int) -> bool:
    """Whether this machine has a process of this id that is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, so it is there
    fields = _fields(pid)
    return not fields or fields[0] != "Z"


def started_at(pid: int) -> str:
    """When a process of this machine started, in clock ticks since the boot; empty when it is gone or not reported."""
    fields = _fields(pid)
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def started_s(pid: int) -> float | None:
    """When a process of this machine started, in seconds since 1970; None when it is gone or not reported."""
    ticks = started_at(pid)
    boot = next((line for line in _lines(PROC / "stat") if line.startswith("btime ")), "")
    return float(boot.split()[1]) + int(ticks) / os.sysconf("SC_CLK_TCK") if ticks and boot else None


def _lines(location: Path) -> list[str]:
    try:
        return location.read_text().splitlines()
    except OSError:
        return []


def _fields(pid: int) -> list[str]:
    """What Linux says of a process after its name, which may hold blanks and brackets."""
    return "".join(_lines(PROC / str(pid) / "stat")).rpartition(")")[2].split()


def _boot() -> str:
    return "".join(_lines(PROC / "sys/kernel/random/boot_id")).strip()
