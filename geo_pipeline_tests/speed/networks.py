"""Rates of the papers' networks at full size with random weights: `python -m geo_pipeline_tests.speed.networks`.

OneFormer Swin-L in the shape of its ADE20K checkpoint, and GeoSURGE on CLIP ViT-L/14 at 336 px: features of one crop
and one training step. Runs on CUDA where there is one, else on the CPU; the figures say which. Weights change no rate.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from open_clip import get_model_config
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from transformers import OneFormerConfig, OneFormerForUniversalSegmentation, SwinConfig

from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.geosurge.config import GeoSurgeConfig
from geo_pipeline.geosurge.loss import hierarchical_loss
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.vision import TowerArchitecture, build_tower
from geo_pipeline_tests.speed.measuring import save

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISION = torch.bfloat16 if DEVICE.type == "cuda" else torch.float32
MODEL = "ViT-L-14-336-quickgelu"
SEGMENTED_PX = (640, 853)  # shorter side 640, as the ADE20K checkpoint's processor resizes a 4:3 photograph


def per_second(call: Callable[[], object], images: int, least_s: float) -> float:
    """Images per second of `call()`, which handles `images` at once; the first call warms up and does not count."""
    call()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    rounds, began = 0, time.perf_counter()
    while rounds == 0 or time.perf_counter() - began < least_s:
        call()
        rounds += 1
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return images * rounds / (time.perf_counter() - began)


def oneformer(batch: int, least_s: float) -> float:
    """Images per second of OneFormer Swin-L with 250 queries and 150 classes."""
    backbone = SwinConfig(
        embed_dim=192,
        depths=[2, 2, 18, 2],
        num_heads=[6, 12, 24, 48],
        window_size=12,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = OneFormerConfig(
        backbone_config=backbone, num_labels=150, num_queries=250, is_training=False, contrastive_temperature=0.07
    )
    model = OneFormerForUniversalSegmentation(config).to(DEVICE, PRECISION).eval()
    model.model.is_training = False
    pixels_BCHW = torch.randn(batch, 3, *SEGMENTED_PX, device=DEVICE, dtype=PRECISION)
    task = torch.randint(0, 1000, (batch, config.task_seq_len), device=DEVICE)

    @torch.inference_mode()
    def forward() -> None:
        model(pixel_values=pixels_BCHW, task_inputs=task)

    return per_second(forward, batch, least_s)


def geosurge(cells: int) -> GeoSurge:
    """GeoSURGE at the paper's size over seven partitions of about `cells` cells."""
    rng = np.random.default_rng(0)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 4 * cells))), rng.uniform(-180, 180, 4 * cells)
    tau_max = tuple(4 * factor for factor in (64, 32, 16, 8, 4, 2, 1))
    hierarchy = build_hierarchy(lat, lon, PartitionConfig(tau_min=1, tau_max=tau_max))
    card = get_model_config(MODEL)
    architecture = TowerArchitecture(
        card["embed_dim"], True, card["vision_cfg"], OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    )
    config = GeoSurgeConfig()
    return GeoSurge(config, hierarchy, build_tower(architecture, config.vision.trainable_blocks)).to(DEVICE)


def features(model: GeoSurge, batch: int, least_s: float) -> float:
    """Crops per second through tower, fusion and projection."""
    pixels_BCHW, maps_BHW = _photographs(batch)
    model.eval()

    @torch.inference_mode()
    def forward() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=torch.bfloat16 == PRECISION):
            model.encode_image(pixels_BCHW, maps_BHW)

    return per_second(forward, batch, least_s)


def training(model: GeoSurge, batch: int, least_s: float) -> float:
    """Images per second of forward, loss, backward and AdamW."""
    pixels_BCHW, maps_BHW = _photographs(batch)
    targets_BP = torch.zeros(batch, len(model.hierarchy.partitions), dtype=torch.long, device=DEVICE)
    targets_BP += torch.arange(batch, device=DEVICE)[:, None]
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=1e-4)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=torch.bfloat16 == PRECISION):
            features_BD = model.encode_image(pixels_BCHW, maps_BHW).float()
        hierarchical_loss(features_BD, targets_BP, model.geography, targets_BP, "unique_cells", False).backward()
        optimizer.step()

    return per_second(step, batch, least_s)


def _photographs(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = torch.randint(0, 256, (batch, 3, 336, 336), dtype=torch.uint8, device=DEVICE)
    return pixels, torch.randint(0, 150, (batch, 336, 336), dtype=torch.uint8, device=DEVICE)


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/networks.{json,md}")
    parser.add_argument("--seconds", type=float, default=20.0, help="least seconds per figure")
    parser.add_argument("--batch", type=int, default=64 if DEVICE.type == "cuda" else 2)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    rates = {"oneformer_images_per_s": oneformer(max(1, chosen.batch // 8), chosen.seconds)}
    model = geosurge(10_000)
    rates["geosurge_crops_per_s"] = features(model, chosen.batch, chosen.seconds)
    rates["geosurge_training_images_per_s"] = training(model, chosen.batch, chosen.seconds)
    words = {
        "oneformer_images_per_s": f"OneFormer Swin-L, {SEGMENTED_PX[1]} x {SEGMENTED_PX[0]} px, forward",
        "geosurge_crops_per_s": "GeoSURGE on ViT-L/14-336, features of one crop",
        "geosurge_training_images_per_s": "GeoSURGE on ViT-L/14-336, one training step",
    }
    lines = [
        "# Full-size networks, random weights",
        "",
        f"`python -m geo_pipeline_tests.speed.networks` on {device}, {str(PRECISION).removeprefix('torch.')}.",
        "",
        "| work | images per second |",
        "|---|---:|",
        *(f"| {words[name]} | {rate:.3g} |" for name, rate in rates.items()),
    ]
    print("\n".join(lines))  # noqa: T201
    if chosen.save:
        save("networks", {"device": device, "precision": str(PRECISION), **rates}, "\n".join(lines))


if __name__ == "__main__":
    main()
