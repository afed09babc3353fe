"""Baselines that fit in a test: the tower, images and cells of `tiny_geosurge`, and what is asked of every baseline."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.config import (
    OPTIONS,
    BaselineConfig,
    CPlanetOptions,
    Options,
    PigeonOptions,
    PlaNetOptions,
    TranslocatorOptions,
)
from geo_pipeline.baselines.training import train, train_on
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.config import TrainingConfig, VisionConfig
from geo_pipeline.geosurge.vision import load_tower
from geo_pipeline.training.outcome import TrainingResult
from geo_pipeline_tests.geosurge import tiny_geosurge

# A town has ten photographs: its three finest cells hold two to five, which no network tells apart. From town to town
# it is so far that labels of PIGEON, fading over 75 km, would be one-hot.
TOY = {
    "planet_net": PlaNetOptions(partition=1),
    "cplanet": CPlanetOptions(sets=4, cells_per_class=2, neighbours=2),
    "translocator": TranslocatorOptions(width=16, blocks=2, heads=2),
    "pigeon": PigeonOptions(tau_km=500.0),
}


CALMER = {"translocator": {"lr": 5e-3, "max_epochs": 12}, "geoclip": {"lr": 3e-3, "batch": 16, "max_epochs": 20}}


@dataclass(frozen=True)
class World:
    """Forty images of four towns, told by colour and by classes; three partitions; a random CLIP tower."""

    images: Path
    segmentations: Path
    geocells: Path
    clip: Path

    def rows(self) -> pa.Table:
        """Every image with its class map."""
        maps = pq.read_table(self.segmentations)["class_map_png"]
        return pq.read_table(self.images).append_column("class_map_png", maps)

    def train(self, config: BaselineConfig, out: Path, report=lambda facts: None) -> TrainingResult:
        return train([self.images], [self.segmentations], self.geocells, config, out, report, "cpu")

    def train_watched(self, config: BaselineConfig, out: Path, report, before) -> TrainingResult:
        """What `train` does, over images that call `before(epoch)` ahead of every batch of training."""
        torch.manual_seed(config.training.seed)
        files = [self.images], [self.segmentations]
        pairs = tiny_geosurge.WatchedPairs(*files, config.vision, config.training, before)
        hierarchy = Hierarchy.from_table(pq.read_table(self.geocells))
        model = checkpoint.build(config, hierarchy, load_tower(config.vision))
        return train_on(pairs, model, out, report, torch.device("cpu"))

    def elsewhere(self, folder: Path, rows: list[int]) -> "World":
        """The same world, but that these images lie in no cell."""
        table = pq.read_table(self.images)
        for name, value in (("lat_deg", -80.0), ("lon_deg", 10.0)):
            values = table[name].to_numpy().copy()
            values[rows] = value
            table = table.set_column(table.column_names.index(name), name, [values])
        pq.write_table(table, folder / "images.parquet")
        return replace(self, images=folder / "images.parquet")


def world(folder: Path) -> World:
    return World(*tiny_geosurge.write_tables(folder), tiny_geosurge.write_clip(folder / "clip"))


def config(clip: Path, name: str, idea: bool = True, options: Options | None = None, **training) -> BaselineConfig:
    chosen = {
        "lr": 1e-2,
        "batch": 8,
        "gamma": 0.95,
        "max_epochs": 15,
        "patience": 10,
        **CALMER.get(name, {}),
        **training,
    }
    vision = VisionConfig(model=f"local-dir:{clip}", pretrained=None, input_px=28, resize_px=32)
    mine = options or TOY.get(name) or OPTIONS[name].sample()
    return BaselineConfig(name, vision, TrainingConfig(**chosen), idea, mine, tau_max=tiny_geosurge.TAU_MAX)


def sizes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of everything that a baseline holds."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def errors_km(predictions: pa.Table, truth: pa.Table) -> np.ndarray:
    """Distance of each prediction from the place of its image; both in the same order."""
    assert predictions["image_id"].to_pylist() == truth["image_id"].to_pylist()
    places = [table[name].to_numpy() for table in (predictions, truth) for name in ("lat_deg", "lon_deg")]
    return great_circle_km(*places)


def differ(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables of predictions name other places, or the same ones with other scores."""
    return not all(
        np.allclose(one[name].to_numpy(), other[name].to_numpy(), atol=1e-6) for name in ("lat_deg", "lon_deg", "score")
    )
