"""The CLIP vision tower.

Tokens before projection and output norm, all but the last blocks frozen and outside the autograd graph (section III-B).

Loads any plain open_clip ViT by name, from a folder, or from the package's sample weights. Fusion with the class map
belongs to `fusion`. open_clip is imported where it is used: whoever only sends a training away need not wait for it.

Shapes: B images, C channels, H x W pixels, T tokens (CLS first, then patches row by row), D width.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from geo_pipeline.geosurge.activation import VisionWeightsError, activation_of_folder, check_activation
from geo_pipeline.geosurge.config import CLIP_FILE, PINNED_CLIP, VisionConfig
from geo_pipeline.sample_world.weights import weights_dir

if TYPE_CHECKING:
    import open_clip
    from open_clip.transformer import VisionTransformer

_TEXT_STANDIN: dict[str, Any] = {"context_length": 1, "vocab_size": 2, "width": 8, "heads": 1, "layers": 1}


@dataclass(frozen=True)
class TowerArchitecture:
    """What rebuilds a tower without its source.

    Open_clip's vision_cfg, embed_dim, activation and the pixel normalisation.
    """

    embed_dim: int
    quick_gelu: bool
    vision_cfg: Mapping[str, Any]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        """A JSON object for a checkpoint's card."""
        return {
            "embed_dim": self.embed_dim,
            "quick_gelu": self.quick_gelu,
            "vision_cfg": dict(self.vision_cfg),
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TowerArchitecture":
        """The inverse of `to_json`."""
        mean, std = (tuple(float(x) for x in value[key]) for key in ("mean", "std"))
        return cls(int(value["embed_dim"]), bool(value["quick_gelu"]), dict(value["vision_cfg"]), mean, std)  # type: ignore[arg-type]


class VisionTower(nn.Module):
    """An open_clip VisionTransformer cut before its output norm and projection.

    `forward` takes uint8 pixels and returns tokens; only the last `trainable_blocks` blocks carry gradients.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, visual: "VisionTransformer", architecture: TowerArchitecture, trainable_blocks: int) -> None:
        super().__init__()
        blocks = len(visual.transformer.resblocks)
        if trainable_blocks > blocks:
            raise VisionWeightsError(
                f"found that trainable_blocks is {trainable_blocks}, but the tower has {blocks} blocks: choose at most "
                f"{blocks}."
            )
        self.architecture = architecture
        self.trainable_blocks = trainable_blocks
        self.conv1 = visual.conv1
        self.class_embedding_D = visual.class_embedding
        self.positional_embedding_TD = visual.positional_embedding
        self.ln_pre = visual.ln_pre
        self.blocks = visual.transformer.resblocks
        self.register_buffer("mean", 255.0 * torch.tensor(architecture.mean), persistent=False)
        self.register_buffer("std", 255.0 * torch.tensor(architecture.std), persistent=False)
        self.requires_grad_(False)
        for block in self.blocks[blocks - trainable_blocks :]:
            block.requires_grad_(True)

    @property
    def width(self) -> int:
        """Width of a token."""
        return int(self.conv1.out_channels)

    @property
    def patch_px(self) -> int:
        """Side of a patch in pixels."""
        return int(self.conv1.kernel_size[0])

    @property
    def input_px(self) -> int:
        """Side of the square input in pixels."""
        return int((self.positional_embedding_TD.shape[0] - 1) ** 0.5) * self.patch_px

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Tokens (B, T, D) of uint8 RGB pixels (B, 3, H, W), H = W = `input_px`; raises ValueError for another shape or
        type.
        """
        expected = (3, self.input_px, self.input_px)
        if pixels_BCHW.dtype != torch.uint8 or tuple(pixels_BCHW.shape[1:]) != expected:
            raise ValueError(
                f"found pixels {tuple(pixels_BCHW.shape)} of {pixels_BCHW.dtype}; expected uint8 (B, "
                f"{', '.join(map(str, expected))})."
            )
        frozen = len(self.blocks) - self.trainable_blocks
        with torch.no_grad():
            tokens_BTD = self._embed(pixels_BCHW)
            for block in self.blocks[:frozen]:
                tokens_BTD = block(tokens_BTD)
        for block in self.blocks[frozen:]:
            tokens_BTD = block(tokens_BTD)
        return tokens_BTD

    def _embed(self, pixels_BCHW: Tensor) -> Tensor:
        normal_BCHW = (pixels_BCHW.to(self.conv1.weight.dtype) - self.mean[:, None, None]) / self.std[:, None, None]
        patches_BTD = self.conv1(normal_BCHW).flatten(2).transpose(1, 2)
        cls_B1D = self.class_embedding_D.to(patches_BTD.dtype).expand(len(patches_BTD), 1, -1)
        tokens_BTD = torch.cat([cls_B1D, patches_BTD], dim=1) + self.positional_embedding_TD.to(patches_BTD.dtype)
        return self.ln_pre(tokens_BTD)


def load_tower(config: VisionConfig) -> VisionTower:
    """The tower with its weights in fp32 on the CPU. Raises VisionWeightsError when they are missing or do not fit."""
    if config.model == "sample:clip":
        return _load_folder(weights_dir("clip"), config)
    if config.model.startswith("local-dir:"):
        return _load_folder(Path(config.model.removeprefix("local-dir:")), config)
    return _load_named(config)


def build_tower(architecture: TowerArchitecture, trainable_blocks: int) -> VisionTower:
    """A tower of this architecture with random weights, for a checkpoint to fill."""
    visual = _plain_vit(_random_clip(architecture).visual, "the checkpoint's card")
    return VisionTower(visual, architecture, trainable_blocks)


def _random_clip(architecture: TowerArchitecture) -> "open_clip.CLIP":
    """A CLIP whose text side is a stand-in: only the vision tower is read."""
    import open_clip

    return open_clip.CLIP(
        embed_dim=architecture.embed_dim,
        vision_cfg=dict(architecture.vision_cfg),
        text_cfg=dict(_TEXT_STANDIN),
        quick_gelu=architecture.quick_gelu,
    )


def _load_folder(folder: Path, config: VisionConfig) -> VisionTower:
    missing = [name for name in ("open_clip_config.json", CLIP_FILE) if not (folder / name).is_file()]
    if missing:
        raise VisionWeightsError(
            f"found no CLIP model in {folder}: {' and '.join(missing)} not found; expected a folder with both "
            "(safetensors only, no pickle). Save the model in open_clip's local-dir layout, or correct vision.model."
        )
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    from open_clip.model import resize_pos_embed

    content = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    preprocess = {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD, **content.get("preprocess_cfg", {})}
    card = content["model_cfg"] | {"quick_gelu": activation_of_folder(config, content["model_cfg"], folder)}
    architecture = _architecture(card, preprocess, config)
    clip = _random_clip(architecture)
    visual = _plain_vit(clip.visual, str(folder))
    stored = load_file(folder / CLIP_FILE)
    tensors = {name: tensor.float() for name, tensor in stored.items() if name.startswith("visual.")}
    resize_pos_embed(tensors, clip)
    try:
        visual.load_state_dict({name.removeprefix("visual."): tensor for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise VisionWeightsError(
            f"found that the weights in {folder} do not fit its open_clip_config.json: {error}. Save both from one "
            "model."
        ) from error
    return VisionTower(visual, architecture, config.trainable_blocks)


def _load_named(config: VisionConfig) -> VisionTower:
    import open_clip

    card = open_clip.get_model_config(config.model)
    if card is None:
        raise VisionWeightsError(
            f"found the model {config.model!r}, which open_clip does not know; expected one of "
            "open_clip.list_models(), local-dir:<folder> or sample:clip."
        )
    check_activation(config, bool(card.get("quick_gelu", False)))
    force_px = None if card["vision_cfg"].get("image_size") == config.input_px else config.input_px
    model = open_clip.create_model(
        config.model,
        pretrained=_weights(config),
        precision="fp32",
        force_image_size=force_px,
        **narrowed(card, config),
    )
    card = {**card, **narrowed(card, config)}
    architecture = _architecture(card, open_clip.get_model_preprocess_cfg(model), config)
    return VisionTower(_plain_vit(model.visual, config.model), architecture, config.trainable_blocks)


def _weights(config: VisionConfig) -> str | None:
    """A tag or a file; of a pinned tag the file at its commit, which open_clip by itself does not ask for."""
    commit = PINNED_CLIP.get((config.model, config.pretrained or ""))
    if commit is None:
        return config.pretrained
    from open_clip.pretrained import download_pretrained_from_hf, get_pretrained_cfg

    repository = str(get_pretrained_cfg(config.model, config.pretrained)["hf_hub"]).strip("/")
    try:
        return str(download_pretrained_from_hf(repository, CLIP_FILE, revision=commit))
    except FileNotFoundError as error:
        raise VisionWeightsError(
            f"found no {CLIP_FILE} of {repository} at {commit} in the hub's cache and no way to fetch it ({error}); "
            f"fetch it with `hf download {repository} {CLIP_FILE} --revision {commit}`, or name a folder with --clip"
        ) from error


def narrowed(card: Mapping[str, Any], config: VisionConfig) -> dict[str, Any]:
    """What of an open_clip model's card changes when both of its towers get `config.width`; nothing without one."""
    if config.width is None:
        return {}
    heads = max(1, config.width // 64)
    return {
        "embed_dim": config.width,
        "vision_cfg": {**card["vision_cfg"], "width": config.width, "head_width": config.width // heads},
        "text_cfg": {**card["text_cfg"], "width": config.width, "heads": heads},
    }


def _architecture(card: Mapping[str, Any], preprocess: Mapping[str, Any], config: VisionConfig) -> TowerArchitecture:
    return TowerArchitecture(
        embed_dim=int(card["embed_dim"]),
        quick_gelu=bool(card.get("quick_gelu", False)),
        vision_cfg={**card["vision_cfg"], "image_size": config.input_px},
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
    )


def _plain_vit(visual: object, source: str) -> "VisionTransformer":
    from open_clip.transformer import VisionTransformer

    if not isinstance(visual, VisionTransformer) or not isinstance(visual.patch_dropout, nn.Identity):
        raise VisionWeightsError(
            f"found that the vision tower of {source} is a {type(visual).__name__}; expected a plain open_clip "
            "VisionTransformer without patch dropout: choose a ViT."
        )
    return visual
