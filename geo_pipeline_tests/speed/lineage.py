"""Speed measurements of the lineage: `python -m geo_pipeline_tests.speed.lineage [--home HOME]`, prints Markdown.

The Earth, the readers, the catalogue and so on have scripts of their own beside this one. Nothing here is a test: no
time is asserted.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from geo_pipeline.earth.distance import great_circle_km, wgs84_km
from geo_pipeline.routing.preference import dispo
from geo_pipeline.sample_world.config import PlanetConfig
from geo_pipeline.sample_world.planet import found
from geo_pipeline.sample_world.scene import draw
from geo_pipeline_tests.speed.measuring import seconds


def fresh_interpreter(code: str) -> float:
    """Seconds of a new Python process that runs `code`."""
    return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True))


def distance_line() -> str:
    """The two distances against each other."""
    rng = np.random.default_rng(0)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, 1_000_000)))
    lon = rng.uniform(-180, 180, 1_000_000)
    circle = seconds(lambda: great_circle_km(lat[:-1], lon[:-1], lat[1:], lon[1:])) / len(lat)
    geodesic = seconds(lambda: wgs84_km(lat[:-1], lon[:-1], lat[1:], lon[1:]), 1) / len(lat)
    return (
        f"| great-circle distance, per pair | {1e6 * circle:.3f} µs | WGS84 {1e6 * geodesic:.2f} µs"
        f" | {geodesic / circle:.0f}x |"
    )


def sample_lines() -> list[str]:
    """The drawn planet, and the code location in a fresh interpreter."""
    planet = found(0, PlanetConfig())
    drawing = seconds(lambda: [draw(planet, photograph) for photograph in planet.photographs[:500]], 1) / 500
    km = np.geomspace(1e-3, 2e4, 1_000_000)
    labels = seconds(lambda: dispo(km, km[::-1]))
    loading, bare = fresh_interpreter("import geo_pipeline.definitions"), fresh_interpreter("import dagster")
    return [
        f"| drawing one photograph of the sample | {1e3 * drawing:.2f} ms | | |",
        f"| DisPO labels of a million queries | {1e3 * labels:.0f} ms | | |",
        f"| loading the code location | {loading:.2f} s | `import dagster` {bare:.2f} s | {loading / bare:.2f}x |",
    ]


def no_op_line(home: Path) -> str:
    """A run of the sample where nothing is to be done."""
    command = [sys.executable, "-m", "geo_pipeline.cli", "run", "--profile", "sample", "--home", str(home)]
    took = seconds(lambda: subprocess.run(command, check=True, capture_output=True), 1)
    return f"| `geo-pipeline run` with nothing to do | {took:.1f} s | | |"


def demo_line() -> str:
    """The whole sample from nothing, with the machine's peak use of memory above its start (Linux)."""

    def used_kib() -> int:
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(facts["MemTotal"].split()[0]) - int(facts["MemAvailable"].split()[0])

    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "geo_pipeline.cli", "run", "--profile", "sample", "--home", home]
        start, peak, started = used_kib(), 0, time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
            while running.poll() is None:
                peak = max(peak, used_kib() - start)
                time.sleep(0.5)
    took = time.perf_counter() - started
    return f"| the demo from nothing | {took:.0f} s | peak {peak / 2**20:.1f} GiB above the start | |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a finished home of the sample, for the no-op run")
    parser.add_argument("--demo", action="store_true", help="also run the whole sample from nothing")
    chosen = parser.parse_args()
    home = chosen.home
    lines = [
        "| what | here | the obvious alternative | ratio |",
        "|---|---:|---:|---:|",
        distance_line(),
        *sample_lines(),
    ]
    if home is not None:
        lines.append(no_op_line(home))
    if chosen.demo:
        lines.append(demo_line())
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
