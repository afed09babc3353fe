from pathlib import Path

from geo_pipeline.benchmarks import registry
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.sample_world.config import PlanetConfig


def test_the_public_benchmarks_have_the_protocols_number_of_images():
    counts = {name: benchmark.expected_count for name, benchmark in BENCHMARKS.items() if benchmark.published}
    assert counts == {"im2gps": 237, "im2gps3k": 2997, "yfcc4k": 4536, "yfcc26k": 25_600, "gws15k": None}


def test_thresholds_are_those_of_the_papers():
    assert {benchmark.thresholds_km for benchmark in BENCHMARKS.values()} == {(1.0, 25.0, 200.0, 750.0, 2500.0)}


def test_the_planets_benchmarks_are_as_large_as_they_are_drawn():
    drawn = {name: outing.photographs for name, outing in PlanetConfig().benchmarks}
    assert drawn == {name: BENCHMARKS[name].expected_count for name in drawn}


def test_each_benchmark_is_a_file_and_a_line():
    files = {path.stem for path in Path(registry.__file__).parent.glob("*.py")} - {"__init__", "benchmark", "registry"}
    assert files == set(BENCHMARKS)


def test_the_flattering_benchmark_says_so():
    assert any("covered" in note for note in BENCHMARKS["yfcc26k"].notes)
