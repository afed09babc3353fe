"""Whether weights are what they were, before a home uses them: each file by name, size and digest, noted in the home.

In a Hugging Face cache a file of a snapshot is a link to a blob that is named by the hub's own digest: the SHA-256 of a
large file, git's SHA-1 of a small one. What has no such name (a local folder, a cache without links) is known by the
SHA-256 that it had when the home first used it. A file is read to its end once per home, and again when its size or
time is another; a start that finds both as noted reads none. Which files are missing belongs to `requirements`.
"""

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from geo_pipeline.home.integrity import file_sha256
from geo_pipeline.home.writing import write_whole
from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.requirements import NeededFiles

LOG = logging.getLogger(__name__)
NOTED = "weights.json"
_WEIGHTS, _COMMITS, _SEAL = "weights", "commits", "digest"
"""`commits`: what a branch or pull request of the hub was when it was read last."""
_HUB_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA1_DIGITS = 40
_PIECE_BYTES = 2**20

Note = dict[str, Any]
"""Of a file its size, its time, its SHA-256, and the digest that the hub gives it or none."""


class _DamagedFileError(ValueError):
    """A file has not the digest that the hub gives it."""


class _ChangedFileError(ValueError):
    """A file is not the one that the home first used."""


def check_weights(needs: Iterable[NeededFiles], home: Path, renewal: Callable[[NeededFiles], str]) -> None:
    """Compare files with the hub's digests and with what the home notes of them; note those that are new to it.

    `renewal` is the command that makes anew what was made with them. Raises ProfileError with one line for each
    file that is damaged, or changed since.
    """
    noted, problems = _noted(home / NOTED), []
    commits = _commits(home / NOTED)
    for need in needs:
        known = noted.setdefault(f"{need.kind} {need.repository} {need.revision}", {})
        present, folder = need.present(), need.folder()
        if folder is not None and folder.parent.name == "snapshots":
            commits[f"{need.kind} {need.repository} {need.revision}"] = folder.name
        for name in sorted({*known, *present}):
            try:
                known[name] = _examined(f"{name} of {need.repository}", present.get(name), known.get(name))
            except _DamagedFileError as error:
                problems.append(f"{error}; fetch it again: `{need.download(name)} --force-download`")
            except _ChangedFileError as error:
                problems.append(
                    f"{error}; put that file back, or, if the change is meant, delete {home / NOTED} and make "
                    f"anew what was made with it: `{renewal(need)}`"
                )
    _note(home / NOTED, noted, commits)
    if problems:
        raise ProfileError("\n".join(problems))


def hub_digest(path: Path) -> str | None:
    """The digest that the hub gives a file of its cache; None where the cache has no links, and for any other file."""
    if not path.is_symlink():
        return None
    blob = path.readlink()
    return blob.name if blob.parent.name == "blobs" and _HUB_DIGEST.fullmatch(blob.name) else None


def _examined(what: str, path: Path | None, known: Note | None) -> Note:
    """The note of a file that is what it was; it is read where the size or the time is not the known one."""
    hub = None if path is None else hub_digest(path)
    expected = f"{known['size']} bytes of digest {known['sha256']}, as this home first used it" if known else "a file"
    if path is None or not path.exists():
        if hub:
            raise _DamagedFileError(f"found {what} damaged: a link to nothing, expected digest {hub}, the hub's")
        raise _ChangedFileError(f"found {what} gone, expected {expected}")
    status = path.stat()
    now = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "hub": hub}
    if known is not None and known == now | {"sha256": known["sha256"]}:
        return known
    sha256 = file_sha256(path)
    digest = _git_sha1(path) if hub and len(hub) == _SHA1_DIGITS else sha256
    if hub and digest != hub:
        raise _DamagedFileError(
            f"found {what} damaged: {status.st_size} bytes of digest {digest}, expected {hub}, the hub's"
        )
    if known is not None and known["sha256"] != sha256:
        raise _ChangedFileError(f"found {what} changed: {status.st_size} bytes of digest {sha256}, expected {expected}")
    return now | {"sha256": sha256}


def _git_sha1(path: Path) -> str:
    """The name that git, and so the hub, gives the content of a small file."""
    hasher = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            hasher.update(piece)
    return hasher.hexdigest()


def _noted(place: Path) -> dict[str, dict[str, Note]]:
    """What the home notes, by repository and name; nothing, with a warning, where the note is damaged."""
    try:
        known = json.loads(place.read_text(encoding="utf-8"))
        noted: dict[str, dict[str, Note]] = known[_WEIGHTS]
        if known[_SEAL] == _digest(noted):
            return noted
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        pass
    LOG.warning("found %s damaged, expected what a run noted; all weights are read and noted again", place)
    return {}


def _commits(place: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return dict(json.loads(place.read_text(encoding="utf-8"))[_COMMITS])
    return {}


def _note(place: Path, noted: dict[str, dict[str, Note]], commits: dict[str, str]) -> None:
    text = json.dumps({_WEIGHTS: noted, _COMMITS: commits, _SEAL: _digest(noted)}, indent=1) + "\n"
    with contextlib.suppress(OSError):  # a home that may only be read: then they are read at every start
        if not place.is_file() or place.read_text(encoding="utf-8", errors="replace") != text:
            write_whole(place, text)


def _digest(noted: object) -> str:
    return hashlib.sha256(json.dumps(noted, sort_keys=True).encode()).hexdigest()[:32]
