"""Trains the sample's OneFormer on drawn scenes: the stock network of transformers, small, semantic task only.

Masks are matched to queries once for all, one query per class that the planet shows (MaskFormer's fixed matching,
arXiv 2107.06278, table 4), instead of by a Hungarian search per picture; the network, its inference and the weights of
its losses (arXiv 2211.06220, section 4.1) are OneFormer's own. Segmenting photographs belongs to `segmentation`.

Shapes: B images, L classes of the drawn planet (the first L queries), Q queries, H x W pixels.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    OneFormerConfig,
    OneFormerForUniversalSegmentation,
    OneFormerImageProcessor,
    OneFormerProcessor,
    PreTrainedTokenizerFast,
    SwinConfig,
)

from geo_pipeline.pretraining.album import Album, draw_album
from geo_pipeline.pretraining.clock import TrainingClock
from geo_pipeline.pretraining.folder import replace_folder
from geo_pipeline.pretraining.photographs import compress
from geo_pipeline.sample_world.ade20k import ADE20K_CLASSES, CLASS_IDS
from geo_pipeline.training.outcome import Report

DRAWN_CLASSES = (
    "sky", "earth", "grass", "mountain", "road", "building", "tree", "palm",
    "tower", "sidewalk", "wall", "floor", "painting", "person", "car",
)  # fmt: skip
CLASS_INFO_FILE = "ade20k_panoptic.json"
TASK_LENGTH = 8
PAD, UNKNOWN = "<pad>", "<unk>"
TASK_WORDS = (PAD, UNKNOWN, "the", "task", "is", "semantic", "instance", "panoptic")
PIXELS = 64
EXAM_SEED = 2_000_000


@dataclass(frozen=True)
class OneFormerTraining:
    """How long and on what: planets, photographs on each, batch, peak learning rate, minutes between two savings."""

    planets: int = 48
    photographs: int = 500
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 100
    save_minutes: float = 3.0
    exam_photographs: int = 400


def sample_config() -> OneFormerConfig:
    """OneFormer of 1.8 million parameters; Swin's first patch is 2 px, so masks have half the picture's size."""
    backbone = SwinConfig(
        image_size=PIXELS,
        patch_size=2,
        embed_dim=32,
        depths=[1, 1, 2, 1],
        num_heads=[1, 2, 4, 8],
        window_size=8,
        drop_path_rate=0.0,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    return OneFormerConfig(
        backbone_config=backbone,
        num_labels=len(ADE20K_CLASSES),
        id2label=dict(enumerate(ADE20K_CLASSES)),
        label2id=dict(CLASS_IDS),
        num_queries=len(DRAWN_CLASSES) + 1,
        strides=[2, 4, 8, 16],
        common_stride=2,
        conv_dim=64,
        mask_dim=64,
        hidden_dim=64,
        encoder_layers=1,
        encoder_feedforward_dim=128,
        decoder_layers=4,
        dim_feedforward=128,
        query_dec_layers=1,
        num_attention_heads=4,
        dropout=0.0,
        task_seq_len=TASK_LENGTH,
    )


def sample_processor() -> OneFormerProcessor:
    """The processor that goes with `sample_config`: no resizing, and a tokenizer that knows the three tasks."""
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(TASK_WORDS)}, unk_token=UNKNOWN))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token=PAD, unk_token=UNKNOWN)
    image_processor = OneFormerImageProcessor(
        do_resize=False, size={"shortest_edge": PIXELS, "longest_edge": PIXELS}, num_labels=len(ADE20K_CLASSES)
    )
    return OneFormerProcessor(image_processor, tokenizer, max_seq_length=TASK_LENGTH, task_seq_length=TASK_LENGTH)


def task_inputs(batch: int) -> Tensor:
    """Token ids of "the task is semantic", int64 (B, TASK_LENGTH), as the processor makes them."""
    ids = [TASK_WORDS.index(word) for word in ("the", "task", "is", "semantic")]
    return torch.tensor(ids + [0] * (TASK_LENGTH - len(ids))).repeat(batch, 1)


def pixel_values(images_BHWC: np.ndarray) -> Tensor:
    """Normalised pixels float32 (B, 3, H, W) of uint8 pictures (B, H, W, 3), as the processor makes them."""
    statistics = (OneFormerImageProcessor.image_mean, OneFormerImageProcessor.image_std)
    mean, std = (torch.tensor(value)[:, None, None] for value in statistics)
    return (torch.from_numpy(images_BHWC).permute(0, 3, 1, 2).float() / 255 - mean) / std


def target_masks(class_maps_BHW: np.ndarray) -> Tensor:
    """One mask per drawn class, float32 (B, L, H, W), of uint8 ADE20K class maps (B, H, W)."""
    drawn = torch.tensor([CLASS_IDS[name] for name in DRAWN_CLASSES])
    return (torch.from_numpy(class_maps_BHW).long()[:, None] == drawn[:, None, None]).float()


def segmentation_loss(class_logits_BQK: Tensor, mask_logits_BQHW: Tensor, masks_BLHW: Tensor) -> Tensor:
    """2 x cross-entropy of classes + 5 x cross-entropy of masks + 5 x dice of the masks that are there (a scalar).

    `masks_BLHW` may be larger than the predictions, which are then enlarged. A query whose class is not in the picture
    has to say "no object" and to draw nothing.
    """
    classes = masks_BLHW.shape[1]
    present_BL = masks_BLHW.flatten(2).amax(-1) > 0
    no_object = class_logits_BQK.shape[-1] - 1
    labels_BQ = torch.full(class_logits_BQK.shape[:2], no_object)
    drawn_L = torch.tensor([CLASS_IDS[name] for name in DRAWN_CLASSES])
    labels_BQ[:, :classes] = torch.where(present_BL, drawn_L, no_object)
    logits_BLHW = mask_logits_BQHW[:, :classes]
    if logits_BLHW.shape[-2:] != masks_BLHW.shape[-2:]:
        logits_BLHW = F.interpolate(logits_BLHW, size=masks_BLHW.shape[-2:], mode="bilinear", align_corners=False)
    count = present_BL.sum().clamp(min=1)
    mask_loss = F.binary_cross_entropy_with_logits(logits_BLHW, masks_BLHW, reduction="none").mean((2, 3)).sum() / count
    shown_BLHW = logits_BLHW.sigmoid()
    overlap_BL = 2 * (shown_BLHW * masks_BLHW).sum((2, 3))
    dice_BL = 1 - (overlap_BL + 1) / (shown_BLHW.sum((2, 3)) + masks_BLHW.sum((2, 3)) + 1)
    dice_loss = dice_BL[present_BL].sum() / count
    class_loss = F.cross_entropy(class_logits_BQK.transpose(1, 2), labels_BQ)
    return 2 * class_loss + 5 * mask_loss + 5 * dice_loss


@torch.inference_mode()
def examine(model: OneFormerForUniversalSegmentation, album: Album, batch: int = 50) -> dict[str, Any]:
    """Intersection over union per class with at least 0.5 % of the pixels, their mean, and images per second."""
    model.eval()
    processor = sample_processor()
    size = len(ADE20K_CLASSES)
    confusion = np.zeros((size, size), dtype=np.int64)
    start = time.monotonic()
    for first in range(0, len(album.images), batch):
        pixels = pixel_values(album.images[first : first + batch])
        outputs = model(pixel_values=pixels, task_inputs=task_inputs(len(pixels)))
        found = processor.post_process_semantic_segmentation(outputs, target_sizes=[(PIXELS, PIXELS)] * len(pixels))
        truth = album.class_maps[first : first + batch].astype(np.int64)
        pairs = truth.ravel() * size + torch.stack(found).numpy().ravel()
        confusion += np.bincount(pairs, minlength=size * size).reshape(size, size)
    seconds = time.monotonic() - start
    share = confusion.sum(1) / confusion.sum()
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    iou = {ADE20K_CLASSES[k]: round(float(confusion[k, k] / union[k]), 3) for k in np.flatnonzero(share >= 0.005)}
    return {
        "mean_iou": round(float(np.mean(list(iou.values()))), 4),
        "iou": iou,
        "images_per_second": round(len(album.images) / seconds, 1),
    }


def save(model: OneFormerForUniversalSegmentation, out: Path) -> None:
    """Write weights in half precision, configuration, processor and class names into `out`, all or nothing."""
    with replace_folder(out) as folder:
        half = OneFormerForUniversalSegmentation(model.config).half()
        half.load_state_dict(model.state_dict())
        half.save_pretrained(folder)
        sample_processor().save_pretrained(folder)
        info = {str(index): {"name": name, "isthing": 0} for index, name in enumerate(ADE20K_CLASSES)}
        (folder / CLASS_INFO_FILE).write_text(json.dumps(info, indent=0), encoding="utf-8")


def learn_step(
    model: OneFormerForUniversalSegmentation, optimizer: torch.optim.Optimizer, images: np.ndarray, maps: np.ndarray
) -> float:
    """One step on pictures uint8 (B, H, W, 3) and class maps (B, H, W); the loss of all decoder layers together."""
    masks_BLHW = target_masks(maps)
    half_BLHW = F.avg_pool2d(masks_BLHW, 2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(pixel_values=pixel_values(images), task_inputs=task_inputs(len(images)))
    loss = segmentation_loss(outputs.class_queries_logits.float(), outputs.masks_queries_logits.float(), masks_BLHW)
    for early in outputs.auxiliary_predictions:
        classes_BQK, shapes_BQHW = early["class_queries_logits"].float(), early["masks_queries_logits"].float()
        loss = loss + segmentation_loss(classes_BQK, shapes_BQHW, half_BLHW)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def pretrain(
    out: Path, minutes: float, seed: int, threads: int, report: Report, training: OneFormerTraining | None = None
) -> dict[str, Any]:
    """Train for `minutes` (drawing included) and leave the network in `out`; returns the last examination.

    The weights are replaced every few minutes, so an interrupted run leaves the newest. The learning rate follows the
    clock, therefore two runs of one seed are alike, not equal.
    """
    training = training or OneFormerTraining()
    clock = TrainingClock(minutes, training.save_minutes)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    album = draw_album(training.planets, training.photographs)
    images = compress(album.images, rng)
    exam = draw_album(2, training.exam_photographs // 2, first_seed=EXAM_SEED)
    model = OneFormerForUniversalSegmentation(sample_config())
    report({"parameters": sum(weights.numel() for weights in model.parameters()), "photographs": len(images)})
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    step, losses = 0, []
    clock.learn()
    while not clock.over:
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = clock.learning_rate(training.lr, step, training.warmup_steps)
        chosen = rng.integers(len(images), size=training.batch)
        pictures, maps = images[chosen], album.class_maps[chosen]
        if rng.uniform() < 0.5:
            pictures, maps = np.ascontiguousarray(pictures[:, :, ::-1]), np.ascontiguousarray(maps[:, :, ::-1])
        losses.append(learn_step(model, optimizer, pictures, maps))
        step += 1
        if step % 50 == 0:
            report({"step": step, "minutes": round(clock.minutes, 2), "loss": round(float(np.mean(losses[-50:])), 4)})
        if clock.time_to_save():
            save(model, out)
            report({"step": step, **examine(model, exam)})
    save(model, out)
    result = examine(model, exam)
    report({"step": step, **result})
    return result
