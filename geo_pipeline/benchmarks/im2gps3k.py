"""IM2GPS3k (Vo et al., 2017): the archive has 3000 JPEGs, the metadata 2997.

`im2gps3k_places365.csv`: IMG_ID (`name` in a widespread copy), AUTHOR, LAT, LON, scene labels.
"""

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.imagery.metadata.layout import MetadataFormat

IM2GPS3K = Benchmark(
    "im2gps3k",
    "IM2GPS3k",
    2997,
    published=True,
    notes=("2997 of the 3000 archived photographs have metadata and are scored.",),
    metadata=MetadataFormat(
        columns=(("image_id", "IMG_ID"), ("image_id", "name")),
        author_pattern=r"(\d+@N\d+)",
        set_name="im2gps3k",
        expected_rows=2997,
    ),
)
