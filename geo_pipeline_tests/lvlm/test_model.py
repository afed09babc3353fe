"""Loading: from a folder, and what is said when that cannot be."""

import dataclasses

import pytest
import torch

from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.lvlm.model import LvlmNotFoundError, LvlmUnsuitableError, assemble, load, model_path


def test_a_loaded_model_is_frozen_and_greedy(small_model):
    assert not any(parameter.requires_grad for parameter in small_model.model.parameters())
    assert not small_model.model.training
    assert small_model.model.generation_config.do_sample is False
    assert small_model.tokenizer.padding_side == "left"
    assert small_model.tokenizer.convert_tokens_to_ids("<|image_pad|>") == small_model.image_token_id


def test_digits_stay_apart_from_words_and_special_tokens_are_special(small_model):
    pieces = small_model.tokenizer.tokenize('<|im_start|>{"latitude": -12.3}')
    assert pieces[0] == "<|im_start|>"
    assert "latitude" in pieces
    assert "." in pieces


def test_loading_twice_gives_the_same_weights(small_model, small_config):
    again = load(small_config)
    for (name, first), (_, second) in zip(
        small_model.model.named_parameters(), again.model.named_parameters(), strict=True
    ):
        assert torch.equal(first, second), name


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(LvlmNotFoundError, match=r"config\.json"):
        load(LvlmConfig.sample(str(tmp_path)))


def test_a_folder_without_a_tokenizer_is_refused(small_model, tmp_path, small_config):
    small_model.model.save_pretrained(tmp_path)
    with pytest.raises((LvlmNotFoundError, ValueError)):
        load(dataclasses.replace(small_config, model=str(tmp_path)))


def test_sample_weights_have_one_name():
    assert model_path(LvlmConfig.sample()).endswith("qwen2vl")
    with pytest.raises(LvlmNotFoundError, match="sample:qwen2vl"):
        model_path(LvlmConfig.sample("sample:other"))


def test_a_foreign_tokenizer_is_refused(small_model):
    config = small_model.model.config
    found, config.image_token_id = config.image_token_id, 3
    try:
        with pytest.raises(LvlmUnsuitableError, match="expected the same"):
            assemble(small_model.model, small_model.tokenizer, small_model.image_processor, small_model.config)
    finally:
        config.image_token_id = found
