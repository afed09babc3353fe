"""The drawn planet's city set."""

from geo_pipeline.benchmarks.benchmark import Benchmark

PLANET_CITIES = Benchmark(
    "planet_cities", "Planet, city views", 300, notes=("Mostly landmarks that reference photographs show.",)
)
