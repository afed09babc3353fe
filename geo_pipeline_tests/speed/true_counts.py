"""The profile `paper` at its true counts, where only counts matter: `python -m geo_pipeline_tests.speed.true_counts`.

4.72 million rows of MP-16 and the 7,533 queries of IM2GPS3k and YFCC4k go through the assets' own functions, each in a
process of its own: catalogue, geocells, census, gallery, predictions, GeoRouting, scores. Photographs are four bytes,
features and the answers of networks are random; what the networks cost is measured by `networks`. Time and memory are
those of a stage with all that it reads; drawing is not counted. 20 GB of disk and about an hour; a home that is given
(`--home`) is kept, and what was measured on it stands. `--save` writes docs/measurements/true_counts.{json,md}.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import Lineage, bind
from geo_pipeline.orchestration.work import Work
from geo_pipeline.profiles.paper import paper
from geo_pipeline_tests.speed.catalogue import MP16_ROWS, InventedSource
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save

MODULE = "geo_pipeline_tests.speed.true_counts"
QUERIES = (("im2gps3k", 2_997), ("yfcc4k", 4_536))
DRAWN = "drawn"
"""The fingerprint of what was drawn."""
JPEG = b"\xff\xd8\xff\xd9"
CANDIDATES = 10


class WithQueries(InventedSource):
    """The invented MP-16 and behind it the photographs of the benchmarks."""

    def __init__(self, rows: int, queries: tuple[tuple[str, int], ...]) -> None:
        super().__init__(rows, loose=False)
        self.queries = queries

    def listing(self) -> Iterator[pa.RecordBatch]:
        """Batches of LISTING."""
        yield from super().listing()
        for number, (name, count) in enumerate(self.queries):
            first = 2 * MP16_ROWS + number * 10 * count
            batch = self._batch(np.arange(first, first + count))
            batch = batch.set_column(
                batch.schema.get_field_index("set_name"), "set_name", pa.array([name] * count, pa.string())
            )
            ids = pa.array([f"{name}-{row}" for row in range(count)])
            batch = batch.set_column(batch.schema.get_field_index("image_id"), "image_id", ids)
            yield batch.set_column(batch.schema.get_field_index("problem"), "problem", pa.nulls(count, pa.string()))


@dataclass(frozen=True)
class Invented:
    """The source of the profile."""

    rows: int
    queries: tuple[tuple[str, int], ...]

    def open(self, index: Path | None = None) -> WithQueries:
        """The invented listing."""
        return WithQueries(self.rows, self.queries)

    def missing(self) -> list[str]:
        """Nothing."""
        return []

    def readers(self) -> tuple[Callable[..., Any], ...]:
        """What lists the photographs."""
        return (WithQueries,)

    def drawn_by(self) -> tuple[Callable[..., Any], ...]:
        """Nothing is read from it."""
        return ()


@cache
def lineage(rows: int, shards: int) -> Lineage:
    """The lineage of `paper` over the invented photographs."""
    few = rows / MP16_ROWS
    queries = tuple((name, max(1, round(count * min(1.0, few)))) for name, count in QUERIES)
    profile = replace(
        paper(None),  # type: ignore[arg-type]
        source=Invented(rows, queries),
        reference_shards=shards,
        query_shards=(),
        benchmarks=tuple(name for name, _ in queries),
        expected_counts=queries,
    )
    return bind(ASSETS, profile, METHODS, BENCHMARKS)


def draw_images(home: Home, line: Lineage) -> None:
    """A table of images for each shard of the catalogue: four bytes, digests and random perceptual hashes."""
    schema = load("images").arrow_schema
    nothing = load("quarantine").arrow_schema.empty_table()
    for number, key in enumerate(line.scope.shards.all):
        known = home.read_table("catalogue", key)
        chance, count = np.random.default_rng([1, number]), known.num_rows
        digests = chance.bytes(32 * count).hex()
        columns = {
            "jpeg": pa.array([JPEG] * count, pa.binary()),
            "width": np.ones(count, np.int32),
            "height": np.ones(count, np.int32),
            "sha256": [digests[64 * row : 64 * (row + 1)] for row in range(count)],
            "phash": chance.integers(-(2**62), 2**62, count),
        }
        rows = {name: columns[name] if name in columns else known[name] for name in schema.names}
        home.write_table("quarantine", key, nothing, DRAWN)
        home.write_table("images", key, pa.table(rows).cast(schema), DRAWN)


def draw_features(home: Home, line: Lineage) -> None:
    """A GeoSURGE checkpoint with random cell embeddings, and random features of every photograph."""
    import torch

    from geo_pipeline.earth.hierarchy import Hierarchy
    from geo_pipeline.geosurge import checkpoint
    from geo_pipeline.geosurge.geography import GeographicEmbeddings
    from geo_pipeline_tests.speed.retrieval import TOWER

    config = line.profile.geosurge
    hierarchy = Hierarchy.from_table(home.read_table("geocells", "all"))
    torch.manual_seed(0)
    cells = [len(partition) for partition in hierarchy.partitions]
    geography = GeographicEmbeddings(cells, config.embedding_dim, 0.07, 100.0)
    tensors = {f"geography.{name}": tensor for name, tensor in geography.state_dict().items()}
    artifact = line.assets["geosurge_checkpoint"].outputs("all")[0]
    folder = home.building_location(artifact, DRAWN)
    checkpoint.save(folder, tensors, config, TOWER.to_json(), hierarchy, {})
    home.commit_folder(artifact, DRAWN)
    for number, key in enumerate(line.scope.shards.all):
        ids = home.read_table("images", key, ["image_id"])["image_id"]
        features = np.random.default_rng([2, number]).standard_normal((len(ids), config.embedding_dim), np.float32)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        halves = pa.array(features.astype(np.float16).ravel())
        offsets = pa.array(np.arange(len(ids) + 1, dtype=np.int32) * config.embedding_dim)
        rows = pa.table({"image_id": ids, "feature": pa.ListArray.from_arrays(offsets, halves)})
        home.write_table("features", key, rows, DRAWN)


def draw_answers(home: Home, line: Lineage) -> None:
    """Answers of what needs a network, for every query; those of retrieval for the router's queries."""
    shards = line.scope.shards
    for number, key in enumerate(shards.query_keys):
        truth = home.read_table("images", key, ["image_id", "lat_deg", "lon_deg"])
        chance, router = np.random.default_rng([3, number]), key not in shards.benchmark_keys
        names = ["generation", "retrieval"] if router else ["generation"]
        names += [] if router else [each.name for each in line.scope.methods.values() if each.kind == "router"]
        for name in names:
            chosen = None if name in ("generation", "retrieval") else "retrieval"
            answers = answers_near(truth, name, chance, CANDIDATES if name == "retrieval" else 0, chosen)
            home.write_table("predictions", f"{name}/{key}", answers, DRAWN)


