"""What SIGINT and SIGTERM do to a run: it ends within seconds, with one line and exit code 130 or 143.

Dagster and Ray put handlers of their own in the place of ours while they work, and one waits for a pool deaf to them.
So the signal is noted below all handlers (`signal.set_wakeup_fd`) by a thread of its own: the run has `GRACE_S` seconds
to end by itself, then the process ends as it is. Whatever it was writing is as if it had been killed: not there.
"""

import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType, TracebackType
from typing import NoReturn, Self

GRACE_S = 5.0
STOPPED = "stopped; run again to go on, finished shards are kept"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(RuntimeError):
    """A signal ended the work."""

    def __init__(self, number: int) -> None:
        super().__init__(STOPPED)
        self.number = number
        self.exit_code = 128 + number

    def __reduce__(self) -> tuple[type["StoppedError"], tuple[int]]:
        """Made again from its parts where it is sent to another process."""
        return type(self), (self.number,)


class StopsAtSignals:
    """A context in which the first signal interrupts the work and the second, or five seconds, ends the process.

    Leaving it after a signal raises StoppedError, whatever the interrupted work raised itself. Outside of the main
    thread, where no signal arrives, it does nothing.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.grace_s = grace_s
        self.received: int | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._reading, self._writing = socket.socketpair()
            self._writing.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
            self._before = [(number, signal.signal(number, _interrupt)) for number in _SIGNALS]
            self._watcher = threading.Thread(target=self._watch, name="stops-at-signals", daemon=True)
            self._watcher.start()
            self._unraisable, sys.unraisablehook = sys.unraisablehook, self._without_interrupts
            self._logs = [each for each in (*logging.root.handlers, logging.lastResort) if each is not None]
            for log in self._logs:
                log.addFilter(_is_news)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._main:
            return
        self._ended.set()
        sys.unraisablehook = self._unraisable
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before:
            signal.signal(number, handler)
        for log in self._logs:
            log.removeFilter(_is_news)
        self._writing.close()
        self._watcher.join()  # it may not have read the last signal yet
        if self.received is not None:
            raise StoppedError(self.received) from None

    def _without_interrupts(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Python prints and drops an interrupt that came while it collected garbage: it is no news, and the time runs.

        Dagster's is no KeyboardInterrupt, but no Exception either.
        """
        if issubclass(unraisable.exc_type, Exception):
            self._unraisable(unraisable)

    def _watch(self) -> None:
        """Note the first signal, and see to it that the process ends."""
        while arrived := self._reading.recv(16):
            for number in (each for each in arrived if each in _SIGNALS):
                if self.received is not None and not self._ended.is_set():
                    _end_now(self.received)
                self.received = self.received or number
                threading.Thread(target=self._end_late, daemon=True).start()
        self._reading.close()

    def _end_late(self) -> None:
        if not self._ended.wait(self.grace_s):
            _end_now(int(self.received or 0))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a log record is about something else than an interrupt, which SQLAlchemy logs as an error of its own."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or issubclass(kind, Exception)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _end_now(number: int) -> NoReturn:
    """End this process without a word from anybody else."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # a progress bar hides the cursor
    sys.stderr.write(f"\n{STOPPED}\n")
    sys.stderr.flush()
    os._exit(128 + number)
