"""The embedded sample: a drawn planet and small networks, for two CPU cores and a few minutes."""

from dataclasses import replace
from functools import partial

from geo_pipeline.baselines.config import BaselineConfig, every_baseline
from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.geosurge.config import GeoSurgeConfig, InferenceConfig
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sources import PlanetSpec
from geo_pipeline.segmentation.config import SegmentationConfig

STATEMENT = (
    "A drawn planet, not the Earth: every photograph is a picture drawn from a seed. The networks are "
    "small and were pretrained on drawn "
    "planets of other seeds, so the numbers show that the pipeline works and say nothing of real photographs."
)


def sample(seed: int = 0) -> Profile:
    """The profile `sample`; another seed draws another planet."""
    geosurge = GeoSurgeConfig.sample()
    return Profile(
        name="sample",
        statement=STATEMENT,
        source_words="a drawn planet, small networks trained on drawn planets",
        seed=seed,
        source=PlanetSpec(seed),
        split=SplitConfig.sample(),
        reference_shards=4,
        benchmarks=("planet_mixed", "planet_remote", "planet_cities"),
        canonical_px=64,
        canonical_quality=92,
        partition=PartitionConfig(tau_min=4, tau_max=(600, 300, 150, 80, 40, 25, 15)),
        segmentation=SegmentationConfig.sample(),
        geosurge=replace(geosurge, training=replace(geosurge.training, seed=seed)),
        inference=InferenceConfig.sample(),
        lvlm=LvlmConfig.sample(),
        router=RouterConfig.sample(seed=seed),
        baselines=every_baseline(partial(BaselineConfig.sample, seed=seed)),
        everyday_baselines=("lknn",),
        max_rejected_share=0.01,
        compute=ComputeConfig(batch_rows=64, actors=2, cpus=4, torch_threads=1, train_threads=2),
    )
