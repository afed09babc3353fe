"""The `geo-pipeline` command in processes of their own, which may be killed: forked, so that imports are paid once."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

NEEDED_SECONDS = 600.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (128 + signal for a killed one), what it printed, and after how long."""

    code: int
    printed: str
    seconds: float

    @property
    def last_line(self) -> str:
        """The last line that is not blank."""
        lines = [line.strip() for line in self.printed.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def is_plain(self) -> bool:
        """Whether it is free of tracebacks, and a refusal ends with one line for a user."""
        plain = "Traceback" not in self.printed
        return plain and (self.code == 0 or self.last_line.startswith(("geo-pipeline: ", "stopped")))


class Child:
    """One running command."""

    def __init__(
        self,
        words: Sequence[object],
        log: Path,
        file_bytes: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.log = log
        self.began = time.monotonic()
        sys.stdout.flush()
        log.unlink(missing_ok=True)  # what outlives a killed command for a moment writes into the old one
        self.pid = os.fork()
        if self.pid == 0:
            _become_command([str(word) for word in words], log, file_bytes, environment or {})
        self._code: int | None = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, to this process alone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, seconds: float = NEEDED_SECONDS) -> Ended:
        """Wait for the end; a command that does not come to it is killed, with the code 124."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        late = self.poll() is None
        if late:
            os.kill(self.pid, signal.SIGKILL)
            while self.poll() is None:
                time.sleep(0.02)
        code = 124 if late else int(self._code or 0)
        return Ended(
            128 - code if code < 0 else code, self.log.read_text(errors="replace"), time.monotonic() - self.began
        )


def ended(words: Sequence[object], log: Path, seconds: float = NEEDED_SECONDS) -> Ended:
    """Run a command to its end."""
    return Child(words, log).wait(seconds)


def _become_command(words: list[str], log: Path, file_bytes: int | None, environment: dict[str, str]) -> NoReturn:
    code = 70
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["geo-pipeline", *words]
        os.environ.update(environment)
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        from geo_pipeline.cli import app

        app(words, standalone_mode=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the process ends here, and its log has to say why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
