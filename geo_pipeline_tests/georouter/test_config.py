"""The router's configuration: the paper's values, its way through JSON, what is refused."""

import json
from dataclasses import replace

import pytest

from geo_pipeline.georouter.config import RouterConfig


def test_defaults_are_the_papers():
    config = RouterConfig()
    assert (config.lora_r, config.lora_alpha, config.lora_dropout) == (16, 32, 0.05)
    assert (config.lr, config.batch, config.epochs) == (1e-4, 24, 3)
    assert (config.warmup_share, config.cosine, config.hard_labels, config.keep) == (0.0, False, False, "last")
    assert config.lvlm.model == "Qwen/Qwen2-VL-7B-Instruct"


def test_json_gives_the_same_configuration_back():
    config = RouterConfig.sample("image_only", seed=3)
    assert RouterConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_everything_wrong_is_told_at_once():
    with pytest.raises(ValueError, match="RouterConfig") as refused:
        replace(RouterConfig(), batch=0, variant="all", holdout=1.5)
    assert all(word in str(refused.value) for word in ("batch", "variant", "holdout"))
