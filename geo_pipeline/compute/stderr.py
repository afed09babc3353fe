"""Lines that a C++ library writes to file descriptor 2, past `sys.stderr`, and that say nothing to anybody."""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator

CHUNK_BYTES = 65_536
WAIT_S = 0.2
"""Where no other process holds the pipe, its reader ends at once."""


@contextlib.contextmanager
def passing_on_stderr(but: re.Pattern[bytes]) -> Iterator[None]:
    """What is written to file descriptor 2 in the block goes on at once to where it went, but for what matches `but`.

    A process that was started in the block and lives on keeps writing through here.
    """
    sys.stderr.flush()
    before = os.dup(2)
    reads, writes = os.pipe()
    os.dup2(writes, 2)
    os.close(writes)
    passing = threading.Thread(target=_pass_on, args=(reads, os.dup(before), but), name="stderr", daemon=True)
    passing.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        passing.join(timeout=WAIT_S)


def _pass_on(reads: int, to: int, but: re.Pattern[bytes]) -> None:
    with os.fdopen(reads, "rb", buffering=0) as pipe, os.fdopen(to, "wb", buffering=0) as before:
        while chunk := pipe.read(CHUNK_BYTES):
            before.write(but.sub(b"", chunk))
