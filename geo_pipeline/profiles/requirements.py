"""The start check of weights and class lists: what a profile needs, by id or by local path, and what of it is missing.

Looks only; nothing is fetched and no weight is read.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NeededFiles:
    """Files of one model or class list.

    `repository` is a Hugging Face id, or a local folder; `files` may use wildcards.
    """

    purpose: str
    repository: str
    files: tuple[str, ...]
    revision: str = "main"
    kind: str = "model"

    def missing(self) -> list[str]:
        """One line that names the files that are not there and how to get them; empty when all are there."""
        folder = self.folder()
        absent = [name for name in self.files if folder is None or not any(folder.glob(name))]
        if not absent:
            return []
        if Path(self.repository).is_absolute():
            return [f"{self.purpose}: {', '.join(absent)} in the folder {self.repository}"]
        option = f" --repo-type {self.kind}" if self.kind != "model" else ""
        return [
            f"{self.purpose}: {', '.join(absent)} of {self.repository} at revision {self.revision} "
            f"(`hf download {self.repository} --revision {self.revision}{option}`, or name a local folder)"
        ]

    def folder(self) -> Path | None:
        """The local folder, or the snapshot in the Hugging Face cache; None when there is none."""
        if Path(self.repository).is_absolute():
            return Path(self.repository) if Path(self.repository).is_dir() else None
        cached = hub_cache() / f"{self.kind}s--{self.repository.replace('/', '--')}"
        pointer = cached / "refs" / self.revision
        commit = pointer.read_text().strip() if pointer.is_file() else self.revision
        snapshot = cached / "snapshots" / commit
        return snapshot if snapshot.is_dir() else None


def hub_cache() -> Path:
    """Where the Hugging Face client keeps what it fetched; the environment variables are its own."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"
