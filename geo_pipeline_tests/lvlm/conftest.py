"""One small model for all tests of this package."""

import pytest

from geo_pipeline.lvlm.model import load
from geo_pipeline_tests import small_lvlm


@pytest.fixture(scope="session")
def small_config(tmp_path_factory):
    return small_lvlm.build(tmp_path_factory.mktemp("qwen2vl"))


@pytest.fixture(scope="session")
def small_model(small_config):
    return load(small_config)
