"""Rows of the predictions table, from the numbers of GeoSURGE, of retrieval or of a baseline. Torch-free."""

import pyarrow as pa


def prediction_table(
    method: str,
    image_ids: list[str],
    lats_deg: list[float | None],
    lons_deg: list[float | None],
    scores: list[float | None],
    failures: list[str | None] | None = None,
    candidates: tuple[list[list[str]], list[list[float]], list[list[float]], list[list[float]]] | None = None,
) -> pa.Table:
    """Rows of the predictions table; `candidates` are ids, latitudes, longitudes and scores, best first."""
    count = len(image_ids)
    absent: list[None] = [None] * count
    ids, lats, lons, values = candidates if candidates is not None else (absent, absent, absent, absent)
    return pa.table(
        {
            "image_id": pa.array(image_ids, pa.string()),
            "method": pa.array([method] * count, pa.string()),
            "lat_deg": pa.array(lats_deg, pa.float64()),
            "lon_deg": pa.array(lons_deg, pa.float64()),
            "score": pa.array(scores, pa.float64()),
            "failure": pa.array(failures if failures is not None else absent, pa.string()),
            "raw_answer": pa.array(absent, pa.string()),
            "chosen": pa.array(absent, pa.string()),
            "candidate_ids": pa.array(ids, pa.list_(pa.string())),
            "candidate_lats_deg": pa.array(lats, pa.list_(pa.float64())),
            "candidate_lons_deg": pa.array(lons, pa.list_(pa.float64())),
            "candidate_scores": pa.array(values, pa.list_(pa.float64())),
        }
    )
