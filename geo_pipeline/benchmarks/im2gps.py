"""IM2GPS (Hays and Efros, 2008).

`im2gps_places365.csv`: IMG_ID, AUTHOR, LAT, LON, scene labels. 178 of the 237 ids carry the place that was searched for
(`Rome_00024_`), and their AUTHOR holds parts of the file name before the author. The archive's files carry the place
too, those of some copies do not; `imagery.metadata.names` knows both.
"""

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.imagery.metadata.layout import MetadataFormat

IM2GPS = Benchmark(
    "im2gps",
    "IM2GPS",
    237,
    published=True,
    metadata=MetadataFormat(author_pattern=r"(\d+@N\d+)", set_name="im2gps", expected_rows=237),
)
