import functools
from collections.abc import Callable

import pyarrow as pa
import pytest

from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline_tests.baselines import tiny_baselines


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> tiny_baselines.World:
    return tiny_baselines.world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def rows(world) -> pa.Table:
    return world.rows()


@pytest.fixture(scope="session")
def checkpoint_of(world, tmp_path_factory) -> Callable:
    """The checkpoint folder of a baseline with its idea on or off, trained once a session."""

    @functools.cache
    def trained(name: str, idea: bool = True):
        folder = tmp_path_factory.mktemp(f"{name}-{idea}") / "checkpoint"
        world.train(tiny_baselines.config(world.clip, name, idea), folder)
        return folder

    return trained


@pytest.fixture(scope="session")
def predictions_of(checkpoint_of, rows) -> Callable:
    """Centre-crop predictions of a trained baseline for every image of the world."""

    @functools.cache
    def predicted(name: str, idea: bool = True) -> pa.Table:
        return BaselinePredictor(checkpoint_of(name, idea), inference=InferenceConfig(crops="centre"), device="cpu")(
            rows
        )

    return predicted
