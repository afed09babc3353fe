"""What a rehearsal changes in the profile `paper`, and nothing else: widths, epochs, counts, where work runs."""

from collections.abc import Mapping

BENCHMARKS = ("im2gps3k", "yfcc4k")
"""The benchmarks that are drawn, each in the format of its own files."""


def rehearsed(queries: int) -> Mapping[str, object]:
    """The settings by their paths, with so many photographs in each benchmark.

    Ray is told of eight GPUs that are not there, so that shards and training workers are placed as in `paper`; they
    compute on the CPU. Eight workers share one machine's memory there and have a GPU's each in `paper`: so OneFormer
    takes one photograph at once (a forward of eight takes 4.9 GB), and a training step is computed in parts of sixteen
    (a worker's whole share of 128 takes 2.8 GB), which changes no gradient.
    """
    return {
        "segmentation.batch": 1,
        "geosurge.vision.width": 64,
        "geosurge.fusion.semantic_dim": 16,
        "geosurge.fusion.latent_dim": 16,
        "geosurge.embedding_dim": 64,
        "geosurge.training.max_epochs": 2,
        "geosurge.training.micro_batch": 16,
        "router.epochs": 2,
        "expected_counts": [[name, queries] for name in BENCHMARKS],
        "compute.gpus": 8,
        "compute.backend": "gloo",
    }
