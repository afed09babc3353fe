"""YFCC4k (Vo et al., 2017).

`info.txt` (also `yfcc4k.txt`): rows of YFCC100M, tab-separated, without a header and without quotation marks. Columns
from 0: line number, 1 photo id, hash, 3 author (Flickr's nsid), nickname, dates, device, title, description, tags,
12 longitude, 13 latitude, accuracy, 15 page, download address, licence and so on, 25 in all. A CSV with a header that
was made from it is read by its names.
"""

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.imagery.metadata.layout import MetadataFormat

YFCC4K = Benchmark(
    "yfcc4k",
    "YFCC4k",
    4536,
    published=True,
    metadata=MetadataFormat(
        columns=(("image_id", 1), ("lat_deg", 13), ("lon_deg", 12), ("author", 3), ("credit", 15)),
        header=False,
        delimiter="\t",
        quote=False,
        set_name="yfcc4k",
        expected_rows=4536,
    ),
)
