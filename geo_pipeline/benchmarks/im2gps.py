"""IM2GPS (Hays and Efros, 2008)."""

from geo_pipeline.benchmarks.benchmark import Benchmark

IM2GPS = Benchmark("im2gps", "IM2GPS", 237, published=True)
