"""Files that appear whole or not at all: written beside their name, then renamed.

What is written belongs to `home`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """A name beside a file, under which it is written before it is renamed; nothing is left of it after an error."""
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def write_whole(place: Path, text: str) -> None:
    """Write a file of text in one step, as readers see it."""
    with beside(place) as part:
        part.write_text(text, encoding="utf-8")
        part.replace(place)
