"""The lines with which a notebook locates a photograph, run in a fresh interpreter as a reader would run them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from geo_pipeline.geosurge.inference import CellPredictor
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.pairs import decode_pair
from geo_pipeline.imagery.crops import CropError

LINES = """
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline.segmentation.oneformer import Segmenter

model = GeoSurge.from_pretrained("geosurge_checkpoint")
image = decode_rgb(open("photograph.jpg", "rb").read())
class_map = Segmenter(SegmentationConfig.sample()).segment([image])[0]
features = model.encode_photograph(image, class_map)
lat_deg, lon_deg = model.best_places(features)[0]
"""
TOLD = """
import json, sys
heavy = [name for name in sys.modules if name.split(".")[0] in ("dagster", "ray")]
print(json.dumps([lat_deg, lon_deg, list(features.shape), heavy]))
"""


def test_a_notebook_locates_a_photograph_without_dagster_or_ray(trained, tmp_path):
    (tmp_path / "geosurge_checkpoint").symlink_to(trained.checkpoint)
    (tmp_path / "photograph.jpg").write_bytes(pq.read_table(trained.images)["jpeg"][0].as_py())
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n{LINES}{TOLD}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    lat_deg, lon_deg, shape, heavy = json.loads(ended.stdout.splitlines()[-1])
    assert heavy == []
    assert shape == [1, 24]
    finest = GeoSurge.from_pretrained(trained.checkpoint, device="cpu").hierarchy.partitions[-1]
    assert (lat_deg, lon_deg) in set(zip(finest.lat_deg, finest.lon_deg, strict=True))


def test_one_photograph_is_seen_and_placed_as_in_a_table(trained, featured, inference):
    model = GeoSurge.from_pretrained(trained.checkpoint, device="cpu")
    row = featured.slice(7, 1)
    pair = decode_pair(row["jpeg"][0].as_py(), row["class_map_png"][0].as_py(), 32)
    features_1D = model.encode_photograph(*pair)
    np.testing.assert_allclose(features_1D[0], row["feature"][0].as_py(), atol=3e-4)  # a table keeps half precision
    predicted = CellPredictor(trained.checkpoint, inference, "cpu")(featured)
    places = model.best_places(torch.tensor(featured["feature"].to_pylist()))
    assert [tuple(place) for place in places] == list(
        zip(predicted["lat_deg"].to_pylist(), predicted["lon_deg"].to_pylist(), strict=True)
    )


def test_a_class_map_of_another_size_is_refused(trained):
    model = GeoSurge.from_pretrained(trained.checkpoint, device="cpu")
    with pytest.raises(CropError, match="Segment the canonical image again"):
        model.encode_photograph(np.zeros((40, 60, 3), np.uint8), np.zeros((60, 40), np.uint8))
