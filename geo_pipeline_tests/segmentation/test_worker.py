import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from geo_pipeline.contracts.contract import load
from geo_pipeline.segmentation.class_maps import decode_class_map
from geo_pipeline.segmentation.worker import SegmentationWorker


@pytest.fixture
def batch() -> pa.Table:
    jpegs = []
    for seed, size in enumerate([(32, 32), (48, 32), (32, 32)]):
        picture = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(picture, "JPEG")
        jpegs.append(picture.getvalue())
    return pa.table({"image_id": ["a", "b", "c"], "jpeg": pa.array(jpegs, pa.binary())})


def test_rows_obey_their_contract_and_hold_the_maps(config, batch):
    worker = SegmentationWorker(config, device="cpu")
    table = load("segmentations").conform(worker(batch))
    assert table["image_id"].to_pylist() == ["a", "b", "c"]
    assert list(zip(table["height"].to_pylist(), table["width"].to_pylist(), strict=True)) == [
        (32, 32),
        (48, 32),
        (32, 32),
    ]
    assert decode_class_map(table["class_map_png"][1].as_py()).shape == (48, 32)
    assert worker(batch).equals(worker(batch))
    assert len(worker(batch.slice(0, 0))) == 0
