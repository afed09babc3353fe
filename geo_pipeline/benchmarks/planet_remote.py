"""The drawn planet's remote set."""

from geo_pipeline.benchmarks.benchmark import Benchmark

PLANET_REMOTE = Benchmark(
    "planet_remote",
    "Planet, remote views",
    400,
    notes=("Mostly countryside and places that no reference photograph shows.",),
)
