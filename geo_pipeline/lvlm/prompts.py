"""Prompts to tensors: Qwen2-VL's chat template, image tokens, left padding, token types and 3-D rope positions.

Pretraining, generation and the router all come through here: a network is asked in use exactly as it was taught.
The text of the router's prompt is `geo_pipeline.routing.prompt`; reading answers is `geo_pipeline.lvlm.answers`.

Legend: B prompts, T tokens, I images, P patches of all images, D values of a patch.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geo_pipeline.lvlm.model import END_OF_TURN, IMAGE_TOKEN, LoadedLvlm
from geo_pipeline.routing.prompt import ImagePart, Prompt

SYSTEM_MESSAGE = "You are a helpful assistant."
GENERATION_QUESTION = (
    "Where on Earth was this photograph taken? Estimate its coordinates in decimal degrees. "
    'Answer with JSON only: {"latitude": .., "longitude": ..}'
)
NO_TARGET = -100
"""Label that torch's cross-entropy leaves out."""
_TOKENIZING = threading.Lock()
"""Prompts are made in threads; a fast tokenizer keeps its padding as state, and two at once end in Already borrowed."""

__all__ = [
    "GENERATION_QUESTION",
    "ImagePart",
    "Prompt",
    "PromptBatch",
    "encode",
    "generation_prompt",
    "image_tokens",
    "render",
    "rope_positions",
]


@dataclass(frozen=True)
class PromptBatch:
    """Tensors of B left-padded prompts.

    `token_ids_BT`, `attention_BT` (1 = a true token), `token_types_BT` (1 = an image token), `positions_3BT` (temporal,
    height and width position of every token); `pixels_PD` and `grids_I3` are None where no prompt has an image;
    `targets_BT` (training only) is the answer's tokens and its end of turn, and -100 everywhere else.
    """

    token_ids_BT: Tensor
    attention_BT: Tensor
    token_types_BT: Tensor
    positions_3BT: Tensor
    pixels_PD: Tensor | None
    grids_I3: Tensor | None
    targets_BT: Tensor | None = None

    def to(self, device: torch.device) -> "PromptBatch":
        """The same batch on another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)

    def model_inputs(self, with_positions: bool = True) -> dict[str, Tensor]:
        """Keyword arguments of the model's forward; `generate` makes its own positions, from the same rule."""
        inputs = {
            "input_ids": self.token_ids_BT,
            "attention_mask": self.attention_BT,
            "mm_token_type_ids": self.token_types_BT,
        }
        if with_positions:
            inputs["position_ids"] = self.positions_3BT
        if self.pixels_PD is not None and self.grids_I3 is not None:
            inputs |= {"pixel_values": self.pixels_PD, "image_grid_thw": self.grids_I3}
        return inputs


def generation_prompt(rgb_HWC: NDArray[np.uint8]) -> Prompt:
    """The question of the generation paradigm about one photograph."""
    return (ImagePart(rgb_HWC), GENERATION_QUESTION)


def render(prompt: Prompt, image_token_counts: Sequence[int], answer: str | None = None) -> str:
    """Qwen2-VL's chat template: system line, user turn, the assistant's opening; in training, `answer` and its end."""
    counts = iter(image_token_counts)
    user = "".join(
        part if isinstance(part, str) else f"<|vision_start|>{IMAGE_TOKEN * next(counts)}<|vision_end|>"
        for part in prompt
    )
    opening = (
        f"<|im_start|>system\n{SYSTEM_MESSAGE}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
    )
    return opening if answer is None else f"{opening}{answer}{END_OF_TURN}"


