"""GWS15k (Clark et al., 2023): not public; the user supplies images and coordinates by panorama id.

A CSV with a panorama id (letters, digits, `-` and `_`; text even where it is all digits), a latitude and a longitude.
"""

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.imagery.metadata.layout import MetadataFormat

GWS15K = Benchmark(
    "gws15k",
    "GWS15k",
    published=True,
    notes=("Not public: images and coordinates are the user's own copy.",),
    metadata=MetadataFormat(
        columns=tuple(("image_id", name) for name in ("panorama_id", "pano_id", "panoid", "pano", "image_id", "id")),
        set_name="gws15k",
    ),
)
