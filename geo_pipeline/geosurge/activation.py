"""Whether weights were trained with the activation that a model computes: QuickGELU or GELU.

OpenAI's weights under plain GELU give wrong features without any error, so a folder or a file that does not say which
it is is refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geo_pipeline.geosurge.config import VisionConfig


class VisionWeightsError(RuntimeError):
    """CLIP weights that are missing, of an unsupported kind, or do not go with the named architecture."""


def check_activation(config: VisionConfig, model_quick_gelu: bool) -> None:
    """Refuse weights of an open_clip name whose activation is not the model's. Raises VisionWeightsError."""
    if config.pretrained is None:
        return
    import open_clip

    tag = open_clip.get_pretrained_cfg(config.model, config.pretrained)
    if tag:
        wanted: bool | None = bool(tag.get("quick_gelu", False))
    else:
        wanted = config.quick_gelu
        if Path(config.pretrained).suffix != ".safetensors":
            raise VisionWeightsError(
                f"found that vision.pretrained is {config.pretrained!r}: neither a tag of {config.model} nor a "
                ".safetensors file. Pickled weights are not loaded: convert them to safetensors first."
            )
    if wanted is None:
        raise VisionWeightsError(
            f"found that vision.pretrained is the file {config.pretrained}: a file of tensors does not say which "
            "activation it was trained with. Set vision.quick_gelu to true for OpenAI's weights (model name with "
            "-quickgelu), to false for those trained with GELU."
        )
    if wanted != model_quick_gelu:
        raise VisionWeightsError(
            f"found that the weights {config.pretrained!r} were trained with {'QuickGELU' if wanted else 'GELU'}, the "
            f"model {config.model!r} computes {'QuickGELU' if model_quick_gelu else 'GELU'}: features would be "
            f"silently wrong. Use the model name {'with' if wanted else 'without'} '-quickgelu'."
        )


def activation_of_folder(config: VisionConfig, card: Mapping[str, Any], folder: Path) -> bool:
    """Whether the weights of a folder want QuickGELU: as its card says, or where that is silent the configuration.

    Raises VisionWeightsError where neither says it, and where they disagree.
    """
    said = card.get("quick_gelu")
    if said is None and config.quick_gelu is None:
        raise VisionWeightsError(
            f"found no quick_gelu in model_cfg of {folder / 'open_clip_config.json'}, expected true for OpenAI's "
            "weights, false for those trained with GELU; write it there, or say it with "
            "--set geosurge.vision.quick_gelu=true"
        )
    if said is not None and config.quick_gelu is not None and bool(said) != config.quick_gelu:
        raise VisionWeightsError(
            f"found quick_gelu {bool(said)} in {folder / 'open_clip_config.json'} and vision.quick_gelu "
            f"{config.quick_gelu}, expected the same; take one of them away"
        )
    return bool(config.quick_gelu if said is None else said)