def image_tokens(lvlm: LoadedLvlm, images: Sequence[NDArray[np.uint8]]) -> tuple[Tensor, Tensor, list[int]]:
    """Patches and grids of images as the stock processor makes them.

    Returns `pixels_PD`, `grids_I3` (t, h, w in patches) and the number of language-model tokens of each image.
    """
    square = lvlm.config.square_crop
    whole = [_central_square(image) if square else image for image in images]
    prepared = [torch.tensor(image).permute(2, 0, 1) for image in whole]
    features = lvlm.image_processor(images=prepared, return_tensors="pt")
    grids_I3: Tensor = features["image_grid_thw"]
    merged = int(lvlm.image_processor.merge_size) ** 2
    return features["pixel_values"], grids_I3, (grids_I3.prod(dim=1) // merged).tolist()


def encode(lvlm: LoadedLvlm, prompts: Sequence[Prompt], answers: Sequence[str] | None = None) -> PromptBatch:
    """Tensors of `prompts`, on the CPU, padded on the left to the longest; with `answers`, of the whole dialogues."""
    if not prompts:
        raise ValueError("found no prompts; expected at least one; do not call encode for an empty batch")
    images = [part.rgb_HWC for prompt in prompts for part in prompt if isinstance(part, ImagePart)]
    pixels_PD: Tensor | None = None
    grids_I3: Tensor | None = None
    counts: list[int] = []
    if images:
        pixels_PD, grids_I3, counts = image_tokens(lvlm, images)
    texts, at = [], 0
    for row, prompt in enumerate(prompts):
        of_row = sum(isinstance(part, ImagePart) for part in prompt)
        texts.append(render(prompt, counts[at : at + of_row], None if answers is None else answers[row]))
        at += of_row
    with _TOKENIZING:
        tokens = lvlm.tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
    token_ids_BT: Tensor = tokens["input_ids"]
    attention_BT: Tensor = tokens["attention_mask"]
    token_types_BT = (token_ids_BT == lvlm.image_token_id).to(torch.int32)
    merge = int(lvlm.image_processor.merge_size)
    positions_3BT = rope_positions(attention_BT, token_types_BT, grids_I3, merge)
    targets_BT = None if answers is None else _answer_targets(lvlm, token_ids_BT, answers)
    return PromptBatch(token_ids_BT, attention_BT, token_types_BT, positions_3BT, pixels_PD, grids_I3, targets_BT)


def _answer_targets(lvlm: LoadedLvlm, token_ids_BT: Tensor, answers: Sequence[str]) -> Tensor:
    with _TOKENIZING:
        endings = lvlm.tokenizer([f"{answer}{END_OF_TURN}" for answer in answers], add_special_tokens=False)[
            "input_ids"
        ]
    targets_BT = torch.full_like(token_ids_BT, NO_TARGET)
    for row, ending in enumerate(endings):
        if token_ids_BT[row, -len(ending) :].tolist() != ending:
            raise ValueError(
                f"found an answer whose first token merges with the prompt: {answers[row]!r}; expected one that starts "
                "with a bracket or a letter; write answers with lvlm.answers.format_answer"
            )
        targets_BT[row, -len(ending) :] = token_ids_BT[row, -len(ending) :]
    return targets_BT


def rope_positions(attention_BT: Tensor, token_types_BT: Tensor, grids_I3: Tensor | None, merge: int) -> Tensor:
    """Qwen2-VL's multimodal rope positions [3, B, T]: text counts on by one, an image spans its height and width.

    The same rule as `Qwen2VLModel.get_rope_index`, for images; padding has position 0.
    """
    positions_3BT = torch.zeros((3, *attention_BT.shape), dtype=torch.long)
    image = 0
    for row in range(attention_BT.shape[0]):
        start = int(attention_BT.shape[1] - attention_BT[row].sum())
        types = token_types_BT[row, start:].tolist()
        pieces, at, position = [], 0, 0
        while at < len(types):
            if types[at] == 0:
                end = types.index(1, at) if 1 in types[at:] else len(types)
                pieces.append(torch.arange(position, position + end - at).expand(3, -1))
                position += end - at
                at = end
                continue
            if grids_I3 is None:
                raise ValueError(
                    "found image tokens without grids; expected one grid per image; pass image_tokens' grids"
                )
            frames, height, width = (int(value) for value in grids_I3[image])
            height, width, image = height // merge, width // merge, image + 1
            grid = torch.meshgrid(torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij")
            pieces.append(torch.stack(grid).reshape(3, -1) + position)
            position += max(height, width)
            at += frames * height * width
        positions_3BT[:, row, start:] = torch.cat(pieces, dim=1)
    return positions_3BT


def _central_square(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb_HWC.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(rgb_HWC[top : top + side, left : left + side])
