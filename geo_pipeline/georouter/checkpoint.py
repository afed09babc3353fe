"""A router's files: LoRA in peft's own format, the head, a card.

    adapter_config.json, adapter_model.safetensors   as peft writes them
    router_head.safetensors                          theta, [1, D]
    card.json                                        configuration and facts; written last: where it is, all is

Safetensors and JSON only: nothing here is ever unpickled. The state of an unfinished training is `training.state`.
"""

import copy
import hashlib
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.model import GeoRouter
from geo_pipeline.lvlm.model import LoadedLvlm, load
from geo_pipeline.training.checkpoint import (
    CheckpointError,
    existing,
    fill,
    read_card,
    read_tensors,
    save_tensors,
    understood,
    written_whole,
)
from geo_pipeline.training.folder import CARD

FORMAT = "georouter/1"
ADAPTER = "adapter_model.safetensors"
HEAD = "router_head.safetensors"


def save_router(router: GeoRouter, out_dir: Path, card: dict[str, Any]) -> None:
    """Write adapter, head and card; each file is renamed into place, the card last."""
    lora = copy.copy(router.peft.peft_config["default"])
    lora.base_model_name_or_path = card["config"]["lvlm"]["model"]  # never the folder it was read from
    lora.inference_mode = True
    with written_whole(out_dir, {"format": FORMAT, **card}) as fresh:
        save_tensors(get_peft_model_state_dict(router.peft), fresh / ADAPTER)
        save_tensors({"weight": router.head.weight}, fresh / HEAD)
        lora.save_pretrained(str(fresh))


def load_router(checkpoint_dir: Path, device: torch.device | None = None) -> tuple[GeoRouter, LoadedLvlm, RouterConfig]:
    """Router in eval mode with its backbone, read from a folder that `save_router` wrote.

    Raises `CheckpointError` where a file is missing or damaged, or the backbone is not the one it was trained on.
    """
    card = read_card(checkpoint_dir, FORMAT, "router checkpoint", (ADAPTER, HEAD, CARD))
    config, expected_backbone = understood(
        checkpoint_dir, lambda: (RouterConfig.from_json(card["config"]), str(card["backbone_fingerprint"]))
    )
    lvlm = load(config.lvlm, device)
    found = backbone_fingerprint(lvlm)
    if found != expected_backbone:
        raise CheckpointError(
            f"found backbone {config.lvlm.model} with fingerprint {found[:12]}; expected "
            f"{expected_backbone[:12]}, the one {checkpoint_dir} was trained on; "
            "train the router again or restore the backbone"
        )
    router = GeoRouter(lvlm.model, config)
    adapter, head = (read_tensors(existing(checkpoint_dir, name)) for name in (ADAPTER, HEAD))
    expected = get_peft_model_state_dict(router.peft)
    wrong = sorted(adapter.keys() ^ expected.keys()) or [n for n, v in adapter.items() if v.shape != expected[n].shape]
    if wrong:
        raise CheckpointError(
            f"found an adapter in {checkpoint_dir} that does not fit its backbone ({', '.join(wrong[:3])}); "
            "expected the same layers and widths; train the router again"
        )
    fill(router.head, head, checkpoint_dir)
    set_peft_model_state_dict(router.peft, adapter)
    router.to(lvlm.device)
    router.requires_grad_(False)
    router.eval()
    return router, lvlm, config


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
