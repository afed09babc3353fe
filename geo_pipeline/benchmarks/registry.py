"""BENCHMARKS: every query set, in the order of the report. A new one is one file beside this and one line here."""

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.benchmarks.gws15k import GWS15K
from geo_pipeline.benchmarks.im2gps import IM2GPS
from geo_pipeline.benchmarks.im2gps3k import IM2GPS3K
from geo_pipeline.benchmarks.photos import PHOTOS
from geo_pipeline.benchmarks.planet_cities import PLANET_CITIES
from geo_pipeline.benchmarks.planet_mixed import PLANET_MIXED
from geo_pipeline.benchmarks.planet_remote import PLANET_REMOTE
from geo_pipeline.benchmarks.yfcc4k import YFCC4K
from geo_pipeline.benchmarks.yfcc26k import YFCC26K

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (PLANET_MIXED, PLANET_REMOTE, PLANET_CITIES, PHOTOS, IM2GPS, IM2GPS3K, YFCC4K, YFCC26K, GWS15K)
}
