"""What a change costs against a whole run: `python -m geo_pipeline_tests.speed.rebuild [--quick] [--save]`.

A drawn planet is written out as a folder of photographs with a CSV, and the whole lineage runs on it, in process and
with the sample's networks. Then, each in turn: nothing changed, one photograph of the benchmark replaced, and one
photograph of the reference replaced (which trains again, as it must).
"""

import argparse
import csv
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.assembly import Assembly, assemble
from geo_pipeline.orchestration.runner import RunObserver, bring_up_to_date, local_instance
from geo_pipeline.orchestration.stage import Stage
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.sources import files_spec
from geo_pipeline.sample_world.config import PlanetConfig
from geo_pipeline.sample_world.source import PlanetSource
from geo_pipeline_tests.speed.measuring import save

PHOTOGRAPHS, QUICK_PHOTOGRAPHS = 1200, 160
SHARDS = 8
SHARDED = ("catalogue", "images", "segmentations", "features")
"""The assets that have every shard; the others follow from them as a whole, or belong to the benchmark."""


class Seconds(RunObserver):
    """Seconds and keys of each asset that was executed."""

    def __init__(self) -> None:
        self.assets: dict[str, dict[str, float]] = {}
        self._keys = 0
        self._reused = 0

    def stage_begins(self, stage: Stage, needed: Any) -> None:
        """Count from here."""
        self._keys = self._reused = 0

    def shard_done(self, stage: Stage, key: str, rows: int, reused: bool) -> None:
        """Count a key."""
        self._keys += 1
        self._reused += reused

    def stage_ends(self, stage: Stage, seconds: float) -> None:
        """Keep the figures."""
        self.assets[stage.name] = {"seconds": seconds, "keys": self._keys, "unchanged": self._reused}


def write_photographs(folder: Path, count: int) -> None:
    """A drawn planet as files, with a CSV beside them."""
    source = PlanetSource(3, PlanetConfig())
    (folder / "photographs").mkdir()
    with (folder / "photographs.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "latitude", "longitude", "author"])
        for number, record in enumerate(source.records()):
            if number == count:
                break
            name = f"{number:05d}.png"
            (folder / "photographs" / name).write_bytes(source.read(record.locator))
            writer.writerow([name, record.lat_deg, record.lon_deg, record.author])


def replaced(assembly: Assembly, folder: Path, shard: str) -> None:
    """Turn one photograph of a shard upside down, as a user who replaces a file does."""
    from PIL import Image

    locator = assembly.home.read_table("catalogue", shard, ["locator"])["locator"][0].as_py()
    place = folder / "photographs" / locator
    with Image.open(place) as picture:
        turned = picture.rotate(180)
    turned.save(place)


def measured(folder: Path, count: int) -> list[dict[str, Any]]:
    """One row per change: its name, its seconds, and those of each asset."""
    write_photographs(folder, count)
    spec = files_spec(folder / "photographs", folder / "photographs.csv")
    home = Home(folder / "home")
    home.root.mkdir()
    profile = photos(spec, 0, SHARDS)
    rows = []
    os.environ.pop("DAGSTER_HOME", None)
    with local_instance(home, os.environ) as instance:  # type: ignore[arg-type]
        for change in ("everything, from nothing", "nothing", "photos", "nothing", "reference-000", "nothing"):
            made = assemble(profile, home, InProcessCompute(profile.compute))
            if change == "photos" or change.startswith("reference"):
                replaced(made, folder, change)
            watch, started = Seconds(), time.perf_counter()
            bring_up_to_date(made.definitions, made.lineage, home, made.control, instance, None, watch)
            took = time.perf_counter() - started
            name = f"one photograph of {change} replaced" if change in made.lineage.stages["images"].keys else change
            rows.append({"change": name, "seconds": took, "assets": watch.assets})
    return rows


def markdown(rows: list[dict[str, Any]], count: int) -> str:
    """The figures for a reader."""
    full = rows[0]
    lines = [
        "# What a change costs",
        "",
        f"The whole lineage on {count:,} drawn photographs in {SHARDS} reference shards, a shard of router queries and "
        "one of the benchmark; in process, with the sample's networks. `shards` are the assets that have every shard "
        f"({', '.join(SHARDED)}), `training` the checkpoints.",
        "",
        "| what changed | seconds | of a full run | shards | training | assets executed |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        names = list(row["assets"])
        sharded = sum(row["assets"][name]["seconds"] for name in SHARDED if name in names)
        training = sum(figures["seconds"] for name, figures in row["assets"].items() if name.endswith("_checkpoint"))
        keys = ", ".join(
            f"{name} {figures['keys'] - figures['unchanged']:.0f}" for name, figures in row["assets"].items()
        )
        share = row["seconds"] / full["seconds"]
        executed = "all" if row is full else keys or "none"
        lines.append(
            f"| {row['change']} | {row['seconds']:.1f} | {share:.1%} | {sharded:.1f} | {training:.1f} | {executed} |"
        )
    return "\n".join([*lines, "", "After each asset: how many of its shards came out new."])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PHOTOGRAPHS} photographs")
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/rebuild.{json,md}")
    chosen = parser.parse_args()
    count = QUICK_PHOTOGRAPHS if chosen.quick else chosen.photographs
    warnings.filterwarnings("ignore", module="dagster")
    with tempfile.TemporaryDirectory(prefix="rebuild-") as folder:
        rows = measured(Path(folder), count)
    text = markdown(rows, count)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("rebuild", {"photographs": count, "shards": SHARDS, "changes": rows}, text)


if __name__ == "__main__":
    main()
