"""The papers' size: MP-16 as reference, the public benchmarks, CLIP ViT-L/14-336, OneFormer Swin-L and Qwen2-VL-7B."""

from dataclasses import replace

from geo_pipeline.baselines.config import BaselineConfig, every_baseline
from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.geosurge.config import GeoSurgeConfig, InferenceConfig, TrainingConfig
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sources import FilesSpec
from geo_pipeline.segmentation.config import SegmentationConfig

STATEMENT = (
    "The papers' networks and sizes. The published GeoRouter pairs GeoRanker with Gemini 2.5 Flash; this "
    "run pairs GeoSURGE's retrieval with "
    "Qwen2-VL, so its rows stand beside the published ones and do not reproduce them."
)
REFERENCE_SHARDS = 1024
"""About 4,600 of MP-16's 4.72 million photographs each: a shard is some 250 MB, and Dagster stays quick."""
QUERY_SHARDS = (("yfcc26k", 8),)
"""25,600 photographs; the smaller benchmarks have one shard each, the router's queries follow the reference shards."""
LANES = 8
"""1, 2, 4 or 8 training workers see the same batches; the start refuses any other number."""
SHUFFLE_ROWS = 2048
"""Photographs of a lane that are shuffled together: 16,384 over all lanes, a gigabyte, which one worker can hold."""
LOADER_THREADS = 8
"""Threads that decode for each training worker; the cores that a GPU needs are in docs/measurements/feeding.md."""
MICRO_BATCH = 128
"""Photographs of a baseline's batch of 1,024 that one device holds at once; no gradient depends on it."""
MAX_REJECTED_SHARE = 0.2
"""MP-16 lists 4,723,695 photographs, of which about 4.12 million can still be had (MP16-Pro): 13 % are missing before
anything goes wrong."""


def paper(files: FilesSpec, seed: int = 0) -> Profile:
    """The profile `paper`. The metadata of `files` may name each row's set (docs/data.md)."""
    training = TrainingConfig(
        random_crop=True,
        horizontal_flip=True,
        precision="bf16",
        lanes=LANES,
        shuffle_rows=SHUFFLE_ROWS,
        loader_threads=LOADER_THREADS,
        seed=seed,
    )
    return Profile(
        name="paper",
        statement=STATEMENT,
        source_words="networks of the papers' size, trained on the photographs given",
        seed=seed,
        source=files,
        split=SplitConfig(),
        reference_shards=REFERENCE_SHARDS,
        query_shards=QUERY_SHARDS,
        benchmarks=("im2gps", "im2gps3k", "yfcc4k", "yfcc26k"),
        canonical_px=384,
        canonical_quality=92,
        partition=PartitionConfig(),
        segmentation=SegmentationConfig(precision="bf16"),
        geosurge=GeoSurgeConfig(training=training),
        inference=InferenceConfig(),
        lvlm=LvlmConfig(),
        router=RouterConfig(seed=seed),
        baselines=every_baseline(
            lambda name, idea: BaselineConfig(name, training=replace(training, micro_batch=MICRO_BATCH), idea=idea)
        ),
        max_rejected_share=MAX_REJECTED_SHARE,
        compute=ComputeConfig(
            batch_rows=256,
            actors=8,
            cpus=32,
            cpu_actors=32,
            gpus_per_worker=1.0,
            torch_threads=4,
            train_threads=4,
            train_workers=8,
            stall_s=3600.0,
        ),
    )