def answers_near(
    truth: pa.Table, method: str, chance: np.random.Generator, candidates: int, chosen: str | None
) -> pa.Table:
    """Predictions some hundred kilometres off, one in a hundred failed."""
    schema, count = load("predictions").arrow_schema, truth.num_rows
    failed = chance.random(count) < (0.01 if method == "generation" else 0.0)
    lat = np.clip(truth["lat_deg"].to_numpy() + chance.normal(0, 5, count), -89, 89)
    columns: dict[str, Any] = {
        "image_id": truth["image_id"],
        "method": [method] * count,
        "lat_deg": pa.array(lat, mask=failed),
        "lon_deg": pa.array(truth["lon_deg"].to_numpy(), mask=failed),
        "failure": pa.array(["no_coordinate"] * count, pa.string(), mask=~failed),
        "score": chance.random(count),
        "chosen": pa.array([chosen] * count, pa.string()),
    }
    if candidates:
        offsets = pa.array(np.arange(count + 1) * candidates, pa.int32())
        near = {
            "candidate_ids": pa.array([str(number) for number in range(count * candidates)]),
            "candidate_lats_deg": pa.array(np.repeat(lat, candidates)),
            "candidate_lons_deg": pa.array(np.repeat(truth["lon_deg"].to_numpy(), candidates)),
            "candidate_scores": pa.array(np.tile(-np.arange(candidates, dtype=float), count)),
        }
        columns |= {name: pa.ListArray.from_arrays(offsets, values) for name, values in near.items()}
    return pa.table(
        {field.name: columns[field.name] if field.name in columns else pa.nulls(count, field.type) for field in schema}
    ).cast(schema)


