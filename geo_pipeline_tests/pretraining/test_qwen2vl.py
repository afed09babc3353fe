"""The small vision-language model learns its lessons, and goes on where it was left."""

import numpy as np
import pytest
import torch

from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.lvlm.model import load
from geo_pipeline.pretraining.album import draw_album
from geo_pipeline.pretraining.command import UnknownNetworkError, main
from geo_pipeline.pretraining.dialogues import GLANCES, HIDDEN_BY_VARIANT, Teacher, vocabulary_texts
from geo_pipeline.pretraining.qwen2vl import Qwen2VlLessons, answer_loss, glance_loss, pretrain

SHORT = Qwen2VlLessons(planets=1, photographs=40, geolocation_batch=4, evidence_batch=2, glance_batch=2, warmup_steps=2)


def test_a_pretraining_can_be_resumed_and_leaves_a_loadable_folder(tmp_path):
    first = pretrain(tmp_path / "q", 0.02, report=lambda marks: None, lessons=SHORT)
    again = pretrain(tmp_path / "q", 0.02, report=lambda marks: None, lessons=SHORT, resume=True)
    assert set(first) == set(again) == {"median_error_km", "evidence_loss", "glance_loss"}
    lvlm = load(LvlmConfig.sample(str(tmp_path / "q")))
    letters = "".join(GLANCES.values())
    ids = lvlm.tokenizer.convert_tokens_to_ids(list(letters))
    assert len(set(ids)) == len(letters)
    assert lvlm.tokenizer.unk_token_id not in ids


def test_the_shipped_model_has_learnt_its_lessons():
    """On a planet that it was not taught: better than knowing only how often each answer comes."""
    lvlm = load(LvlmConfig.sample())
    teacher = Teacher(draw_album(1, 80, first_seed=77), np.random.default_rng(0), lvlm.config.decimals)
    with torch.no_grad():
        assert float(glance_loss(lvlm, teacher.glances(64))) < 1.1
        assert float(answer_loss(lvlm, teacher.geolocation(32))) < 0.6


def test_a_glance_shows_only_what_its_prompt_lets_one_see():
    teacher = Teacher(draw_album(1, 60), np.random.default_rng(1), 0)
    seen = [(len(prompt), set(answers)) for prompt, answers in teacher.glances(80)]
    assert {"view"} in [questions for _, questions in seen]
    assert HIDDEN_BY_VARIANT["coordinates_only"] >= {"view", "same place"}
    assert all(questions <= set(GLANCES) for _, questions in seen)


def test_the_tokenizers_texts_hold_every_letter():
    assert set("".join(GLANCES.values())) <= set(" ".join(vocabulary_texts(0)))


def test_an_unknown_network_is_refused_by_name(tmp_path):
    with pytest.raises(UnknownNetworkError, match="oneformer, clip, qwen2vl"):
        main(["resnet"], 1.0, tmp_path)
