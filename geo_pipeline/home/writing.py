"""Files that appear whole or not at all: written beside their name, then renamed.

What is written belongs to `home`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def beside(location: Path) -> Iterator[Path]:
    """A name beside a file, under which it is written before it is renamed; nothing is left of it after an error."""
    part = location.with_name(f".{location.name}.{os.getpid()}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def write_whole(location: Path, text: str) -> None:
    """Write a file of text in one step, as readers see it."""
    with beside(location) as part:
        part.write_text(text, encoding="utf-8")
        part.replace(location)
