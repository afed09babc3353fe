"""A rehearsal is the profile `paper` but for a pinned list, on files that the paper's own loaders and readers read."""

import csv
import subprocess
import sys
import tarfile

import yaml

from geo_pipeline.geosurge.config import VisionConfig
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.profiles.choices import BenchmarkFiles, Choices
from geo_pipeline.profiles.named import named_profile
from geo_pipeline.profiles.settings import settings_of
from geo_pipeline.rehearsal.hub import make_hub
from geo_pipeline.rehearsal.photographs import draw_collections
from geo_pipeline.rehearsal.settings import rehearsed
from geo_pipeline.segmentation.config import SegmentationConfig

CHANGED = {
    "segmentation.batch",
    "geosurge.vision.width",
    "geosurge.fusion.semantic_dim",
    "geosurge.fusion.latent_dim",
    "geosurge.embedding_dim",
    "geosurge.training.max_epochs",
    "geosurge.training.micro_batch",
    "router.epochs",
    "expected_counts",
    "compute.gpus",
    "compute.backend",
}
LOADED = """
import sys
import numpy as np
from geo_pipeline.geosurge.config import VisionConfig
from geo_pipeline.geosurge.vision import load_tower
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.lvlm.model import load
from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline.segmentation.oneformer import Segmenter

class_map = Segmenter(SegmentationConfig()).segment([np.zeros((96, 128, 3), np.uint8)])[0]
tower = load_tower(VisionConfig(width=64))
lvlm = load(LvlmConfig())
print(class_map.shape, len(tower.blocks), lvlm.model.config.text_config.num_hidden_layers)
"""


def test_it_changes_what_is_listed_and_nothing_else(tmp_path):
    drawn = draw_collections(tmp_path / "drawn", 64, 2)
    files = {"images": str(drawn.references[0]), "metadata": str(drawn.references[1])}
    queries = (
        BenchmarkFiles("im2gps3k", *map(str, drawn.im2gps3k)),
        BenchmarkFiles("yfcc4k", *map(str, drawn.yfcc4k)),
    )
    paper = named_profile(Choices("paper", **files, benchmarks=queries))
    rehearsal = named_profile(Choices("paper", **files, benchmarks=queries, config=yaml.safe_dump(dict(rehearsed(2)))))
    before, after = settings_of(paper), settings_of(rehearsal)
    assert set(rehearsed(2)) == CHANGED
    assert {path for path in before if before[path].value != after[path].value} == CHANGED
    assert rehearsal.wrong() == []


def test_the_drawn_collections_have_the_formats_of_the_real_ones(tmp_path):
    drawn = draw_collections(tmp_path, 64, 3)
    with drawn.references[1].open() as file, tarfile.open(drawn.references[0]) as tar:
        ids = [row["IMG_ID"] for row in csv.DictReader(file)]
        assert [f"mp-16-images/{each.replace('/', '_')}" for each in ids] == tar.getnames()
    lines = drawn.yfcc4k[1].read_text().splitlines()
    assert [line.count("\t") for line in lines] == [24] * 3
    assert len(list(drawn.im2gps3k[0].iterdir())) == 3
    before = drawn.references[0].stat().st_mtime_ns
    draw_collections(tmp_path, 64, 3)
    assert drawn.references[0].stat().st_mtime_ns == before


def test_the_papers_loaders_read_the_narrow_networks_from_the_cache(tmp_path):
    make_hub(tmp_path / "hub", VisionConfig(width=64), SegmentationConfig(), LvlmConfig())
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.strip() == "(96, 128) 24 28", done.stderr[-2000:]
