"""Whether the networks of a run can be built with its settings: told at its start, not hours later.

A tower's size is read from its configuration, without its weights, torch or open_clip. Where nothing here tells it, the
network says the same when it is built.
"""

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo_pipeline.baselines.config import BaselineConfig, GeoDecoderOptions, PlaNetOptions, TranslocatorOptions
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.geosurge.config import GeoSurgeConfig, TrainingConfig, VisionConfig
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.sample_world.weights import weights_dir

OPENAI = "openai"
"""The tag of OpenAI's weights, all of them trained with QuickGELU."""


@dataclass(frozen=True)
class TowerSize:
    """Width of a token, number of blocks, side of a patch in pixels, and whether the model computes QuickGELU."""

    width: int
    blocks: int
    patch_px: int
    quick_gelu: bool


def geosurge_problems(config: GeoSurgeConfig) -> list[str]:
    """Lines for what would fail where GeoSURGE is built."""
    found = [*_tower_problems("geosurge.vision", config.vision), *_training_problems("geosurge", config.training)]
    size = None if found else tower_size(config.vision)
    if size is not None and config.fusion.blocks:
        found += _head_problem("geosurge.fusion.heads", size.width, config.fusion.heads)
    return found


def baseline_problems(config: BaselineConfig) -> list[str]:
    """Lines for what would fail where a baseline is built."""
    path, options, count = f"baselines.{config.name}", config.options, len(config.tau_max)
    found = [*_tower_problems(f"{path}.vision", config.vision), *_training_problems(path, config.training)]
    size = None if found else tower_size(config.vision)
    if isinstance(options, PlaNetOptions) and options.partition is not None and options.partition >= count:
        found.append(f"found {path}.options.partition {options.partition}, expected below the {count} partitions")
    if isinstance(options, GeoDecoderOptions):
        if options.partitions is not None and not 1 <= options.partitions <= count:
            found.append(f"found {path}.options.partitions {options.partitions}, expected 1 to {count}")
        if size is not None:
            found += _head_problem(f"{path}.options.heads", size.width, options.heads)
    if isinstance(options, TranslocatorOptions):
        found += _head_problem(f"{path}.options.heads", options.width, options.heads)
    return found


def language_problems(path: str, config: LvlmConfig) -> list[str]:
    """Lines for what would fail where a vision-language model is loaded."""
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", config.device):
        return []
    return [f"found {path}.device {config.device}, expected auto, cpu, cuda or cuda:NUMBER"]


def router_problems(config: RouterConfig) -> list[str]:
    """Lines for what would fail where the router is trained."""
    negative = [name for name in ("weight_decay", "seed") if getattr(config, name) < 0]
    found = [f"found router.{name} {getattr(config, name)}, expected 0 or more" for name in negative]
    return [*found, *language_problems("router.lvlm", config.lvlm)]


def tower_size(config: VisionConfig) -> TowerSize | None:
    """The size of the tower that a configuration names; None where nothing here tells it.

    Raises ValueError, with what was found, expected and what to do, for a name that open_clip does not know, for a
    tower that is no plain ViT, and for a folder's configuration that cannot be read.
    """
    card = _card(config)
    if card is None:
        return None
    vision: Mapping[str, Any] = card.get("vision_cfg", {})
    width, blocks, patch = (vision.get(name) for name in ("width", "layers", "patch_size"))
    if not all(isinstance(number, int) for number in (width, blocks, patch)):
        raise ValueError(f"found that {config.model} has no ViT for a vision tower; expected a plain one: choose a ViT")
    own_width, blocks, patch = (int(str(number)) for number in (config.width or width, blocks, patch))
    return TowerSize(own_width, blocks, patch, bool(card.get("quick_gelu", False)))


def _tower_problems(path: str, config: VisionConfig) -> Iterator[str]:
    try:
        size = tower_size(config)
    except ValueError as error:
        yield f"{path}.model: {error}"
        return
    pretrained = config.pretrained
    named = ":" not in config.model
    if named and pretrained == OPENAI and size is not None and not size.quick_gelu:
        yield (
            f"found {path}.model {config.model} with OpenAI's weights, which want QuickGELU; expected "
            f"{config.model}-quickgelu"
        )
    if named and pretrained is not None and Path(pretrained).suffix in (".pt", ".pth", ".bin", ".ckpt"):
        yield (
            f"found {path}.pretrained {pretrained}, expected an open_clip tag or a .safetensors file; pickled weights "
            "are not loaded"
        )
    if size is None:
        return
    if config.trainable_blocks > size.blocks:
        yield f"found {path}.trainable_blocks {config.trainable_blocks}, expected at most the tower's {size.blocks}"
    if config.input_px % size.patch_px:
        nearest = max(1, round(config.input_px / size.patch_px)) * size.patch_px
        yield (
            f"found {path}.input_px {config.input_px}, expected a multiple of the tower's patch of {size.patch_px} px, "
            f"such as {nearest}"
        )


def _training_problems(path: str, config: TrainingConfig) -> Iterator[str]:
    if config.seed < 0:
        yield f"found {path}.training.seed {config.seed}, expected 0 or more"


def _head_problem(path: str, width: int, heads: int) -> list[str]:
    return [f"found {path} {heads}, expected a divisor of the width {width}"] if width % heads else []


def _card(config: VisionConfig) -> Mapping[str, Any] | None:
    if config.model == "sample:clip":
        return _folder_card(weights_dir("clip"))
    if config.model.startswith("local-dir:"):
        return _folder_card(Path(config.model.removeprefix("local-dir:")))
    package = importlib.util.find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        return None
    file = Path(package.submodule_search_locations[0], "model_configs", f"{config.model.replace('/', '-')}.json")
    if not file.is_file():
        raise ValueError(
            f"found {config.model}, which open_clip does not know; expected one of open_clip.list_models(), "
            "local-dir:FOLDER or sample:clip"
        )
    card: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return card


def _folder_card(folder: Path) -> Mapping[str, Any] | None:
    """The model's card of a folder; None where the file is missing, which the check of weights says."""
    file = folder / "open_clip_config.json"
    if not file.is_file():
        return None
    try:
        card = json.loads(file.read_text(encoding="utf-8"))["model_cfg"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"found {file} damaged ({error}), expected open_clip's model_cfg; save the model again"
        ) from error
    if not isinstance(card, dict):
        raise ValueError(f"found {file} without a model_cfg, expected open_clip's; save the model again")
    return card
