"""The networks that `networks` measures, with random weights: the papers' size, and a small one to try the script.

Also their multiply-adds for an image, worked out from the shapes; `counted` lets torch count the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from open_clip import get_model_config
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import OneFormerConfig, OneFormerForUniversalSegmentation, SwinConfig

from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.geosurge.config import FusionConfig, GeoSurgeConfig, TrainingConfig, VisionConfig
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.vision import TowerArchitecture, build_tower

MODEL = "ViT-L-14-336-quickgelu"


@dataclass(frozen=True)
class Size:
    """What is measured: GeoSURGE's configuration and tower, OneFormer's shape and input, cells, sides of products."""

    name: str
    config: GeoSurgeConfig
    vision_cfg: dict[str, Any]
    embed_dim: int
    swin: dict[str, Any]
    oneformer: dict[str, Any]
    segmented_px: tuple[int, int]
    cells: int
    product_sides: tuple[int, ...]


def full(training: TrainingConfig) -> Size:
    """The papers' networks; photographs of 4:3, whose shorter side OneFormer's processor makes 640 px."""
    card = get_model_config(MODEL)
    swin = {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12}
    return Size(
        "full",
        GeoSurgeConfig(training=training),
        card["vision_cfg"],
        card["embed_dim"],
        swin,
        {"num_queries": 250},
        (640, 853),
        10_000,
        (2048,) if training.precision == "fp32" else (4096, 8192, 16384),
    )


def quick(training: TrainingConfig) -> Size:
    """Seconds on a CPU: every part runs, and no figure means anything."""
    small = {"conv_dim": 32, "mask_dim": 32, "hidden_dim": 32, "encoder_layers": 1, "decoder_layers": 2}
    few = {"encoder_feedforward_dim": 32, "dim_feedforward": 32, "query_dec_layers": 1, "num_attention_heads": 2}
    return Size(
        "quick",
        GeoSurgeConfig(
            vision=VisionConfig(input_px=56, resize_px=64),
            fusion=FusionConfig(blocks=2, semantic_dim=16, latent_dim=8, heads=4),
            training=training,
            embedding_dim=32,
        ),
        {"image_size": 56, "layers": 4, "width": 64, "head_width": 16, "patch_size": 14},
        32,
        {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "patch_size": 2},
        {"num_queries": 5, "strides": [2, 4, 8, 16], "common_stride": 2, **small, **few},
        (64, 96),
        50,
        (256,),
    )


def geosurge(size: Size, device: torch.device) -> GeoSurge:
    """GeoSURGE over seven partitions, the finest of about `size.cells` cells."""
    rng = np.random.default_rng(0)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 4 * size.cells))), rng.uniform(-180, 180, 4 * size.cells)
    tau_max = tuple(4 * factor for factor in (64, 32, 16, 8, 4, 2, 1))
    hierarchy = build_hierarchy(lat, lon, PartitionConfig(tau_min=1, tau_max=tau_max))
    architecture = TowerArchitecture(size.embed_dim, True, size.vision_cfg, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
    tower = build_tower(architecture, size.config.vision.trainable_blocks)
    return GeoSurge(size.config, hierarchy, tower).to(device)


def oneformer(size: Size, device: torch.device, precision: torch.dtype) -> OneFormerForUniversalSegmentation:
    """OneFormer in the shape of its ADE20K checkpoint, for inference."""
    backbone = SwinConfig(out_features=["stage1", "stage2", "stage3", "stage4"], **size.swin)
    config = OneFormerConfig(
        backbone_config=backbone, num_labels=150, is_training=False, contrastive_temperature=0.07, **size.oneformer
    )
    model = OneFormerForUniversalSegmentation(config).to(device, precision).eval()
    model.model.is_training = False
    return model


def multiply_adds(model: GeoSurge) -> dict[str, float]:
    """Multiply-adds for one image: of inference, of a training step, and of a step of the bare tower.

    The frozen blocks go forward only; whatever is trained costs three times its forward, since below it norms are
    trained too. The comparison with the cells is left out: less than a thousandth at the paper's size.
    """
    config, tower = model.config.fusion, model.tower
    width, patches = tower.width, (tower.input_px // tower.patch_px) ** 2
    tokens, semantic, latent = patches + 1, config.semantic_dim, config.latent_dim
    ratio = tower.blocks[0].mlp.c_fc.out_features / width
    block = tokens * (4 + 2 * ratio) * width**2 + 2 * tokens**2 * width
    forward = patches * 3 * tower.patch_px**2 * width + len(tower.blocks) * block
    keys = tokens * 3 * width * latent
    token = semantic * width + (1 + 2 * config.mlp_ratio) * width**2 + 2 * tokens * width
    fusion = config.blocks * keys + ((config.blocks - 1) * tokens + 1) * token if config.blocks else 0.0
    trained = fusion + width * model.config.embedding_dim
    return {
        "inference": forward + trained,
        "training": forward + 2 * tower.trainable_blocks * block + 3 * trained,
        "bare_training": forward + 2 * tower.trainable_blocks * block,
    }


def counted(work: Callable[[], object]) -> float:
    """Multiply-adds of `work()` as torch counts them; attention is taken apart into its products, so that it counts."""
    with sdpa_kernel([SDPBackend.MATH]), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2
