import pytest

from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline_tests.segmentation.tiny_oneformer import CLASS_INFO, write_oneformer


@pytest.fixture(scope="session")
def config(tmp_path_factory) -> SegmentationConfig:
    folder = write_oneformer(tmp_path_factory.mktemp("oneformer") / "weights", is_training=True)
    return SegmentationConfig(model=str(folder), revision=None, class_info=CLASS_INFO, batch=2)
