"""YFCC26k (Theiner et al., 2022)."""

from geo_pipeline.benchmarks.benchmark import Benchmark

YFCC26K = Benchmark(
    "yfcc26k",
    "YFCC26k",
    25_600,
    published=True,
    notes=("Lies wholly inside covered geocells, so it flatters methods that answer with cells.",),
)
