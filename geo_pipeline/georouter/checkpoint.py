"""A router's files: LoRA in peft's own format, the head, a card.

    adapter_config.json, adapter_model.safetensors   as peft writes them
    router_head.safetensors                          theta, [1, D]
    card.json                                        configuration and facts; written last: where it is, all is

Safetensors and JSON only: nothing here is ever unpickled. The state of an unfinished training is `training.state`.
"""

import copy
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.model import GeoRouter
from geo_pipeline.lvlm.model import LoadedLvlm, load
from geo_pipeline.training.folder import CARD

FORMAT = "georouter/1"
ADAPTER = "adapter_model.safetensors"
HEAD = "router_head.safetensors"


class RouterCheckpointError(ValueError):
    """A checkpoint is missing, damaged, or of another backbone."""


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
