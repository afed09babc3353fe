"""Builds a small, untrained Qwen2-VL as an ordinary Hugging Face folder, for pretraining and for tests.

The architecture is the published one, only narrower; `geo_pipeline.lvlm.model.load` reads it like any other. Teaching
it is `geo_pipeline.pretraining`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
)

from geo_pipeline.lvlm.answers import format_answer
from geo_pipeline.lvlm.model import END_OF_TEXT, END_OF_TURN, IMAGE_TOKEN
from geo_pipeline.lvlm.prompts import generation_prompt, render
from geo_pipeline.routing.prompt import ImagePart, RouterInputs, build_prompt

SPECIAL_TOKENS = (
    END_OF_TEXT,
    "<|im_start|>",
    END_OF_TURN,
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    IMAGE_TOKEN,
    "<|video_pad|>",
)
"""Qwen2-VL's special tokens in Qwen2-VL's order."""

# Qwen2's splitting rule (words with the sign before them, runs of signs, line ends, blanks), but numbers in groups of
# up to three digits, so that a whole degree is one token: a small network then compares coordinates token by token.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen2-VL's own template without its video branch."""


def build_small_qwen2vl(
    folder: Path,
    texts: Iterable[str] | None = None,
    seed: int = 0,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    kv_heads: int = 2,
    intermediate: int = 384,
    vision_hidden: int = 96,
    vision_layers: int = 3,
    image_px: int = 56,
    vocabulary: int = 1000,
) -> Path:
    """Write an untrained Qwen2-VL with tokenizer and preprocessor into `folder`; same seed, same bytes.

    `texts` train the tokenizer; None takes `example_texts`. With the defaults the network has about 1.5 million
    parameters and shows an image of 56 px as 4 tokens. Returns `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(example_texts(seed) if texts is None else texts, vocabulary)
    size = {"shortest_edge": min(56, image_px) ** 2, "longest_edge": image_px**2}
    # 1024 positions are five times the longest router prompt; head_dim / 2 is shared 1:1.5:1.5 as in the paper's model.
    half = hidden // heads // 2
    spatial = half * 3 // 8
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": hidden,
            "intermediate_size": intermediate,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "max_position_embeddings": 1024,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [half - 2 * spatial, spatial, spatial],
            },
            "bos_token_id": tokenizer.convert_tokens_to_ids(END_OF_TEXT),
            "eos_token_id": tokenizer.convert_tokens_to_ids(END_OF_TURN),
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={"depth": vision_layers, "embed_dim": vision_hidden, "hidden_size": hidden, "num_heads": 4},
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2VLForConditionalGeneration(config)
    ends = [tokenizer.convert_tokens_to_ids(token) for token in (END_OF_TURN, END_OF_TEXT)]
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Qwen2VLImageProcessor(size=size).save_pretrained(folder)
    return folder


def train_tokenizer(texts: Iterable[str], vocabulary: int, split: str = QWEN2_SPLIT) -> PreTrainedTokenizerFast:
    """Byte-level BPE with Qwen2's splitting rule (digits in groups of three) and Qwen2-VL's special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def example_texts(seed: int = 0, count: int = 200, decimals: int = 0) -> Iterator[str]:
    """Dialogues as pretraining and use write them, with drawn coordinates and no pictures, to train a tokenizer on."""
    rng = np.random.default_rng(seed)
    blank = np.zeros((1, 1, 3), dtype=np.uint8)
    for row in range(count):
        lat_deg, lon_deg = rng.uniform(-90, 90, size=10), rng.uniform(-180, 180, size=10)
        places = [(float(lat), float(lon)) for lat, lon in zip(lat_deg, lon_deg, strict=True)]
        answer = format_answer(*places[0], decimals)
        inputs = RouterInputs(blank, None if row % 10 == 0 else places[0], places[1], blank, tuple(places[2:]))
        for prompt in (generation_prompt(blank), build_prompt(inputs, "full", decimals)):
            images = sum(isinstance(part, ImagePart) for part in prompt)
            yield render(prompt, [1] * images, answer)