DRAWING: dict[str, Callable[[Home, Lineage], None]] = {
    "images": draw_images,
    "features": draw_features,
    "answers": draw_answers,
}
BENCHMARKS_ONLY = {"densest_cell_predictions", "geosurge_predictions", "retrieval_predictions"}
STAGES = (
    "catalogue",
    "images",
    "image_manifest",
    "ingest_manifest",
    "census",
    "geocells",
    "features",
    "reference_gallery",
    "densest_cell_predictions",
    "geosurge_predictions",
    "retrieval_predictions",
    "answers",
    "georouting_table",
    "benchmark_scores",
)
"""Assets, and between them what is drawn."""


def one(stage: str, folder: Path, rows: int, shards: int) -> dict[str, object]:
    """Make one stage; seconds, peak memory of the process in MiB, and what was made of how many rows."""
    home, line = Home(folder), lineage(rows, shards)
    if stage in DRAWING:
        started = time.perf_counter()
        DRAWING[stage](home, line)
        return {"stage": stage, "drawn": True, "seconds": time.perf_counter() - started}
    asset = line.assets[stage]
    keys = [key for key in asset.keys if stage not in BENCHMARKS_ONLY or line.benchmark_of(key)]
    before, started = peak_mib(), time.perf_counter()
    work = Work(asset, keys, home, InProcessCompute(line.profile.compute), dict.fromkeys(keys, DRAWN))
    asset.make(work)
    seconds = time.perf_counter() - started
    written = [home.stored(asset.outputs(key)[0]) for key in keys]
    return {
        "stage": stage,
        "drawn": False,
        "seconds": seconds,
        "mib": peak_mib(),
        "mib_before": before,
        "keys": len(keys),
        "rows": sum(each.rows for each in written if each is not None),
    }


def markdown(figures: list[dict[str, Any]], rows: int) -> str:
    """The figures for a reader."""
    measured = [each for each in figures if not each["drawn"]]
    lines = [
        "# The profile `paper` at its true counts",
        "",
        f"`python -m geo_pipeline_tests.speed.true_counts --save`: {rows:,} listed photographs and the queries of "
        "IM2GPS3k and YFCC4k through the assets' own functions, in process, each in a process of its own. Photographs "
        "are four bytes, features and networks' answers are random. Memory is the most that the process held, with the "
        "packages that it imports.",
        "",
        "| asset | keys | rows | time | peak memory |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each['stage']} | {each['keys']:,} | {each['rows']:,} | {each['seconds']:.1f} s | "
        f"{each['mib'] / 1024:.2f} GiB |"
        for each in measured
    ]
    total, peak = sum(each["seconds"] for each in measured), max(each["mib"] for each in measured)
    return "\n".join([*lines, f"| all | | | {total / 60:.0f} min | {peak / 1024:.2f} GiB |"])


def walk(folder: Path, rows: int, shards: int) -> list[dict[str, Any]]:
    """All stages in order; what a kept home has measured is not done again."""
    known = folder / "true_counts.json"
    figures: list[dict[str, Any]] = json.loads(known.read_text()) if known.is_file() else []
    for stage in STAGES[len(figures) :]:
        figures.append(fresh_process(MODULE, "--one", stage, str(folder), str(rows), str(shards)))
        known.write_text(json.dumps(figures))
        sys.stderr.write(f"{stage}: {figures[-1]['seconds']:.1f} s\n")
    return figures


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/true_counts.{json,md}")
    parser.add_argument("--rows", type=int, default=MP16_ROWS)
    parser.add_argument("--shards", type=int, default=1024)
    parser.add_argument("--home", type=Path, help="a folder that is kept")
    parser.add_argument("--one", nargs=4, metavar=("STAGE", "HOME", "ROWS", "SHARDS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        stage, folder, rows, shards = chosen.one
        sys.stdout.write(json.dumps(one(stage, Path(folder), int(rows), int(shards))) + "\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.home or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        figures = walk(folder, chosen.rows, chosen.shards)
    text = markdown(figures, chosen.rows)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("true_counts", {"rows": chosen.rows, "shards": chosen.shards, "stages": figures}, text)


if __name__ == "__main__":
    main()
