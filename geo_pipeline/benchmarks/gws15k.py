"""GWS15k (Clark et al., 2023): not public; the user supplies images and coordinates by panorama id."""

from geo_pipeline.benchmarks.benchmark import Benchmark

GWS15K = Benchmark(
    "gws15k", "GWS15k", published=True, notes=("Not public: images and coordinates are the user's own copy.",)
)
