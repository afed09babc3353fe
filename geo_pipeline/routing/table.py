"""The GeoRouting table (section 3.1): for each query both predictions, both errors, the label and the preference.

Its columns are those of `data_contracts/georouting.yaml`. What the router sees is `geo_pipeline.routing.prompt`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.earth.distance import DistanceKind, distance_km
from geo_pipeline.routing.preference import DISPO_ALPHA, DISPO_EPSILON_KM, dispo, hard_label


class GeoroutingError(ValueError):
    """Predictions and truth do not belong together."""


def build_georouting(
    retrieval: pa.Table,
    generation: pa.Table,
    truth: pa.Table,
    distance: DistanceKind = "great_circle",
    alpha: float = DISPO_ALPHA,
    epsilon_km: float = DISPO_EPSILON_KM,
) -> pa.Table:
    """One row per image of `truth` (image_id, lat_deg, lon_deg), in its order.

    `retrieval` and `generation` are tables of the predictions contract with exactly one row per image of `truth`; more
    rows are an error too. A null prediction has error +inf; rows where both failed are kept with `trainable` false.
    Raises `GeoroutingError`, naming all that is missing, double or unknown.
    """
    ids: list[str] = truth["image_id"].to_pylist()
    retrieved, generated = _by_id("retrieval", retrieval, ids), _by_id("generation", generation, ids)
    true_lat_deg, true_lon_deg = _column(truth, "lat_deg"), _column(truth, "lon_deg")
    if np.isnan(true_lat_deg).any() or np.isnan(true_lon_deg).any():
        raise GeoroutingError(
            "found queries without a true coordinate; expected one for each; leave them out of the table"
        )
    errors = {
        name: _errors_km(rows, true_lat_deg, true_lon_deg, distance)
        for name, rows in (("retrieval", retrieved), ("generation", generated))
    }
    preference = dispo(errors["retrieval"], errors["generation"], alpha, epsilon_km)
    candidates: dict[str, list[Any]] = {
        column: [row[column] or [] for row in retrieved]
        for column in ("candidate_ids", "candidate_lats_deg", "candidate_lons_deg")
    }
    table = pa.table(
        {
            "image_id": ids,
            "retrieval_lat_deg": [row["lat_deg"] for row in retrieved],
            "retrieval_lon_deg": [row["lon_deg"] for row in retrieved],
            "generation_lat_deg": [row["lat_deg"] for row in generated],
            "generation_lon_deg": [row["lon_deg"] for row in generated],
            "retrieval_error_km": errors["retrieval"],
            "generation_error_km": errors["generation"],
            "label": hard_label(errors["retrieval"], errors["generation"]),
            "preference": preference,
            "trainable": np.isfinite(errors["retrieval"]) | np.isfinite(errors["generation"]),
            **candidates,
        }
    )
    return load_contract("georouting").conform(table)


def _by_id(method: str, predictions: pa.Table, ids: list[str]) -> list[Mapping[str, Any]]:
    wanted = ["image_id", "lat_deg", "lon_deg", "candidate_ids", "candidate_lats_deg", "candidate_lons_deg"]
    rows = predictions.select(wanted).to_pylist()
    found = {row["image_id"]: row for row in rows}
    problems = {
        "images without a prediction": sorted(set(ids) - found.keys()),
        "predictions for unknown images": sorted(found.keys() - set(ids)),
        "images predicted more than once": []
        if len(found) == len(rows)
        else [f"{len(rows) - len(found)} rows too many"],
        "images twice in the truth": [] if len(set(ids)) == len(ids) else [f"{len(ids) - len(set(ids))} rows too many"],
    }
    told = [f"{what}: {len(which)} ({', '.join(which[:3])})" for what, which in problems.items() if which]
    if told:
        raise GeoroutingError(
            f"found in the {method} predictions: {'; '.join(told)}; expected exactly one row per query; "
            f"rematerialize the {method} predictions of the router queries"
        )
    return [found[image_id] for image_id in ids]


def _errors_km(
    rows: list[Mapping[str, Any]],
    true_lat_deg: NDArray[np.float64],
    true_lon_deg: NDArray[np.float64],
    distance: DistanceKind,
) -> NDArray[np.float64]:
    lat_deg = np.array([np.nan if row["lat_deg"] is None else row["lat_deg"] for row in rows], dtype=np.float64)
    lon_deg = np.array([np.nan if row["lon_deg"] is None else row["lon_deg"] for row in rows], dtype=np.float64)
    there = ~(np.isnan(lat_deg) | np.isnan(lon_deg))
    errors = np.full(len(rows), np.inf)
    if there.any():
        errors[there] = distance_km(
            lat_deg[there], lon_deg[there], true_lat_deg[there], true_lon_deg[there], kind=distance
        )
    return errors


def _column(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
