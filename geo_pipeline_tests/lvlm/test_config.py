"""The configuration of the vision-language model: the paper's values, the sample's, and what is refused."""

import subprocess
import sys

import pytest

from geo_pipeline.lvlm.config import LvlmConfig


def test_defaults_name_the_papers_model_by_a_pinned_commit():
    config = LvlmConfig()
    assert config.model == "Qwen/Qwen2-VL-7B-Instruct"
    assert config.revision is not None
    assert len(config.revision) == 40


def test_the_sample_names_no_folder_of_any_machine():
    assert LvlmConfig.sample().model == "sample:qwen2vl"


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"image_px": 0}, {"decimals": 9}, {"max_new_tokens": -1}])
def test_impossible_values_are_refused(wrong):
    with pytest.raises(ValueError, match="LvlmConfig"):
        LvlmConfig(**wrong)


def test_configurations_are_torch_free():
    script = "import sys, geo_pipeline.lvlm.config, geo_pipeline.georouter.config, geo_pipeline.routing.prompt; "
    script += "raise SystemExit(sum(name in sys.modules for name in ('torch', 'transformers', 'peft')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
