"""Generation: greedy answers in text, one row each, the same in any batch."""

import dataclasses

import pyarrow as pa
import pytest
import torch

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.lvlm.answers import format_answer
from geo_pipeline.lvlm.generation import GenerationPredictor
from geo_pipeline.lvlm.model import load
from geo_pipeline.lvlm.prompts import encode, generation_prompt
from geo_pipeline_tests.small_lvlm import jpeg, picture

ANSWERS = {
    0: format_answer(12.3, -145.6, 1),
    1: format_answer(-1.0, 2.0, 1),
    2: "I do not know.",
    3: '{"latitude": 0, ',
}


@pytest.fixture(scope="module")
def taught(small_config, tmp_path_factory):
    """The small model after learning four pictures by heart: two with coordinates, two without."""
    lvlm = load(small_config)
    lvlm.model.requires_grad_(True)
    batch = encode(lvlm, [generation_prompt(picture(seed)) for seed in ANSWERS], list(ANSWERS.values()))
    optimizer = torch.optim.Adam(lvlm.model.parameters(), lr=1e-2)
    torch.manual_seed(0)
    for _ in range(200):
        loss = lvlm.model(**batch.model_inputs(), labels=batch.targets_BT).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss < 0.02:
            break
    folder = tmp_path_factory.mktemp("taught")
    lvlm.model.save_pretrained(folder)
    lvlm.tokenizer.save_pretrained(folder)
    lvlm.image_processor.save_pretrained(folder)
    return dataclasses.replace(small_config, model=str(folder), max_new_tokens=40)


def test_answers_become_rows_and_failures_keep_reason_and_text(taught):
    queries = pa.table({"image_id": [f"q{seed}" for seed in ANSWERS], "jpeg": [jpeg(seed) for seed in ANSWERS]})
    rows = GenerationPredictor(taught)(queries)
    assert rows["raw_answer"].to_pylist() == list(ANSWERS.values())
    assert rows["lat_deg"].to_pylist() == [12.3, -1.0, None, None]
    assert rows["lon_deg"].to_pylist() == [-145.6, 2.0, None, None]
    assert rows["failure"].to_pylist() == [None, None, "declined", "truncated_reply"]
    assert rows["image_id"].to_pylist() == ["q0", "q1", "q2", "q3"]
    assert load_contract("predictions").problems(rows) == []


def test_a_batch_of_one_gives_the_same_answers(taught):
    queries = pa.table({"image_id": [f"q{seed}" for seed in ANSWERS], "jpeg": [jpeg(seed) for seed in ANSWERS]})
    together = GenerationPredictor(taught)(queries)
    alone = GenerationPredictor(dataclasses.replace(taught, batch=1))(queries)
    assert alone.equals(together)


def test_no_queries_give_no_rows(taught):
    empty = pa.table({"image_id": pa.array([], pa.string()), "jpeg": pa.array([], pa.binary())})
    assert GenerationPredictor(taught)(empty).num_rows == 0


def test_generation_stops_at_the_end_of_the_turn(taught):
    lvlm = load(taught)
    batch = encode(lvlm, [generation_prompt(picture(2))])
    out_BT = lvlm.model.generate(**batch.model_inputs(with_positions=False))
    assert lvlm.tokenizer.decode(out_BT[0, -1]) == "<|im_end|>"
    assert out_BT.shape[1] - batch.token_ids_BT.shape[1] < 40
