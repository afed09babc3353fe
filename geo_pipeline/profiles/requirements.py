"""The start check of weights and class lists: what a profile's networks need, by id or by local path, and what of it is
missing.

Looks only; nothing is fetched and no weight is read. Whether a file is what it was belongs to `weights`.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from geo_pipeline.geosurge.config import CLIP_FILE, PINNED_CLIP, VisionConfig
from geo_pipeline.lvlm.config import SAMPLE_WEIGHTS_PREFIX, LvlmConfig
from geo_pipeline.segmentation.config import SegmentationConfig

OPENAI_CLIP = ("ViT-L-14-336-quickgelu", "openai")
"""The open_clip name and tag whose files are looked for on the hub; those of other tags are looked for when loaded."""
OPENAI_CLIP_REPOSITORY = "timm/vit_large_patch14_clip_336.openai"
WEIGHTS = "model.safetensors"
"""That file, or an index of several with all that it names."""
_INDEX = f"{WEIGHTS}.index.json"
_TOKENIZER = ("tokenizer_config.json", "tokenizer.json|vocab.json", "tokenizer.json|merges.txt")
_QWEN2VL = ("config.json", WEIGHTS, "preprocessor_config.json", *_TOKENIZER)
_ONEFORMER = ("config.json", WEIGHTS, "preprocessor_config.json|processor_config.json", *_TOKENIZER)
_SETTINGS = ("*.json", "*.txt", "*.jinja")
"""What loaders read beside the weights, where it is there: sizes, pixel means, vocabularies, templates."""


@dataclass(frozen=True)
class NeededFiles:
    """Files of one model or class list.

    `repository` is a Hugging Face id, or a local folder; of `files` one may be several of which one is enough, with `|`
    between them. `model_type` is what its config.json has to say. `named` is what the configuration of an asset that
    reads them calls it, where that is not the repository; `option` names a local folder in its place, `other` says
    another way to them.
    """

    purpose: str
    repository: str
    files: tuple[str, ...]
    revision: str = "main"
    kind: str = "model"
    named: str | None = None
    option: str | None = None
    other: str = ""
    model_type: str | None = None

    def missing(self) -> list[str]:
        """One line that names the files that are not there and how to get them; empty when all are there."""
        folder = self.folder()
        absent = [lacking for name in self.files for lacking in _lacking(folder, name)] + self._another_model(folder)
        if not absent:
            return []
        if Path(self.repository).is_absolute():
            return [f"{self.purpose}: {', '.join(absent)} in the folder {self.repository}"]
        ways = [f"`{self.download()}`", *([self.other] if self.other else [])]
        ways += [f"{self.option} FOLDER for a local one"] if self.option else []
        what = f"{', '.join(absent)} of {self.repository} at revision {self.revision}"
        return [f"{self.purpose}: {what} ({', or '.join(ways)})"]

    def _another_model(self, folder: Path | None) -> list[str]:
        """What is wrong with a config.json that is there: damaged, or of another network."""
        if self.model_type is None or folder is None or not (folder / "config.json").is_file():
            return []
        try:
            found = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        except (ValueError, KeyError, TypeError):
            return [f"config.json (found damaged; expected one with model_type {self.model_type})"]
        return [] if found == self.model_type else [f"config.json of a {self.model_type} (found one of a {found})"]

    def download(self, *words: str) -> str:
        """The command that fetches the repository, or with the name of a file that file alone."""
        kind = ("--repo-type", self.kind) if self.kind != "model" else ()
        return " ".join(("hf download", self.repository, *words, "--revision", self.revision, *kind))

    def present(self) -> dict[str, Path]:
        """The files that are there, by their names in the folder; a link that leads nowhere among them."""
        folder = self.folder()
        if folder is None:
            return {}
        patterns = [each for name in self.files for each in name.split("|") if name != WEIGHTS]
        patterns += ["*.safetensors"] if WEIGHTS in self.files else []
        found = {path for pattern in (*patterns, *_SETTINGS) for path in folder.glob(pattern) if not path.is_dir()}
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
            _QWEN2VL,
            revision or "main",
            option="--qwen2vl",
            model_type="qwen2_vl",
        )
        for (model, revision), who in users.items()
    ]
    found += _oneformer(segmentation)
    found += [each for tower in dict.fromkeys(towers) for each in _tower(tower)]
    return [each for each in found if not each.repository.startswith(SAMPLE_WEIGHTS_PREFIX)]


def _oneformer(config: SegmentationConfig) -> list[NeededFiles]:
    if config.model.startswith(SAMPLE_WEIGHTS_PREFIX):
        return []
    repository, _, name = config.class_info.rpartition("/")
    other = (
        "" if Path(config.model).is_absolute() else "`geo-pipeline convert-weights` with the pickle of its main branch"
    )
    files = _ONEFORMER if repository else (*_ONEFORMER, name)
    revision = config.revision or "main"
    found = [
        NeededFiles(
            *("OneFormer (segmentation)", config.model, files, revision),
            option="--oneformer",
            other=other,
            model_type="oneformer",
        )
    ]
    if repository:
        found.append(
            NeededFiles("class list of OneFormer", repository, (name,), kind="dataset", named=config.class_info)
        )
    return found


def _tower(config: VisionConfig) -> list[NeededFiles]:
    if config.model.startswith("local-dir:"):
        folder = Path(config.model.removeprefix("local-dir:")).absolute()
        names = ("open_clip_config.json", CLIP_FILE)
        return [NeededFiles("CLIP tower", str(folder), names, named=config.model)]
    if config.pretrained is not None and config.pretrained.endswith(".safetensors"):
        file = Path(config.pretrained).absolute()
        return [NeededFiles(f"weights of {config.model}", str(file.parent), (file.name,), named=config.model)]
    if (config.model, config.pretrained) == OPENAI_CLIP:
        purpose, commit = "CLIP ViT-L/14-336 of OpenAI through open_clip", PINNED_CLIP[OPENAI_CLIP]
        return [NeededFiles(purpose, OPENAI_CLIP_REPOSITORY, (CLIP_FILE,), commit, named=config.model, option="--clip")]
    return []


def _lacking(folder: Path | None, name: str) -> list[str]:
    """What of an entry of `files` is not there."""
    if folder is not None and name == WEIGHTS:
        return _lacking_weights(folder)
    there = folder is not None and any((folder / each).is_file() for each in name.split("|"))
    return [] if there else [name.replace("|", " or ")]


def _lacking_weights(folder: Path) -> list[str]:
    index = folder / _INDEX
    if (folder / WEIGHTS).is_file():
        return []
    if not index.is_file():
        return [f"{WEIGHTS} (or {_INDEX} with what it names)"]
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{_INDEX} (found damaged)"]
    return [shard for shard in shards if not (folder / shard).is_file()] or (
        [] if shards else [f"{_INDEX} (found one that names no file)"]
    )


def hub_cache() -> Path:
    """Where the Hugging Face client keeps what it fetched; the environment variables are its own."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"
