"""The judged predictions of a benchmark: every prediction of every method beside the truth, with its error in km.

The table `judged` is made once per benchmark; scores (`scores`), reports and comparisons read it. Distances belong to
`earth.distance`.
"""

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.frames import arrow_table
from geo_pipeline.earth.distance import DistanceKind, errors_km
from geo_pipeline.scoring.accuracy import ScoreError

TRUTH_COLUMNS = ("image_id", "author", "lat_deg", "lon_deg")
"""What is read of a benchmark's catalogue."""
NO_PREDICTION = "no_prediction"
STANDS_IN = "placeholder_zero"
"""A coordinate of exactly (0, 0), which stands for "do not know" (docs/protocol.md)."""


def judge(
    benchmark: str,
    predictions: pa.Table,
    truth: pa.Table,
    methods: Iterable[str],
    distance: DistanceKind | str = "great_circle",
) -> pa.Table:
    """The table `judged` of one benchmark, ordered by method, then by image.

    predictions: columns of the table `predictions`, of any methods. truth: TRUTH_COLUMNS, one row per photograph of the
    benchmark. Every one of `methods` gets a row per photograph; one without a prediction is a failure (`no_prediction`)
    with an infinite error, and so is a coordinate of exactly (0, 0) (`placeholder_zero`). Raises ScoreError for
    predictions of other methods or images, and for two of one image.
    """
    queries = pl.DataFrame(truth).select("image_id", "author", truth_lat_deg="lat_deg", truth_lon_deg="lon_deg")
    answers = pl.DataFrame(predictions).select(
        "method", "image_id", "failure", "chosen", "score", pl.col("lat_deg", "lon_deg").fill_nan(None)
    )
    stands_in = (pl.col("lat_deg") == 0.0) & (pl.col("lon_deg") == 0.0)
    answers = answers.with_columns(
        pl.when(~stands_in.fill_null(False)).then(pl.col("lat_deg", "lon_deg")),
        failure=pl.when(stands_in).then(pl.lit(STANDS_IN)).otherwise("failure"),
    )
    names = sorted(set(methods))
    _refuse(benchmark, answers, queries, names)
    rows = (
        pl.DataFrame({"method": names}, schema={"method": pl.String})
        .join(queries, how="cross")
        .join(answers.with_columns(answered=True), on=["method", "image_id"], how="left")
        .with_columns(
            benchmark=pl.lit(benchmark),
            failure=pl.when("answered").then("failure").otherwise(pl.lit(NO_PREDICTION)),
        )
        .sort("method", "image_id")
    )
    lat, lon, true_lat, true_lon = (
        rows[name].to_numpy() for name in ("lat_deg", "lon_deg", "truth_lat_deg", "truth_lon_deg")
    )
    return arrow_table(rows.with_columns(error_km=errors_km(lat, lon, true_lat, true_lon, distance)), "judged")


def _refuse(benchmark: str, answers: pl.DataFrame, queries: pl.DataFrame, methods: list[str]) -> None:
    """Raise for predictions that have no row in the judged table, or two rows for one."""
    strange = answers.join(queries, on="image_id", how="anti")
    if strange.height:
        raise ScoreError(
            f"found {strange.height} predictions for images outside benchmark {benchmark} (first: "
            f"{strange['image_id'][0]}); expected only its {queries.height} images; rematerialize the predictions of "
            "this benchmark"
        )
    unnamed = answers.filter(~pl.col("method").is_in(methods))
    if unnamed.height:
        raise ScoreError(
            f"found {unnamed.height} predictions of {unnamed['method'][0]} on {benchmark}; expected those of "
            f"{', '.join(methods)} alone; name the method or leave its predictions out"
        )
    twice = answers.filter(pl.struct("method", "image_id").is_duplicated())
    if twice.height:
        raise ScoreError(
            f"found two predictions of {twice['method'][0]} for image {twice['image_id'][0]} of {benchmark}; expected "
            "one; rematerialize the predictions of this benchmark"
        )
