"""A random OneFormer that fits in a test, saved as `Segmenter` reads it: weights, processor, class list."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    OneFormerConfig,
    OneFormerForUniversalSegmentation,
    OneFormerImageProcessor,
    OneFormerProcessor,
    PreTrainedTokenizerFast,
    SwinConfig,
)

CLASS_INFO = "ade20k_panoptic.json"
WORDS = ("<pad>", "<unk>", "the", "task", "is", "semantic")


def write_oneformer(folder: Path, classes: int = 150, is_training: bool = False) -> Path:
    """Half-precision weights, as the sample's are; `is_training` as in many published configurations."""
    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=32,
        patch_size=2,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        drop_path_rate=0.0,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = OneFormerConfig(
        backbone_config=backbone,
        num_labels=classes,
        num_queries=5,
        strides=[2, 4, 8, 16],
        common_stride=2,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_layers=1,
        encoder_feedforward_dim=32,
        decoder_layers=2,
        dim_feedforward=32,
        query_dec_layers=1,
        num_attention_heads=2,
        task_seq_len=8,
    )
    model = OneFormerForUniversalSegmentation(config)
    model.config.is_training = is_training
    return save_oneformer(folder, model.half(), 8, do_resize=False)


def save_oneformer(folder: Path, model: OneFormerForUniversalSegmentation, task_length: int, **resize: object) -> Path:
    """Any OneFormer with a processor of these options, a tokenizer and a class list, as `Segmenter` reads it."""
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    classes = model.config.num_labels
    pictures = OneFormerImageProcessor(num_labels=classes, **resize)
    processor = OneFormerProcessor(pictures, tokenizer, max_seq_length=task_length, task_seq_length=task_length)
    processor.save_pretrained(folder)
    names = {str(row): {"name": f"class {row}", "isthing": 0} for row in range(classes)}
    (folder / CLASS_INFO).write_text(json.dumps(names))
    return folder
