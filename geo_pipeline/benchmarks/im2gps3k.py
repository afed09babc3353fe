"""IM2GPS3k (Vo et al., 2017): the archive has 3000 JPEGs, the metadata 2997."""

from geo_pipeline.benchmarks.benchmark import Benchmark

IM2GPS3K = Benchmark(
    "im2gps3k",
    "IM2GPS3k",
    2997,
    published=True,
    notes=("2997 of the 3000 archived photographs have metadata and are scored.",),
)
