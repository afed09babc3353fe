"""A router's files: LoRA in peft's own format, the head, a card; and the resumable state of a training.

    adapter_config.json, adapter_model.safetensors   as peft writes them
    router_head.safetensors                          theta, [1, D]
    card.json                                        configuration and facts; written last: where it is, all is
    last/state.safetensors                           while training: weights, AdamW moments, JSON progress

Safetensors and JSON only: nothing here is ever unpickled.
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.model import GeoRouter
from geo_pipeline.lvlm.model import LoadedLvlm, load

FORMAT = "georouter/1"
ADAPTER = "adapter_model.safetensors"
HEAD = "router_head.safetensors"
CARD = "card.json"
STATE = Path("last") / "state.safetensors"


class RouterCheckpointError(ValueError):
    """A checkpoint is missing, damaged, or of another backbone."""


@dataclass
class Progress:
    """Where a training stands: everything but tensors that a resumed run needs."""

    fingerprint: str
    step: int = 0
    curves: list[dict[str, Any]] = field(default_factory=list)
    best_loss: float | None = None
    running_loss: float = 0.0
    running_count: int = 0


def save_router(router: GeoRouter, out_dir: Path, card: dict[str, Any]) -> None:
    """Write adapter, head and card; each file is renamed into place, the card last."""
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / CARD).unlink(missing_ok=True)
    written = out_dir / ".new"
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    save_file(
        {k: v.detach().cpu().contiguous() for k, v in get_peft_model_state_dict(router.peft).items()}, written / ADAPTER
    )
    lora = copy.copy(router.peft.peft_config["default"])
    lora.base_model_name_or_path = card["config"]["lvlm"]["model"]  # never the folder it was read from
    lora.inference_mode = True
    lora.save_pretrained(str(written))
    save_file({"weight": router.head.weight.detach().cpu().contiguous()}, written / HEAD)
    (written / CARD).write_text(
        json.dumps({"format": FORMAT, **card}, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    for file in sorted(written.iterdir(), key=lambda path: path.name == CARD):
        file.replace(out_dir / file.name)
    written.rmdir()


def load_router(checkpoint_dir: Path, device: torch.device | None = None) -> tuple[GeoRouter, LoadedLvlm, RouterConfig]:
    """Router in eval mode with its backbone, read from a folder that `save_router` wrote.

    Raises `RouterCheckpointError` where a file is missing or damaged, or the backbone is not the one it was trained on.
    """
    card = read_card(checkpoint_dir)
    config = RouterConfig.from_json(card["config"])
    lvlm = load(config.lvlm, device)
    found = backbone_fingerprint(lvlm)
    if found != card["backbone_fingerprint"]:
        raise RouterCheckpointError(
            f"found backbone {config.lvlm.model} with fingerprint {found[:12]}; expected "
            f"{card['backbone_fingerprint'][:12]}, the one {checkpoint_dir} was trained on; "
            "train the router again or restore the backbone"
        )
    router = GeoRouter(lvlm.model, config)
    try:
        adapter = load_file(checkpoint_dir / ADAPTER)
        head = load_file(checkpoint_dir / HEAD)["weight"]
    except (OSError, SafetensorError, KeyError) as error:
        raise RouterCheckpointError(
            f"found a damaged router checkpoint in {checkpoint_dir}: {error}; "
            f"expected {ADAPTER} and {HEAD}; train the router again"
        ) from error
    expected = get_peft_model_state_dict(router.peft)
    wrong = sorted(adapter.keys() ^ expected.keys()) or [n for n, v in adapter.items() if v.shape != expected[n].shape]
    if wrong or head.shape != router.head.weight.shape:
        raise RouterCheckpointError(
            f"found an adapter in {checkpoint_dir} that does not fit its backbone ({', '.join(wrong[:3]) or 'head'}); "
            "expected the same layers and widths; train the router again"
        )
    set_peft_model_state_dict(router.peft, adapter)
    with torch.no_grad():
        router.head.weight.copy_(head)
    router.to(lvlm.device)
    router.requires_grad_(False)
    router.eval()
    return router, lvlm, config


def read_card(checkpoint_dir: Path) -> dict[str, Any]:
    """The card of a finished router. Raises `RouterCheckpointError` where there is none or it is of another format."""
    path = checkpoint_dir / CARD
    if not path.is_file():
        raise RouterCheckpointError(
            f"found no {CARD} in {checkpoint_dir}; expected a finished router checkpoint; "
            "materialize the router checkpoint"
        )
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if card.get("format") != FORMAT:
        raise RouterCheckpointError(
            f"found format {card.get('format')!r} in {path}; expected {FORMAT!r}; train the router again"
        )
    return card


def backbone_fingerprint(lvlm: LoadedLvlm) -> str:
    """Hash of a few of the backbone's tensors: cheap at any size, different for every other training of it."""
    layers = lvlm.model.model.language_model.layers
    digest = hashlib.sha256()
    for layer in (layers[0], layers[-1]):
        # With LoRA attached the projection is wrapped; its own weight is the base layer's.
        projection = getattr(layer.self_attn.q_proj, "base_layer", layer.self_attn.q_proj)
        digest.update(projection.weight.detach().float().cpu().numpy().tobytes())
    digest.update(lvlm.model.model.language_model.norm.weight.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def save_state(out_dir: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Write the resumable state as one file, renamed into place."""
    path = out_dir / STATE
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(flat, new, metadata={"progress": json.dumps(vars(progress), sort_keys=True)})
    new.replace(path)


def load_state(out_dir: Path, fingerprint: str) -> tuple[dict[str, Tensor], Progress] | None:
    """State of an interrupted training of the same inputs; None where there is none, or it is another training's."""
    path = out_dir / STATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        progress = Progress(**json.loads(metadata["progress"]))
        if progress.fingerprint != fingerprint:
            return None
        return load_file(path), progress
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise RouterCheckpointError(
            f"found a damaged training state {path}: {error}; expected what a training wrote; "
            f"delete {path.parent} to start afresh"
        ) from error


def drop_state(out_dir: Path) -> None:
    """Remove the resumable state of a training that has ended."""
    shutil.rmtree((out_dir / STATE).parent, ignore_errors=True)
