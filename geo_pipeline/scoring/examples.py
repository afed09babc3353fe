"""Success and failure cases (GeoSURGE, Figures 3 and 4): which queries are shown, and beside which reference image.

The reference image of an example is the paper's: of those within the geocell (finest partition) that holds the true
coordinate, the one nearest to the predicted one. Where that cell holds no reference image, or no cell holds the true
coordinate, it is the one nearest to the true coordinate, and the page says so. How far the nearest of all reference
images lies from the true coordinate is printed in any case: the paper explains a failure by it. Drawing belongs to
`report.example_figures`, words to `report.example_page`, reading what is shown to `example_photographs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from geo_pipeline.earth.distance import DistanceKind, distance_km
from geo_pipeline.imagery.authors import author_key
from geo_pipeline.scoring.accuracy import ScoreError

SUCCESS_KM = 25.0
"""An answer within the city is a success."""
FAILURE_KM = 200.0
"""An answer outside the region is a failure; the paper's Figure 4 shows one that is still in the right country."""
APART_KM = 500.0
"""Examples of one kind lie at least this far from one another, as long as there are enough."""


@dataclass(frozen=True)
class Photograph:
    """One image as it is shown: its JPEG, its class map (8-bit grey PNG, a pixel is an ADE20K class), its credit."""

    image_id: str
    jpeg: bytes
    class_map_png: bytes
    credit: str | None = None


@dataclass(frozen=True)
class Example:
    """One query with its answer, beside a reference image (`nearest_references` chooses it).

    score: of the predicted place as the method gives it, in its own unit, or None. reference: None only where there are
    no reference images. reference_in_cell: whether it lies in the geocell that holds the true place.
    reference_to_prediction_km, reference_to_truth_km: how far it lies from both. nearest_to_truth_km: how far the
    nearest of all reference images lies from the true place.
    """

    benchmark: str
    success: bool
    query: Photograph
    truth_lat_deg: float
    truth_lon_deg: float
    lat_deg: float
    lon_deg: float
    error_km: float
    score: float | None
    reference: Photograph | None
    reference_lat_deg: float
    reference_lon_deg: float
    reference_in_cell: bool
    reference_to_prediction_km: float
    reference_to_truth_km: float
    nearest_to_truth_km: float


