"""YFCC26k (Theiner et al., 2022).

`yfcc25600_places365.csv`: IMG_ID (a path, `45/77/3228511372.jpg`), AUTHOR, LAT, LON, scene labels.
"""

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.imagery.metadata.layout import MetadataFormat

YFCC26K = Benchmark(
    "yfcc26k",
    "YFCC26k",
    25_600,
    published=True,
    notes=("Lies wholly inside covered geocells, so it flatters methods that answer with cells.",),
    metadata=MetadataFormat(set_name="yfcc26k", expected_rows=25_600),
)
