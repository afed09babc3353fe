"""Prompts to tensors: the chat template, the stock processor's pixels, padding that changes nothing."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import Qwen2VLImageProcessor

from geo_pipeline.lvlm.answers import format_answer
from geo_pipeline.lvlm.prompts import (
    GENERATION_QUESTION,
    NO_TARGET,
    encode,
    generation_prompt,
    image_tokens,
    render,
)
from geo_pipeline.routing.prompt import ImagePart, RouterInputs, build_prompt
from geo_pipeline_tests.small_lvlm import picture


def prompts_of_several_lengths():
    router = RouterInputs(picture(1), (12.3, -45.6), (1.0, 2.0), picture(2), ((5.0, 6.0), (-7.2, 8.0)))
    return [
        generation_prompt(picture(0)),
        build_prompt(router, "full", 1),
        build_prompt(router, "coordinates_only", 1),
        build_prompt(router, "image_only", 1),
    ]


def test_rendering_is_the_chat_template(small_model):
    content = [{"type": "image"}, {"type": "text", "text": GENERATION_QUESTION}]
    expected = small_model.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    assert render(generation_prompt(picture(0)), [1]) == expected


def test_an_image_is_as_many_tokens_as_it_has_merged_patches(small_model):
    batch = encode(small_model, prompts_of_several_lengths())
    assert batch.token_types_BT.sum(dim=1).tolist() == [4, 8, 0, 4]
    assert batch.grids_I3.tolist() == [[1, 4, 4]] * 4
    assert batch.attention_BT[:, -1].tolist() == [1, 1, 1, 1]
    assert batch.attention_BT[:, 0].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("image_px", [56, 224])
def test_pixels_are_exactly_the_stock_processors(small_model, image_px):
    processor = Qwen2VLImageProcessor(size={"shortest_edge": 56 * 56, "longest_edge": image_px**2})
    lvlm = dataclasses.replace(
        small_model,
        image_processor=processor,
        config=dataclasses.replace(small_model.config, image_px=image_px, square_crop=False),
    )
    images = [picture(0), picture(1, 64, 150), picture(2, 300, 200), picture(3)]
    pixels_PD, grids_I3, counts = image_tokens(lvlm, images)
    one_by_one = [processor(images=image, return_tensors="pt") for image in images]
    assert torch.equal(pixels_PD, torch.cat([one["pixel_values"] for one in one_by_one]))
    assert torch.equal(grids_I3, torch.cat([one["image_grid_thw"] for one in one_by_one]))
    assert counts == [int(one["image_grid_thw"].prod()) // 4 for one in one_by_one]


def test_a_square_crop_is_the_middle(small_model):
    wide = np.concatenate([np.zeros((64, 32, 3), np.uint8), picture(4), np.zeros((64, 32, 3), np.uint8)], axis=1)
    assert torch.equal(image_tokens(small_model, [wide])[0], image_tokens(small_model, [picture(4)])[0])


def test_positions_are_the_models_own(small_model):
    wide = dataclasses.replace(small_model, config=dataclasses.replace(small_model.config, square_crop=False))
    prompts = [*prompts_of_several_lengths(), (ImagePart(picture(5, 56, 28)), "a", ImagePart(picture(6)), "b")]
    batch = encode(wide, prompts)
    expected, _ = small_model.model.model.get_rope_index(
        batch.token_ids_BT, batch.token_types_BT, batch.grids_I3, attention_mask=batch.attention_BT
    )
    assert torch.equal(batch.positions_3BT, expected)


@torch.no_grad()
def test_a_padded_batch_gives_the_hidden_states_of_single_calls(small_model):
    prompts = prompts_of_several_lengths()
    together = small_model.model.model(**encode(small_model, prompts).model_inputs()).last_hidden_state[:, -1]
    for row, prompt in enumerate(prompts):
        alone = small_model.model.model(**encode(small_model, [prompt]).model_inputs()).last_hidden_state[:, -1]
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_wrong_padding_side_would_be_noticed(small_model):
    batch = encode(small_model, prompts_of_several_lengths())
    masked = batch.model_inputs()
    unmasked = masked | {"attention_mask": torch.ones_like(batch.attention_BT)}
    last = [small_model.model.model(**inputs).last_hidden_state[0, -1] for inputs in (masked, unmasked)]
    assert not torch.allclose(last[0], last[1], atol=1e-3)


def test_targets_are_the_answer_and_its_end(small_model):
    answers = [format_answer(12.3, -145.6, 1), format_answer(-1.0, 2.0, 1)]
    batch = encode(small_model, [generation_prompt(picture(0))] * 2, answers)
    for row, answer in enumerate(answers):
        learned = batch.targets_BT[row][batch.targets_BT[row] != NO_TARGET]
        assert small_model.tokenizer.decode(learned) == f"{answer}<|im_end|>"
        assert torch.equal(learned, batch.token_ids_BT[row, -len(learned) :])


def test_an_empty_batch_is_refused(small_model):
    with pytest.raises(ValueError, match="no prompts"):
        encode(small_model, [])


def test_prompts_made_in_threads_are_those_made_alone(small_model):
    asked = [[generation_prompt(picture(seed)), f"another {'word ' * seed}".split()] for seed in range(8)]
    prompts = [[first, (" ".join(words),)] for first, words in asked]
    alone = [encode(small_model, part).token_ids_BT for part in prompts]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda part: encode(small_model, part).token_ids_BT, prompts * 20))
    assert all(torch.equal(found, alone[at % len(alone)]) for at, found in enumerate(together))
