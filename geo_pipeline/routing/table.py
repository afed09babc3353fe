"""The GeoRouting table (section 3.1): for each query both predictions, both errors, the label and the preference.

Its columns are those of `data_contracts/georouting.yaml`. What the router sees is `geo_pipeline.routing.prompt`.
"""

import numpy as np
import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.frames import arrow_table
from geo_pipeline.earth.distance import DistanceKind, errors_km
from geo_pipeline.routing.preference import DISPO_ALPHA, DISPO_EPSILON_KM, dispo, hard_label

CANDIDATES = ("candidate_ids", "candidate_lats_deg", "candidate_lons_deg")


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
    Raises `GeoroutingError`, naming what is missing, double or unknown, and CoordinatesError for an unusable truth.
    """
    queries = pl.DataFrame(truth).select("image_id", "lat_deg", "lon_deg")
    retrieved, generated = (_answers(*each, queries) for each in (("retrieval", retrieval), ("generation", generation)))
    rows = queries.join(retrieved, on="image_id", how="left", maintain_order="left").join(
        generated.drop(CANDIDATES), on="image_id", how="left", maintain_order="left"
    )
    retrieval_km, generation_km = (_errors(rows, name, distance) for name in ("retrieval", "generation"))
    labelled = rows.with_columns(
        retrieval_error_km=retrieval_km,
        generation_error_km=generation_km,
        label=hard_label(retrieval_km, generation_km),
        preference=dispo(retrieval_km, generation_km, alpha, epsilon_km),
        trainable=np.isfinite(retrieval_km) | np.isfinite(generation_km),
    )
    return arrow_table(labelled.with_columns(pl.col(CANDIDATES).fill_null([])), "georouting")


def _answers(method: str, predictions: pa.Table, queries: pl.DataFrame) -> pl.DataFrame:
    """image_id, `<method>_lat_deg`, `<method>_lon_deg` and the candidates, once per query."""
    rows = pl.DataFrame(predictions)
    problems = {
        "images without a prediction": queries.join(rows, on="image_id", how="anti"),
        "predictions for unknown images": rows.join(queries, on="image_id", how="anti"),
        "images predicted more than once": rows.filter(pl.col("image_id").is_duplicated()),
        "images twice in the truth": queries.filter(pl.col("image_id").is_duplicated()),
    }
    named = {what: found["image_id"].unique().sort() for what, found in problems.items() if found.height}
    if named:
        listed = "; ".join(f"{what}: {len(ids)} ({', '.join(ids.head(3))})" for what, ids in named.items())
        raise GeoroutingError(
            f"found in the {method} predictions: {listed}; expected exactly one row per query; rematerialize the "
            f"{method} predictions of the router queries"
        )
    return rows.select("image_id", *CANDIDATES, pl.col("lat_deg", "lon_deg").name.prefix(f"{method}_"))


def _errors(rows: pl.DataFrame, method: str, distance: DistanceKind) -> np.ndarray:
    lat, lon = (rows[f"{method}_{name}"].to_numpy() for name in ("lat_deg", "lon_deg"))
    return errors_km(lat, lon, rows["lat_deg"].to_numpy(), rows["lon_deg"].to_numpy(), distance)
