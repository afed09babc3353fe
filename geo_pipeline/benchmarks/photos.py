"""The benchmark that is set aside from a user's own folder of photographs."""

from geo_pipeline.benchmarks.benchmark import Benchmark

PHOTOS = Benchmark(
    "photos",
    "Own photographs",
    notes=(
        (
            "Set aside by author and place; few photographs, so intervals are wide and 25 km is the finest "
            "meaningful threshold."
        ),
    ),
)
