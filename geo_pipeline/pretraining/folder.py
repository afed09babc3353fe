"""Replaces a folder of weights in one go, so that a reader finds the old network or the new one, never a mixture."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes the place of `out` at the end, unless an error is raised."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    draft.chmod(0o755)
    try:
        yield draft
        for path in draft.iterdir():
            path.chmod(0o644)
        if out.exists():
            old = draft.with_name(draft.name + "-old")
            out.rename(old)
            draft.rename(out)
            shutil.rmtree(old)
        else:
            draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
