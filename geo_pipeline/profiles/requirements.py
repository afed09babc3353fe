"""The start check of weights and class lists: what a profile's networks need, by id or by local path, and what of it is
missing.

Looks only; nothing is fetched and no weight is read. Whether a file is what it was belongs to `weights`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from geo_pipeline.geosurge.config import VisionConfig
from geo_pipeline.lvlm.config import SAMPLE_WEIGHTS_PREFIX, LvlmConfig
from geo_pipeline.segmentation.config import SegmentationConfig

OPENAI_CLIP = ("ViT-L-14-336-quickgelu", "openai")
"""The open_clip name and tag whose files are looked for on the hub; those of other tags are looked for when loaded."""
_SETTINGS = ("*.json", "*.txt", "*.jinja")
"""What loaders read beside the weights, where it is there: sizes, pixel means, vocabularies, templates."""


@dataclass(frozen=True)
class NeededFiles:
    """Files of one model or class list.

    `repository` is a Hugging Face id, or a local folder; `files` may use wildcards. `named` is what the configuration
    of an asset that reads them calls it, where that is not the repository.
    """

    purpose: str
    repository: str
    files: tuple[str, ...]
    revision: str = "main"
    kind: str = "model"
    named: str | None = None

    def missing(self) -> list[str]:
        """One line that names the files that are not there and how to get them; empty when all are there."""
        folder = self.folder()
        absent = [name for name in self.files if folder is None or not any(folder.glob(name))]
        if not absent:
            return []
        if Path(self.repository).is_absolute():
            return [f"{self.purpose}: {', '.join(absent)} in the folder {self.repository}"]
        return [
            f"{self.purpose}: {', '.join(absent)} of {self.repository} at revision {self.revision} "
            f"(`{self.download()}`, or name a local folder by its whole path)"
        ]

    def download(self, *words: str) -> str:
        """The command that fetches the repository, or with the name of a file that file alone."""
        kind = ("--repo-type", self.kind) if self.kind != "model" else ()
        return " ".join(("hf download", self.repository, *words, "--revision", self.revision, *kind))

    def present(self) -> dict[str, Path]:
        """The files that are there, by their names in the folder; a link that leads nowhere among them."""
        folder = self.folder()
        if folder is None:
            return {}
        found = {path for pattern in (*self.files, *_SETTINGS) for path in folder.glob(pattern) if not path.is_dir()}
        return {path.relative_to(folder).as_posix(): path for path in sorted(found)}

    def folder(self) -> Path | None:
        """The local folder, or the snapshot in the Hugging Face cache; None when there is none."""
        if Path(self.repository).is_absolute():
            return Path(self.repository) if Path(self.repository).is_dir() else None
        cached = hub_cache() / f"{self.kind}s--{self.repository.replace('/', '--')}"
        pointer = cached / "refs" / self.revision
        commit = pointer.read_text().strip() if pointer.is_file() else self.revision
        snapshot = cached / "snapshots" / commit
        return snapshot if snapshot.is_dir() else None


def needed_files(
    generation: LvlmConfig, router: LvlmConfig, segmentation: SegmentationConfig, towers: Iterable[VisionConfig]
) -> list[NeededFiles]:
    """The weights and class lists that these networks read; nothing for those that the sample ships."""
    users: dict[tuple[str, str | None], list[str]] = {}
    for user, lvlm in (("generation", generation), ("router", router)):
        users.setdefault((lvlm.model, lvlm.revision), []).append(user)
    found = [
        NeededFiles(
            f"Qwen2-VL ({' and '.join(who)})",
            model,
            ("config.json", "tokenizer.json", "*.safetensors"),
            revision or "main",
        )
        for (model, revision), who in users.items()
    ]
    found += _oneformer(segmentation)
    found += [each for tower in dict.fromkeys(towers) for each in _tower(tower)]
    return [each for each in found if not each.repository.startswith(SAMPLE_WEIGHTS_PREFIX)]


def _oneformer(config: SegmentationConfig) -> list[NeededFiles]:
    purpose, files = "OneFormer (segmentation)", ("config.json", "*.safetensors")
    if config.model.startswith(SAMPLE_WEIGHTS_PREFIX) or Path(config.model).is_absolute():
        return [NeededFiles(purpose, config.model, (*files, config.class_info))]
    repository, _, name = config.class_info.rpartition("/")
    return [
        NeededFiles(purpose, config.model, files, config.revision or "main"),
        NeededFiles("class list of OneFormer", repository, (name,), kind="dataset", named=config.class_info),
    ]


def _tower(config: VisionConfig) -> list[NeededFiles]:
    if config.model.startswith("local-dir:"):
        folder = Path(config.model.removeprefix("local-dir:")).absolute()
        names = ("open_clip_config.json", "open_clip_model.safetensors")
        return [NeededFiles("CLIP tower", str(folder), names, named=config.model)]
    if config.pretrained is not None and config.pretrained.endswith(".safetensors"):
        file = Path(config.pretrained).absolute()
        return [NeededFiles(f"weights of {config.model}", str(file.parent), (file.name,), named=config.model)]
    if (config.model, config.pretrained) == OPENAI_CLIP:
        repository = "timm/vit_large_patch14_clip_336.openai"
        purpose = "CLIP ViT-L/14-336 of OpenAI through open_clip"
        return [NeededFiles(purpose, repository, ("*.safetensors",), named=config.model)]
    return []


def hub_cache() -> Path:
    """Where the Hugging Face client keeps what it fetched; the environment variables are its own."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"
