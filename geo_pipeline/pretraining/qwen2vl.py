"""Pretrains the sample's small Qwen2-VL on drawn planets of other seeds: to answer with coordinates, to read evidence.

What is asked and answered is `dialogues`; the network's shape and its tokenizer are `lvlm.small`.
Legend: B dialogues, T tokens, V vocabulary.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.lvlm.answers import parse_coordinate
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.lvlm.model import LoadedLvlm, load
from geo_pipeline.lvlm.prompts import encode, generation_prompt
from geo_pipeline.lvlm.small import build_small_qwen2vl
from geo_pipeline.pretraining.album import FIRST_SEED, draw_album
from geo_pipeline.pretraining.dialogues import GLANCES, Dialogue, Glance, Teacher, vocabulary_texts


@dataclass(frozen=True)
class Qwen2VlLessons:
    """How long and how hard the small model is taught."""

    planets: int = 24
    photographs: int = 900
    learning_rate: float = 1.5e-3
    geolocation_batch: int = 48
    evidence_batch: int = 24
    glance_batch: int = 32
    warmup_steps: int = 60


def answer_loss(lvlm: LoadedLvlm, dialogues: Sequence[Dialogue]) -> Tensor:
    """Mean cross-entropy of the answers' tokens (the prompts are not learned)."""
    batch = encode(lvlm, [prompt for prompt, _ in dialogues], [answer for _, answer in dialogues])
    if batch.targets_BT is None:
        raise ValueError("found a batch without targets; expected encode() to give them for dialogues with answers")
    targets_BT = batch.targets_BT[:, 1:]
    learned_BT = targets_BT >= 0
    hidden_BTD = lvlm.model.model(**batch.model_inputs()).last_hidden_state
    logits_NV = lvlm.model.lm_head(hidden_BTD[:, :-1][learned_BT])
    return functional.cross_entropy(logits_NV, targets_BT[learned_BT])


def glance_loss(lvlm: LoadedLvlm, glances: Sequence[Glance]) -> Tensor:
    """Cross-entropy of each question's letters at the prompts' last token, averaged over questions and prompts."""
    hidden_BTD = lvlm.model.model(**encode(lvlm, [prompt for prompt, _ in glances]).model_inputs()).last_hidden_state
    logits_BV = lvlm.model.lm_head(hidden_BTD[:, -1])
    losses = []
    for question, letters in GLANCES.items():
        rows = [row for row, (_, answers) in enumerate(glances) if question in answers]
        if rows:
            ids = torch.tensor(lvlm.tokenizer.convert_tokens_to_ids(list(letters)))
            numbers = torch.tensor([glances[row][1][question] for row in rows])
            losses.append(functional.cross_entropy(logits_BV[rows][:, ids], numbers, reduction="sum"))
    return torch.stack(losses).sum() / sum(len(answers) for _, answers in glances)


def _rate(share: float, step: int, lessons: Qwen2VlLessons) -> float:
    warm = min(1.0, (step + 1) / lessons.warmup_steps)
    return lessons.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


@torch.no_grad()
def examine(lvlm: LoadedLvlm, seed: int, count: int = 200) -> dict[str, float]:
    """Median error of open views on an unseen planet (km), and the losses of evidence and glances."""
    album = draw_album(1, count, first_seed=seed)
    teacher = Teacher(album, np.random.default_rng(seed), lvlm.config.decimals)
    rows = teacher.open_views
    batch = encode(lvlm, [generation_prompt(album.images[row]) for row in rows])
    out_BT = lvlm.model.generate(**batch.model_inputs(with_positions=False), max_new_tokens=lvlm.config.max_new_tokens)
    texts = lvlm.tokenizer.batch_decode(out_BT[:, batch.token_ids_BT.shape[1] :], skip_special_tokens=True)
    error_km = []
    for text, row in zip(texts, rows, strict=True):
        parsed = parse_coordinate(text)
        if parsed.lat_deg is None or parsed.lon_deg is None:
            error_km.append(math.inf)
            continue
        km = great_circle_km(parsed.lat_deg, parsed.lon_deg, album.lat_deg[row], album.lon_deg[row])
        error_km.append(float(km))
    evidence = float(answer_loss(lvlm, teacher.evidence(96)))
    glance = float(glance_loss(lvlm, teacher.glances(200)))
    return {"median_error_km": float(np.median(error_km)), "evidence_loss": evidence, "glance_loss": glance}


def pretrain(
    out: Path,
    minutes: float,
    seed: int = 0,
    threads: int = 1,
    report: Callable[[dict[str, float]], None] = print,
    lessons: Qwen2VlLessons | None = None,
    resume: bool = False,
) -> dict[str, float]:
    """Teach a model for `minutes` and write it to `out` (a Hugging Face folder, weights in float16).

    `resume` goes on from the weights in `out` instead of a fresh model. Returns the last examination.
    """
    lessons = lessons or Qwen2VlLessons()
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    config = LvlmConfig.sample(str(out))
    if not resume:
        build_small_qwen2vl(out, vocabulary_texts(config.decimals), seed)
    lvlm = load(config)
    lvlm.model.requires_grad_(True)
    album = draw_album(lessons.planets, lessons.photographs, FIRST_SEED + 1000 * seed)
    teacher = Teacher(album, np.random.default_rng(seed), config.decimals)
    draw_lesson: dict[str, Callable[[], Tensor]] = {
        "geolocation": lambda: answer_loss(lvlm, teacher.geolocation(lessons.geolocation_batch)),
        "evidence": lambda: answer_loss(lvlm, teacher.evidence(lessons.evidence_batch)),
        "glance": lambda: glance_loss(lvlm, teacher.glances(lessons.glance_batch)),
    }
    optimizer = torch.optim.AdamW(
        lvlm.model.parameters(), lr=lessons.learning_rate, weight_decay=0.02, betas=(0.9, 0.98)
    )
    started, step, examined = time.monotonic(), 0, 0.0
    running: dict[str, float] = {}
    while (share := (time.monotonic() - started) / (60 * minutes)) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = _rate(share, step, lessons)
        lesson = tuple(draw_lesson)[step % len(draw_lesson)]
        loss = draw_lesson[lesson]()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lvlm.model.parameters(), 1.0)
        optimizer.step()
        running[lesson] = 0.97 * running.get(lesson, loss.item()) + 0.03 * loss.item()
        step += 1
        if share - examined > 0.1:
            examined = share
            report({"step": step, "share": round(share, 3), **running, **examine(lvlm, FIRST_SEED - 1)})
            save(lvlm, out)
    save(lvlm, out)
    marks = examine(lvlm, FIRST_SEED - 1)
    report({"step": step, **running, **marks})
    return marks


def save(lvlm: LoadedLvlm, out: Path) -> None:
    """Write weights (float16), tokenizer and image processor beside each other in `out`."""
    state = {name: value.detach().to(torch.float16) for name, value in lvlm.model.state_dict().items()}
    lvlm.model.save_pretrained(out, state_dict=state, safe_serialization=True)