@dataclass(frozen=True)
class ChosenExamples:
    """The image ids of one benchmark that are shown, nearest answer first."""

    benchmark: str
    successes: tuple[str, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class NearestReferences:
    """The reference image of each of Q queries; the fields are those of `Example`.

    row: int64 (Q,), into the references. The others are (Q,) as well.
    """

    row: np.ndarray
    in_cell: np.ndarray
    to_prediction_km: np.ndarray
    to_truth_km: np.ndarray
    nearest_to_truth_km: np.ndarray


def choose_examples(judged: pl.DataFrame, per_benchmark: int, method: str = "geosurge") -> tuple[ChosenExamples, ...]:
    """Up to `per_benchmark` successes and as many failures of each benchmark, in the order of `judged`.

    Successes (within SUCCESS_KM) are taken by error, the smallest first. Failures (beyond FAILURE_KM, with an answer)
    are taken evenly over their errors, not from the worst alone: the middle of each of `per_benchmark` equal parts of
    them in order of error, or the nearest in that order that may stand. No author is shown twice and no two places lie
    within APART_KM, as long as there are enough; then the distance is given up, then the authors. Ties are broken by
    image id, so the same predictions give the same examples.
    """
    mine, error = judged.filter(method=method).sort("error_km", "image_id"), pl.col("error_km")
    chosen = []
    for benchmark in judged["benchmark"].unique(maintain_order=True):
        rows = mine.filter(benchmark=benchmark)
        good = rows.filter(error <= SUCCESS_KM).to_dicts()
        bad = rows.filter(error > FAILURE_KM, error < np.inf).to_dicts()
        count = min(per_benchmark, len(bad))
        middles = [int((part + 0.5) * len(bad) / count) for part in range(count)]
        starts = [0] * min(per_benchmark, len(good))
        chosen.append(ChosenExamples(benchmark, _spread(good, starts), _spread(bad, middles)))
    return tuple(chosen)


def _spread(rows: Sequence[dict[str, Any]], starts: Sequence[int]) -> tuple[str, ...]:
    """One row for each start: the nearest in order that the earlier ones leave free; their ids in order of error."""
    taken: list[int] = []
    for start in starts:
        free = sorted((at for at in range(len(rows)) if at not in taken), key=lambda at: (abs(at - start), at))
        earlier = [rows[at] for at in taken]
        new_author = [at for at in free if _new_author(rows[at], earlier)]
        apart = next((at for at in new_author if _apart(rows[at], earlier)), None)
        taken.append(apart if apart is not None else [*new_author, *free][0])
    return tuple(str(rows[at]["image_id"]) for at in sorted(taken))


def _new_author(row: dict[str, Any], earlier: Sequence[dict[str, Any]]) -> bool:
    author = author_key(row["author"])
    return author is None or all(author != author_key(other["author"]) for other in earlier)


def _apart(row: dict[str, Any], earlier: Sequence[dict[str, Any]]) -> bool:
    lat, lon = row["truth_lat_deg"], row["truth_lon_deg"]
    far = [distance_km(lat, lon, other["truth_lat_deg"], other["truth_lon_deg"]) for other in earlier]
    return all(float(km) >= APART_KM for km in far)


def nearest_references(
    truth_lat_deg: ArrayLike,
    truth_lon_deg: ArrayLike,
    lat_deg: ArrayLike,
    lon_deg: ArrayLike,
    truth_cell: ArrayLike,
    reference_lat_deg: ArrayLike,
    reference_lon_deg: ArrayLike,
    reference_cell: ArrayLike,
    kind: DistanceKind = "great_circle",
) -> NearestReferences:
    """The reference image of each query, as this module's first lines define it; of equals the first.

    truth_*: true places (Q,), lat_deg, lon_deg: predicted ones (Q,), all in degrees. truth_cell (Q,), reference_cell
    (R,): rows of the finest partition, -1 where no cell holds the place. Raises ScoreError when there are
    no reference images or the arrays do not match.
    """
    truth = np.stack([np.asarray(truth_lat_deg, np.float64), np.asarray(truth_lon_deg, np.float64)])
    answer = np.stack([np.asarray(lat_deg, np.float64), np.asarray(lon_deg, np.float64)])
    places = np.stack([np.asarray(reference_lat_deg, np.float64), np.asarray(reference_lon_deg, np.float64)])
    cells_Q, cells_R = np.asarray(truth_cell, np.int64), np.asarray(reference_cell, np.int64)
    if not places.shape[1] or truth.shape != answer.shape or len(cells_Q) != truth.shape[1]:
        raise ScoreError(
            f"found {truth.shape[1]} true places, {answer.shape[1]} predictions, {len(cells_Q)} of their cells and "
            f"{places.shape[1]} reference images; expected one prediction and one cell per true place, and at least "
            "one reference image; match them by image"
        )
    if len(cells_R) != places.shape[1]:
        raise ScoreError(
            f"found {len(cells_R)} cells for {places.shape[1]} reference images; expected one each, -1 where none "
            "covers it; assign them with the geocells of this run"
        )
    count = truth.shape[1]
    rows, in_cell = np.zeros(count, np.int64), np.zeros(count, bool)
    to_prediction, to_truth, nearest = (np.zeros(count) for _ in range(3))
    for at in range(count):
        from_truth_R = distance_km(truth[0, at], truth[1, at], places[0], places[1], kind)
        from_answer_R = distance_km(answer[0, at], answer[1, at], places[0], places[1], kind)
        same_R = (cells_R == cells_Q[at]) & (cells_R >= 0)
        in_cell[at] = same_R.any()
        rows[at] = np.argmin(np.where(same_R, from_answer_R, np.inf)) if in_cell[at] else np.argmin(from_truth_R)
        to_prediction[at], to_truth[at] = from_answer_R[rows[at]], from_truth_R[rows[at]]
        nearest[at] = from_truth_R.min()
    return NearestReferences(rows, in_cell, to_prediction, to_truth, nearest)
