"""Trains the sample's CLIP on drawn photographs and their captions: open_clip's network, small, with CLIP's own loss.

arXiv 2103.00020, section 2.3: symmetric cross-entropy over a batch. Phrases of a caption are dropped at random so that
each of them has to be seen, and equal captions of one batch count as equally right. What the words are belongs to
`captions`; the pipeline itself uses the image tower only (`geosurge.vision`).

Shapes: B images, C channels, H x W pixels, T words, D width of the shared space, W width of the image tower.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from geo_pipeline.pretraining.album import Album, draw_album
from geo_pipeline.pretraining.captions import END, PAD, START, VOCABULARY, captions
from geo_pipeline.pretraining.clock import TrainingClock
from geo_pipeline.pretraining.folder import replace_folder
from geo_pipeline.pretraining.photographs import compress
from geo_pipeline.training.outcome import Report

CONTEXT = 24
INPUT_PX = 56
EXAM_SEED = 2_000_000
VIEWS = (0.5, 0.2, 0.27, 0.03)
WORD_IDS = {word: index for index, word in enumerate(VOCABULARY)}
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 96,
    "quick_gelu": True,
    "vision_cfg": {"image_size": INPUT_PX, "layers": 4, "width": 128, "head_width": 32, "patch_size": 14},
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": len(VOCABULARY),
        "hf_tokenizer_name": "tokenizer.json",
        "width": 96,
        "heads": 4,
        "layers": 2,
    },
}


@dataclass(frozen=True)
class ClipTraining:
    """How long and on what: planets, photographs on each, batch, peak learning rate, minutes between two savings."""

    planets: int = 40
    photographs: int = 600
    batch: int = 256
    lr: float = 1.5e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    kept_phrases: float = 0.5
    save_minutes: float = 3.0
    exam_photographs: int = 1500


def build_model() -> open_clip.CLIP:
    """An untrained network of `MODEL_CONFIG`."""
    config = json.loads(json.dumps(MODEL_CONFIG))
    del config["text_cfg"]["hf_tokenizer_name"]  # open_clip's loader reads it, the network does not
    return open_clip.CLIP(**config)


def tokens(phrases: Sequence[Sequence[str]]) -> Tensor:
    """Word ids int64 (B, T): start, the words, end, padding."""
    ids_BT = torch.full((len(phrases), CONTEXT), WORD_IDS[PAD])
    for row, words in enumerate(phrases):
        ids = [WORD_IDS[START], *(WORD_IDS[word] for word in words), WORD_IDS[END]]
        ids_BT[row, : len(ids)] = torch.tensor(ids)
    return ids_BT


def crops(images_BHWC: np.ndarray, generator: torch.Generator | None = None) -> Tensor:
    """Normalised crops float32 (B, 3, 56, 56) of uint8 (B, H, W, 3): random crop, flip and slight colour shift.

    Without a generator: the centre.
    """
    images_BCHW = torch.from_numpy(images_BHWC).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(value)[:, None, None] for value in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    batch, size = len(images_BCHW), images_BCHW.shape[-1]
    if generator is None:
        edge = (size - INPUT_PX) // 2
        return (images_BCHW[:, :, edge : edge + INPUT_PX, edge : edge + INPUT_PX] - mean) / std
    drawn_BK = torch.rand(batch, 8, generator=generator)
    scale_B = (0.80 + 0.18 * drawn_BK[:, 0]) * torch.where(drawn_BK[:, 3] < 0.5, -1.0, 1.0)
    room_B = 1 - scale_B.abs()
    zero_B = torch.zeros(batch)
    affine_B23 = torch.stack(
        [
            torch.stack([scale_B, zero_B, room_B * (2 * drawn_BK[:, 1] - 1)], 1),
            torch.stack([zero_B, scale_B.abs(), room_B * (2 * drawn_BK[:, 2] - 1)], 1),
        ],
        1,
    )
    grid = F.affine_grid(affine_B23, [batch, 3, INPUT_PX, INPUT_PX], align_corners=False)
    cut_BCHW = F.grid_sample(images_BCHW, grid, align_corners=False, padding_mode="border")
    gain_BC = 1 + 0.06 * (2 * drawn_BK[:, 4:5] - 1) + 0.015 * (2 * drawn_BK[:, 5:8] - 1)
    return ((cut_BCHW * gain_BC[:, :, None, None]).clamp(0, 1) - mean) / std


def clip_loss(image_BD: Tensor, text_BD: Tensor, scale: Tensor, ids_BT: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy (a scalar); captions with the same words share the truth evenly."""
    logits_BB = scale * image_BD @ text_BD.T
    _, group_B = torch.unique(ids_BT, dim=0, return_inverse=True)
    truth_BB = (group_B[:, None] == group_B[None]).float()
    truth_BB = truth_BB / truth_BB.sum(1, keepdim=True)
    return (F.cross_entropy(logits_BB, truth_BB) + F.cross_entropy(logits_BB.T, truth_BB)) / 2


