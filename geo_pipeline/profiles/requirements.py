"""The start check of weights and class lists: what a profile's networks need, by id or by local path, and what of it is
missing.

Looks only; nothing is fetched and no weight is read.
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
            f"(`hf download {self.repository} --revision {self.revision}{option}`, or name a local folder by its whole "
            "path)"
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
        NeededFiles("class list of OneFormer", repository, (name,), kind="dataset"),
    ]


def _tower(config: VisionConfig) -> list[NeededFiles]:
    if config.model.startswith("local-dir:"):
        folder = Path(config.model.removeprefix("local-dir:")).absolute()
        return [NeededFiles("CLIP tower", str(folder), ("open_clip_config.json", "open_clip_model.safetensors"))]
    if config.pretrained is not None and config.pretrained.endswith(".safetensors"):
        file = Path(config.pretrained).absolute()
        return [NeededFiles(f"weights of {config.model}", str(file.parent), (file.name,))]
    if (config.model, config.pretrained) == OPENAI_CLIP:
        repository = "timm/vit_large_patch14_clip_336.openai"
        return [NeededFiles("CLIP ViT-L/14-336 of OpenAI through open_clip", repository, ("*.safetensors",))]
    return []


def hub_cache() -> Path:
    """Where the Hugging Face client keeps what it fetched; the environment variables are its own."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"
