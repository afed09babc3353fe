"""YFCC4k (Vo et al., 2017)."""

from geo_pipeline.benchmarks.benchmark import Benchmark

YFCC4K = Benchmark("yfcc4k", "YFCC4k", 4536, published=True)
