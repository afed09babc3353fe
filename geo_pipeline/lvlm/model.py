"""Loads one Qwen2-VL with its tokenizer and image processor, by Hugging Face id or from a folder, on one device.

The same code reads the published 7B model and the small one of the sample. Building a small one is
`geo_pipeline.lvlm.small`; the prompts of the model are `geo_pipeline.lvlm.prompts`.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
)
from transformers.utils import logging as transformers_logging

from geo_pipeline.lvlm.config import SAMPLE_WEIGHTS_PREFIX, LvlmConfig
from geo_pipeline.sample_world.weights import weights_dir
from geo_pipeline.training.device import pick_device

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105 - a token of text, no secret
END_OF_TURN = "<|im_end|>"
END_OF_TEXT = "<|endoftext|>"
MIN_IMAGE_PX = 56


class LvlmNotFoundError(FileNotFoundError):
    """The model's files are not where the configuration says."""


class LvlmUnsuitableError(ValueError):
    """The files are there, but they are not a Qwen2-VL that these prompts fit."""


@dataclass(frozen=True)
class LoadedLvlm:
    """A model in eval mode on one device, its tokenizer (left padding) and its image processor."""

    model: Qwen2VLForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    image_processor: Qwen2VLImageProcessor
    config: LvlmConfig

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def image_token_id(self) -> int:
        """Token that stands for one merged patch of an image."""
        return int(self.model.config.image_token_id)


def model_path(config: LvlmConfig) -> str:
    """Folder or Hugging Face id that `config.model` names; `sample:<folder>` is resolved to the shipped weights."""
    if config.model.startswith(SAMPLE_WEIGHTS_PREFIX):
        name = config.model.removeprefix(SAMPLE_WEIGHTS_PREFIX)
        if name != "qwen2vl":
            raise LvlmNotFoundError(
                f"found model {config.model!r}; expected {SAMPLE_WEIGHTS_PREFIX}qwen2vl; mend LvlmConfig.model"
            )
        return str(weights_dir("qwen2vl"))
    return config.model


def load(config: LvlmConfig, device: torch.device | None = None) -> LoadedLvlm:
    """Load the model for inference (eval mode, frozen).

    Raises `LvlmNotFoundError` where files are missing and `LvlmUnsuitableError` where they are another architecture.
    """
    transformers_logging.disable_progress_bar()  # a bar per worker and load says nothing
    path = model_path(config)
    where = {} if Path(path).exists() else {"revision": config.revision}
    if Path(path).is_dir() and not (Path(path) / "config.json").is_file():
        raise LvlmNotFoundError(
            f"found a folder {path} without config.json; expected a Hugging Face Qwen2-VL; give its folder or id"
        )
    try:
        model = Qwen2VLForConditionalGeneration.from_pretrained(
            path,
            dtype=getattr(torch, config.dtype),
            attn_implementation=config.attention,
            use_safetensors=True,
            **where,
        )
        tokenizer = AutoTokenizer.from_pretrained(path, **where)
        image_processor = Qwen2VLImageProcessor.from_pretrained(path, **where)
    except OSError as error:
        raise LvlmNotFoundError(
            f"found no usable vision-language model at {path} (revision {config.revision}): {error}; expected a "
            "folder or a Hugging Face id with config.json, safetensors and a tokenizer; "
            "download it first, or set LvlmConfig.model"
        ) from error
    return assemble(model, tokenizer, image_processor, config, device)


def assemble(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    image_processor: Qwen2VLImageProcessor,
    config: LvlmConfig,
    device: torch.device | None = None,
) -> LoadedLvlm:
    """Put parts together as `load` does: eval mode, device, left padding, greedy decoding, image sizes of `config`."""
    if tokenizer.convert_tokens_to_ids(IMAGE_TOKEN) != model.config.image_token_id:
        raise LvlmUnsuitableError(
            f"found {IMAGE_TOKEN} as token {tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)} in the tokenizer and "
            f"{model.config.image_token_id} in the model; expected the same; take tokenizer and model from one place"
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = END_OF_TEXT
    # `size` holds areas in pixels in spite of the names of its edges: see smart_resize in transformers.
    smallest = min(MIN_IMAGE_PX, config.image_px)
    image_processor.size = {"shortest_edge": smallest**2, "longest_edge": config.image_px**2}
    ends = [tokenizer.convert_tokens_to_ids(token) for token in (END_OF_TURN, END_OF_TEXT)]
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=config.max_new_tokens, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )
    model.requires_grad_(False)
    model.eval()
    model.to(device if device is not None else pick_device(config.device))
    return LoadedLvlm(model=model, tokenizer=tokenizer, image_processor=image_processor, config=config)
