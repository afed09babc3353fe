"""The network: parameters at the paper's size, LoRA only where it belongs, the last token, the loss."""

import pytest
import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.georouter.model import GeoRouter, preference_loss
from geo_pipeline.lvlm.model import load
from geo_pipeline.lvlm.prompts import encode, generation_prompt
from geo_pipeline_tests.small_lvlm import picture

QWEN2_VL_7B = {
    "text_config": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [16, 24, 24]},
    },
    "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4},
    "tie_word_embeddings": False,
}


@pytest.fixture
def router(small_config):
    torch.manual_seed(0)
    return GeoRouter(load(small_config).model, RouterConfig(lvlm=small_config))


def test_trainable_parameters_at_the_papers_size():
    with torch.device("meta"):
        backbone = Qwen2VLForConditionalGeneration(Qwen2VLConfig(**QWEN2_VL_7B))
        router = GeoRouter(backbone, RouterConfig())
    trainable = sum(parameter.numel() for parameter in router.trainable().values())
    assert trainable == 6_884_864
    # The paper's printed total counts the head twice (docs/protocol.md).
    assert sum(parameter.numel() for parameter in router.parameters()) + 3584 == 8_298_264_064


def test_lora_is_on_q_k_and_v_of_the_language_model_only(router):
    adapted = {name.split(".lora_")[0] for name in router.trainable() if "lora_" in name}
    assert {name.rsplit(".", 1)[1] for name in adapted} == {"q_proj", "k_proj", "v_proj"}
    assert all("language_model" in name for name in adapted)
    assert len(adapted) == 3 * 2
    assert {name for name in router.trainable() if "lora_" not in name} == {"head.weight"}


def test_the_score_is_theta_times_the_last_hidden_state(router, small_config):
    lvlm = load(small_config)
    batch = encode(lvlm, [generation_prompt(picture(0)), (*generation_prompt(picture(1)), " and more words")])
    router.eval()
    with torch.no_grad():
        hidden_BTD = lvlm.model.model(**batch.model_inputs()).last_hidden_state  # LoRA starts as nothing
        expected_B = hidden_BTD[:, -1] @ router.head.weight[0]
        torch.testing.assert_close(router(batch), expected_B)


def test_the_loss_is_binary_cross_entropy_on_soft_labels():
    scores_B, preferences_B = torch.tensor([0.0, 2.0, -3.0]), torch.tensor([0.5, 0.75, 0.0])
    chance_B = torch.sigmoid(scores_B)
    by_hand_B = -(preferences_B * chance_B.log() + (1 - preferences_B) * (1 - chance_B).log())
    torch.testing.assert_close(preference_loss(scores_B, preferences_B), by_hand_B)


def test_only_adapter_and_head_receive_gradients(router, small_config):
    batch = encode(load(small_config), [generation_prompt(picture(0))])
    router.train()
    preference_loss(router(batch), torch.ones(1)).sum().backward()
    with_gradient = {name for name, parameter in router.named_parameters() if parameter.grad is not None}
    assert with_gradient == set(router.trainable())