def image_tokens(model: open_clip.CLIP, pixels_BCHW: Tensor) -> Tensor:
    """Class tokens (B, W) as the last block leaves them, before output norm and projection."""
    seen: list[Tensor] = []
    hook = model.visual.ln_post.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.encode_image(pixels_BCHW)
    hook.remove()
    return seen[0][:, 0] if seen[0].ndim == 3 else seen[0]


@torch.inference_mode()
def examine(model: open_clip.CLIP, album: Album, batch: int = 250) -> dict[str, Any]:
    """On unseen planets: right caption among `batch`, and whether the nearest other scene shows the same place.

    Place recall counts landmark views whose place has a second scene; frames of the same burst are left out.
    """
    model.eval()
    pixels = crops(album.images)
    ids_NT = tokens(captions(album))
    images_ND = torch.cat([model.encode_image(part, normalize=True) for part in pixels.split(batch)])
    texts_ND = torch.cat([model.encode_text(part, normalize=True) for part in ids_NT.split(batch)])
    right = []
    for rows in torch.arange(len(pixels)).split(batch):
        best_B = (images_ND[rows] @ texts_ND[rows].T).argmax(1)
        right.append((ids_NT[rows][best_B] == ids_NT[rows]).all(1).float())
    tokens_NW = F.normalize(torch.cat([image_tokens(model, part) for part in pixels.split(batch)]), dim=-1)
    result = {"caption_top1": round(float(torch.cat(right).mean()), 4)}
    for name, features in (("place_recall_tokens", tokens_NW), ("place_recall_projected", images_ND)):
        result[name] = round(_place_recall(features.numpy(), album), 4)
    return result


def _place_recall(features_ND: np.ndarray, album: Album) -> float:
    rows = np.array([row for row, photograph in enumerate(album.photographs) if photograph.view in ("both", "place")])
    scenes = np.array([album.photographs[row].scene_seed for row in rows])
    places = album.places[rows]
    other = scenes[:, None] != scenes[None]
    likeness = np.where(other, features_ND[rows] @ features_ND[rows].T, -np.inf)
    found = places[likeness.argmax(1)] == places
    askable = ((places[:, None] == places[None]) & other).any(1)
    return float(found[askable].mean())


def save(model: open_clip.CLIP, out: Path) -> None:
    """Write an open_clip `local-dir:` folder with weights in half precision and a word tokenizer, all or nothing."""
    words = Tokenizer(models.WordLevel(WORD_IDS, unk_token=PAD))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, WORD_IDS[START]), (END, WORD_IDS[END])]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token=PAD, bos_token=START, eos_token=END)
    card = {"model_cfg": MODEL_CONFIG, "preprocess_cfg": {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}}
    with replace_folder(out) as folder:
        tokenizer.save_pretrained(folder)
        (folder / "open_clip_config.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
        save_file(weights, folder / "open_clip_model.safetensors")


def learn_step(model: open_clip.CLIP, optimizer: torch.optim.Optimizer, pixels_BCHW: Tensor, ids_BT: Tensor) -> float:
    """One step on a batch of crops and captions; the loss."""
    image_BD = model.encode_image(pixels_BCHW, normalize=True)
    text_BD = model.encode_text(ids_BT, normalize=True)
    loss = clip_loss(image_BD, text_BD, model.logit_scale.exp(), ids_BT)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0.0, float(np.log(100.0)))
    return float(loss.detach())


def pretrain(
    out: Path, minutes: float, seed: int, threads: int, report: Report, training: ClipTraining | None = None
) -> dict[str, Any]:
    """Train for `minutes` (drawing included) and leave the network in `out`; returns the last examination.

    The weights are replaced every few minutes, so an interrupted run leaves the newest. The learning rate follows the
    clock, therefore two runs of one seed are alike, not equal.
    """
    training = training or ClipTraining()
    clock = TrainingClock(minutes, training.save_minutes)
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    album = draw_album(training.planets, training.photographs, views=VIEWS)
    phrases, images = captions(album), compress(album.images, rng)
    exam = draw_album(1, training.exam_photographs, first_seed=EXAM_SEED)
    model = build_model()
    report({"parameters": sum(weights.numel() for weights in model.parameters()), "photographs": len(images)})
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.lr, weight_decay=training.weight_decay, betas=(0.9, 0.98)
    )
    step, losses = 0, []
    clock.learn()
    while not clock.over:
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = clock.learning_rate(training.lr, step, training.warmup_steps)
        rows = rng.integers(len(images), size=training.batch)
        told = [[word for word in phrases[row] if rng.uniform() < training.kept_phrases] for row in rows]
        losses.append(learn_step(model, optimizer, crops(images[rows], generator), tokens(told)))
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
