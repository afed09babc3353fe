"""Whether a training has ended in a folder, and the checkpoint there is still what it wrote.

So one that was killed before its checkpoint was put away is not done again, and nothing that was damaged meanwhile is
put away in its place: it is written again from the last `state`, and hashed anew when it is put away (home).
"""

import hashlib
import logging
from pathlib import Path

from geo_pipeline.training.folder import LAST, NO_CONTENT

LOG = logging.getLogger(__name__)
ENDED = "ended"
"""In `last`: the fingerprint of the training, and one SHA-256 of the files of its checkpoint."""


def note_ended(folder: Path, fingerprint: str) -> None:
    """Note that a training wrote its checkpoint whole."""
    (folder / LAST).mkdir(exist_ok=True)
    fresh = folder / LAST / f".{ENDED}.new"
    fresh.write_text(_note(folder, fingerprint), encoding="utf-8")
    fresh.replace(folder / LAST / ENDED)


def has_ended(folder: Path, fingerprint: str) -> bool:
    """Whether this very training noted its end and the files are those that it wrote; a warning where they are not."""
    try:
        noted = (folder / LAST / ENDED).read_bytes()
    except FileNotFoundError:
        return False
    if noted == _note(folder, fingerprint).encode():
        return True
    LOG.warning("found in %s other files than a training wrote there; its checkpoint is written again", folder)
    return False


def _note(folder: Path, fingerprint: str) -> str:
    hasher = hashlib.sha256()
    files = (item for item in folder.rglob("*") if item.is_file())
    for path in sorted(item for item in files if item.relative_to(folder).parts[0] not in {LAST, *NO_CONTENT}):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
        hasher.update(f"{path.relative_to(folder).as_posix()}:{own}:".encode())
    return f"{fingerprint} {hasher.hexdigest()}"
