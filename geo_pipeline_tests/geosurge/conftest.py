from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.training import train
from geo_pipeline.geosurge.worker import FeatureWorker
from geo_pipeline.training.outcome import TrainingResult
from geo_pipeline_tests.geosurge import tiny_geosurge


@dataclass(frozen=True)
class Trained:
    images: Path
    segmentations: Path
    geocells: Path
    clip: Path
    checkpoint: Path
    result: TrainingResult
    reports: list


@pytest.fixture(scope="session")
def clip_dir(tmp_path_factory):
    return tiny_geosurge.write_clip(tmp_path_factory.mktemp("tower") / "clip")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, clip_dir) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    images, segmentations, geocells = tiny_geosurge.write_tables(folder)
    reports: list = []
    result = train(
        [images],
        [segmentations],
        geocells,
        tiny_geosurge.config(clip_dir),
        folder / "checkpoint",
        reports.append,
        "cpu",
    )
    return Trained(images, segmentations, geocells, clip_dir, folder / "checkpoint", result, reports)


@pytest.fixture
def inference() -> InferenceConfig:
    return InferenceConfig(batch=16, candidates=5)


@pytest.fixture(scope="session")
def rows(trained) -> pa.Table:
    """Every image with its class map."""
    maps = pq.read_table(trained.segmentations)["class_map_png"]
    return pq.read_table(trained.images).append_column("class_map_png", maps)


@pytest.fixture(scope="session")
def featured(trained, rows) -> pa.Table:
    features = load("features").conform(FeatureWorker(trained.checkpoint, device="cpu")(rows))
    assert features["image_id"].to_pylist() == rows["image_id"].to_pylist()
    return rows.append_column("feature", features["feature"])


@pytest.fixture(scope="session")
def gallery(featured) -> pa.Table:
    return featured.filter(pa.array([name == "train" for name in featured["set_name"].to_pylist()]))
