"""The examples of a report with the photographs they are shown with, read from the tables of images and segmentations.

Reads of each file only the rows that are shown, and the coordinates of all reference images. Which queries are shown,
and beside which reference image, is decided in `examples`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from geo_pipeline.contracts.frames import naming_damaged_files
from geo_pipeline.earth.distance import DistanceKind
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.scoring.examples import ChosenExamples, Example, Photograph, choose_examples, nearest_references

PER_BENCHMARK = 4
"""Successes, and as many failures, that are shown of each benchmark."""
METHOD = "geosurge"
COORDINATES, IMAGE, MAP = (
    ("image_id", "lat_deg", "lon_deg"),
    ("image_id", "jpeg", "credit"),
    ("image_id", "class_map_png"),
)


@dataclass(frozen=True)
class ShardFiles:
    """The tables `images` and `segmentations` of one shard, as Parquet files."""

    images: Path
    segmentations: Path


@dataclass(frozen=True)
class References:
    """The reference images: image_id, lat_deg, lon_deg and shard (row of `files`), and the finest cell of each (R,)."""

    files: Sequence[ShardFiles]
    rows: pl.DataFrame
    cell: np.ndarray


def report_examples(
    judged: pl.DataFrame,
    hierarchy: Hierarchy,
    references: Sequence[ShardFiles],
    queries: Mapping[str, Sequence[ShardFiles]],
    distance: DistanceKind = "great_circle",
) -> tuple[Example, ...]:
    """The examples of every benchmark; none where there are no reference images.

    judged: the table of that name. queries: the files of each benchmark's shards. Raises DamagedTableError for a file
    that cannot be read.
    """
    gallery = _references(references, hierarchy)
    found: list[Example] = []
    for chosen in choose_examples(judged, PER_BENCHMARK, METHOD):
        mine = judged.filter(benchmark=chosen.benchmark, method=METHOD)
        found += _of_benchmark(chosen, mine, gallery, hierarchy, queries[chosen.benchmark], distance)
    return tuple(found)


def _references(files: Sequence[ShardFiles], hierarchy: Hierarchy) -> References:
    parts = [pl.scan_parquet(each.images).select(*COORDINATES, shard=pl.lit(at)) for at, each in enumerate(files)]
    with naming_damaged_files(([each.images for each in files], COORDINATES)):
        rows = pl.concat(parts).collect()
    return References(files, rows, hierarchy.assign(rows["lat_deg"].to_numpy(), rows["lon_deg"].to_numpy())[:, -1])


def _of_benchmark(
    chosen: ChosenExamples,
    judged: pl.DataFrame,
    references: References,
    hierarchy: Hierarchy,
    files: Sequence[ShardFiles],
    distance: DistanceKind,
) -> list[Example]:
    ids = [*chosen.successes, *chosen.failures]
    if not ids or references.rows.is_empty():
        return []
    rows = pl.DataFrame({"image_id": ids}).join(judged, on="image_id", maintain_order="left")
    truth_lat, truth_lon, lat, lon = (
        rows[name].to_numpy() for name in ("truth_lat_deg", "truth_lon_deg", "lat_deg", "lon_deg")
    )
    reference_lat, reference_lon = (references.rows[name].to_numpy() for name in ("lat_deg", "lon_deg"))
    cell = hierarchy.assign(truth_lat, truth_lon)[:, -1]
    near = nearest_references(
        truth_lat, truth_lon, lat, lon, cell, reference_lat, reference_lon, references.cell, distance
    )
    shown = references.rows[near.row]
    photographs = _photographs(files, ids)
    pictures = _photographs([references.files[at] for at in shown["shard"].unique()], shown["image_id"].to_list())
    return [
        Example(
            benchmark=chosen.benchmark,
            success=row["image_id"] in chosen.successes,
            query=photographs[row["image_id"]],
            truth_lat_deg=row["truth_lat_deg"],
            truth_lon_deg=row["truth_lon_deg"],
            lat_deg=row["lat_deg"],
            lon_deg=row["lon_deg"],
            error_km=row["error_km"],
            score=row["score"],
            reference=pictures[reference["image_id"]],
            reference_lat_deg=reference["lat_deg"],
            reference_lon_deg=reference["lon_deg"],
            reference_in_cell=bool(near.in_cell[at]),
            reference_to_prediction_km=float(near.to_prediction_km[at]),
            reference_to_truth_km=float(near.to_truth_km[at]),
            nearest_to_truth_km=float(near.nearest_to_truth_km[at]),
        )
        for at, (row, reference) in enumerate(zip(rows.to_dicts(), shown.to_dicts(), strict=True))
    ]


def _photographs(files: Sequence[ShardFiles], ids: Sequence[str]) -> dict[str, Photograph]:
    """Some images as they are shown, by id."""
    images_in, maps_in = [each.images for each in files], [each.segmentations for each in files]
    wanted = pl.col("image_id").is_in(ids)
    images = pl.scan_parquet(images_in).filter(wanted).select(IMAGE)
    maps = pl.scan_parquet(maps_in).filter(wanted).select(MAP)
    with naming_damaged_files((images_in, IMAGE), (maps_in, MAP)):
        rows = images.join(maps, on="image_id").collect().select("image_id", "jpeg", "class_map_png", "credit")
    return {row[0]: Photograph(*row) for row in rows.iter_rows()}
