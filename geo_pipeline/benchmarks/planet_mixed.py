"""The drawn planet's mixed set."""

from geo_pipeline.benchmarks.benchmark import Benchmark

PLANET_MIXED = Benchmark("planet_mixed", "Planet, mixed views", 500, notes=("Places seen and unseen, all views.",))
