"""How fast the networks of `network_sizes` run on one device, each figure with the memory that it took.

What the figures mean, and where they are kept, belongs to `networks`.

Shapes: B images, C channels, H x W pixels, P partitions.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.loss import hierarchical_loss
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.worker import FeatureWorker
from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline.segmentation.worker import SegmentationWorker
from geo_pipeline_tests.segmentation.tiny_oneformer import CLASS_INFO, save_oneformer
from geo_pipeline_tests.speed.fed_training import pictures
from geo_pipeline_tests.speed.network_sizes import Size, oneformer

Encode = Callable[[Tensor, Tensor], Tensor]
Figure = dict[str, float]


@dataclass(frozen=True)
class Bench:
    """One device, and how long and how often at least each figure is measured on it."""

    device: torch.device
    precision: torch.dtype
    least_s: float
    least_rounds: int = 1

    def synchronize(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def autocast(self) -> AbstractContextManager[object]:
        """Half precision where it is measured."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16)

    def figure(self, call: Callable[[], object], images: int) -> Figure:
        """Images per second of `call()`, which handles `images` at once, by the shortest round: what else the machine
        does only lengthens one. The first call warms up and counts as `first_s`; on a GPU also the most memory that was
        allocated."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        rounds_s: list[float] = []
        began = time.perf_counter()
        while len(rounds_s) <= self.least_rounds or time.perf_counter() - began - rounds_s[0] < self.least_s:
            started = time.perf_counter()
            call()
            self.synchronize()
            rounds_s.append(time.perf_counter() - started)
        found = {"images_per_s": images / min(rounds_s[1:]), "batch": images, "first_s": rounds_s[0]}
        if self.device.type == "cuda":
            found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        return found


def products(bench: Bench, sides: tuple[int, ...]) -> Figure:
    """Multiply-adds per second of large square products in the measured precision: the fastest of the sides."""
    best = {"multiply_adds_per_s": 0.0, "side": 0.0}
    for side in sides:
        left, right = (torch.randn(side, side, device=bench.device, dtype=bench.precision) for _ in range(2))
        rate = bench.figure(lambda left=left, right=right: left @ right, 1)["images_per_s"] * float(side) ** 3
        if rate > best["multiply_adds_per_s"]:
            best = {"multiply_adds_per_s": rate, "side": float(side)}
    return best


def segmentation(bench: Bench, size: Size, batch: int, precision: torch.dtype) -> Figure:
    """OneFormer's forward with weights and pixels of this precision, without the processor."""
    model = oneformer(size, bench.device, precision)
    pixels_BCHW = torch.randn(batch, 3, *size.segmented_px, device=bench.device, dtype=precision)
    task = torch.randint(0, 1000, (batch, model.config.task_seq_len), device=bench.device)

    @torch.inference_mode()
    def forward() -> None:
        model(pixel_values=pixels_BCHW, task_inputs=task)

    return bench.figure(forward, batch)


def segmentation_worker(bench: Bench, size: Size, batch: int, folder: Path) -> Figure:
    """Photographs per second from stored bytes to compressed maps by the real worker, as the profile paper runs it."""
    drawn = oneformer(size, torch.device("cpu"), torch.float32)
    side = min(size.segmented_px)
    save_oneformer(
        folder, drawn, drawn.config.task_seq_len, size={"shortest_edge": side, "longest_edge": 4 * side}, do_resize=True
    )
    jpegs, _ = pictures(8 * batch, size.config.vision.resize_px)
    table = pa.table({"image_id": [f"image-{row}" for row in range(len(jpegs))], "jpeg": pa.array(jpegs, pa.binary())})
    config = SegmentationConfig(
        model=str(folder),
        revision=None,
        class_info=CLASS_INFO,
        batch=batch,
        precision="bf16" if bench.precision == torch.bfloat16 else "fp32",
    )
    worker = SegmentationWorker(config, str(bench.device))
    return bench.figure(lambda: worker(table), len(jpegs))


def photographs(model: GeoSurge, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random pixels (B, 3, H, W) and class maps (B, H, W) at the network's input."""
    side = model.tower.input_px
    pixels_BCHW = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, device=device)
    return pixels_BCHW, torch.randint(0, model.config.fusion.classes, (batch, side, side), device=device).to(
        torch.uint8
    )


def features(bench: Bench, model: GeoSurge, encode: Encode, batch: int, crops: int) -> Figure:
    """Photographs through the network, `batch` crops at a time, `crops` of each."""
    images = max(1, batch // crops)
    pixels_BCHW, maps_BHW = photographs(model, images * crops, bench.device)
    model.eval()

    @torch.inference_mode()
    def forward() -> None:
        with bench.autocast():
            encode(pixels_BCHW, maps_BHW).unflatten(0, (images, crops)).mean(dim=1)

    return bench.figure(forward, images)


def training(bench: Bench, model: GeoSurge, encode: Encode, batch: int) -> Figure:
    """Forward, loss, backward and AdamW."""
    pixels_BCHW, maps_BHW = photographs(model, batch, bench.device)
    columns = [torch.randint(0, len(table), (batch,), device=bench.device) for table in model.geography.tables]
    targets_BP = torch.stack(columns, dim=1)
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=1e-6)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with bench.autocast():
            features_BD = encode(pixels_BCHW, maps_BHW).float()
        hierarchical_loss(features_BD, targets_BP, model.geography, targets_BP, "unique_cells", False).backward()
        optimizer.step()

    return bench.figure(step, batch)


def bare_training(bench: Bench, model: GeoSurge, tower: Callable[[Tensor], Tensor], batch: int) -> Figure:
    """The same of the tower alone: the frozen forward, and the trainable block forward, backward and AdamW."""
    pixels_BCHW, _ = photographs(model, batch, bench.device)
    optimizer = torch.optim.AdamW([each for each in model.tower.parameters() if each.requires_grad], lr=1e-6)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with bench.autocast():
            tokens_BTD = tower(pixels_BCHW)
        tokens_BTD.float().mean(dim=1).square().mean().backward()
        optimizer.step()

    return bench.figure(step, batch)


def worker(bench: Bench, checkpoint: Path, size: Size, batch: int, ten: bool) -> Figure:
    """Photographs per second from stored bytes to features by the real worker: decoding, crops, network."""
    crops = 10 if ten else 1
    images = 4 * max(1, batch // crops) if bench.device.type == "cuda" else max(1, batch // crops)
    jpegs, pngs = pictures(images, size.config.vision.resize_px)
    table = pa.table(
        {
            "image_id": pa.array([f"image-{row}" for row in range(images)]),
            "jpeg": pa.array(jpegs, pa.binary()),
            "class_map_png": pa.array(pngs, pa.binary()),
        }
    )
    inference = InferenceConfig(crops="ten" if ten else "centre", batch=batch)
    loaded = FeatureWorker(checkpoint, inference, str(bench.device))
    return bench.figure(lambda: loaded(table), images)
