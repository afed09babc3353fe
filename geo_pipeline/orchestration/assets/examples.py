"""Success and failure cases for the report (GeoSURGE, Figures 3 and 4): reads what they are shown with.

Which queries are shown, and beside which reference image, is decided in scoring.examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.home.artifact import Artifact, manifest, table
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Step
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.scoring.examples import (
    ChosenExamples,
    Example,
    NearestReferences,
    Photograph,
    choose_examples,
    nearest_references,
)

PER_BENCHMARK = 4
"""Successes, and as many failures, that are shown of each benchmark."""
METHOD = "geosurge"


def example_inputs(keys: Sequence[str]) -> tuple[Artifact, ...]:
    """What the examples are made from, beside the predictions; `keys` are the shards of all benchmarks."""
    parts = (table(name, key) for key in keys for name in ("images", "segmentations"))
    return (manifest("image_manifest"), manifest("segmentation_manifest"), table("geocells"), *parts)


@dataclass(frozen=True)
class References:
    """The reference images: `rows` with image_id, lat_deg, lon_deg and shard, and the finest cell of each (R,)."""

    rows: pa.Table
    cell: np.ndarray


def report_examples(step: Step, judged: pa.Table, profile: Profile, shards: Shards) -> tuple[Example, ...]:
    """The examples of every benchmark; none where there are no reference images."""
    hierarchy = Hierarchy.from_table(step.table("geocells"))
    references = _references(step, hierarchy)
    step.listed("segmentation_manifest", "segmentations")
    found: list[Example] = []
    for chosen in choose_examples(judged, PER_BENCHMARK, METHOD):
        found += _of_benchmark(step, chosen, judged, references, hierarchy, profile, shards.of(chosen.benchmark))
    return tuple(found)


def _references(step: Step, hierarchy: Hierarchy) -> References:
    parts = []
    for key in step.listed("image_manifest", "images"):
        rows = step.table("images", key, ["image_id", "lat_deg", "lon_deg"])
        parts.append(rows.append_column("shard", pa.array([key] * rows.num_rows, pa.string())))
    together = pa.concat_tables(parts).combine_chunks()
    cells_RP = hierarchy.assign(together["lat_deg"].to_numpy(), together["lon_deg"].to_numpy())
    return References(together, cells_RP[:, -1])


def _of_benchmark(
    step: Step,
    chosen: ChosenExamples,
    judged: pa.Table,
    references: References,
    hierarchy: Hierarchy,
    profile: Profile,
    keys: Sequence[str],
) -> list[Example]:
    ids = [*chosen.successes, *chosen.failures]
    queries: dict[str, Photograph] = {}
    score: dict[str, float | None] = {}
    for key in keys:
        queries |= _photographs(step, key, ids)
        answers = step.table("predictions", f"{METHOD}/{key}", ["image_id", "score"])
        score |= dict(zip(answers["image_id"].to_pylist(), answers["score"].to_pylist(), strict=True))
    if not ids or not references.rows.num_rows:
        return []
    rows = _judged_rows(judged, chosen.benchmark, ids)
    near = _nearest(rows, references, hierarchy, profile)
    shown = references.rows.take(pa.array(near.row)).to_pylist()
    pictures: dict[str, Photograph] = {}
    for shard in {each["shard"] for each in shown}:
        pictures |= _photographs(step, shard, [each["image_id"] for each in shown if each["shard"] == shard])
    return [
        Example(
            benchmark=chosen.benchmark,
            success=row["image_id"] in chosen.successes,
            query=queries[row["image_id"]],
            truth_lat_deg=row["truth_lat_deg"],
            truth_lon_deg=row["truth_lon_deg"],
            lat_deg=row["lat_deg"],
            lon_deg=row["lon_deg"],
            error_km=row["error_km"],
            score=score[row["image_id"]],
            reference=pictures[reference["image_id"]],
            reference_lat_deg=reference["lat_deg"],
            reference_lon_deg=reference["lon_deg"],
            reference_in_cell=bool(near.in_cell[at]),
            reference_to_prediction_km=float(near.to_prediction_km[at]),
            reference_to_truth_km=float(near.to_truth_km[at]),
            nearest_to_truth_km=float(near.nearest_to_truth_km[at]),
        )
        for at, (row, reference) in enumerate(zip(rows, shown, strict=True))
    ]


def _judged_rows(judged: pa.Table, benchmark: str, ids: Sequence[str]) -> list[Mapping[str, Any]]:
    mine = judged.filter(pc.and_(pc.equal(judged["method"], METHOD), pc.equal(judged["benchmark"], benchmark)))
    chosen = mine.filter(pc.is_in(mine["image_id"], pa.array(ids, pa.string()))).to_pylist()
    by_id = {row["image_id"]: row for row in chosen}
    return [by_id[image_id] for image_id in ids]


def _nearest(
    rows: Sequence[Mapping[str, Any]], references: References, hierarchy: Hierarchy, profile: Profile
) -> NearestReferences:
    truth_lat, truth_lon, lat, lon = (
        np.array([row[name] for row in rows]) for name in ("truth_lat_deg", "truth_lon_deg", "lat_deg", "lon_deg")
    )
    return nearest_references(
        truth_lat,
        truth_lon,
        lat,
        lon,
        hierarchy.assign(truth_lat, truth_lon)[:, -1],
        references.rows["lat_deg"].to_numpy(),
        references.rows["lon_deg"].to_numpy(),
        references.cell,
        profile.distance,
    )


def _photographs(step: Step, shard: str, ids: Sequence[str]) -> dict[str, Photograph]:
    """Some images of a shard as they are shown, by id."""
    images = step.home.read_table("images", shard, ["image_id", "jpeg", "credit"], ids=ids).to_pylist()
    maps = step.home.read_table("segmentations", shard, ["image_id", "class_map_png"], ids=ids).to_pylist()
    map_of = {row["image_id"]: row["class_map_png"] for row in maps}
    return {
        row["image_id"]: Photograph(row["image_id"], row["jpeg"], map_of[row["image_id"]], row["credit"])
        for row in images
    }
