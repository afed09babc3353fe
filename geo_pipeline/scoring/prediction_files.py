"""Scores a file of predictions against a file of true coordinates, as they are found in the wild.

Files are read as the metadata of a collection are (`imagery.metadata`): CSV of any dialect, Parquet, JSON, local or at
a URL. Every row of the truth is in the denominator: one without a prediction, or with one that is no coordinate or
exactly (0, 0), is a counted failure. The score belongs to `accuracy`, signs of a broken run to `broken_runs`; raw
replies of language models are read by `lvlm.answers`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from geo_pipeline.earth.distance import DistanceKind, errors_km
from geo_pipeline.earth.regions import Region
from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.imagery.metadata.layout import ALIASES, ColumnsError, MetadataFormat
from geo_pipeline.imagery.metadata.read import metadata_notes, read_metadata
from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES
from geo_pipeline.scoring.accuracy import Score, ScoreError, score_errors
from geo_pipeline.scoring.broken_runs import AnsweredQueries, findings

PREDICTION_KEYS = ("predictions.image_id", "predictions.lat_deg", "predictions.lon_deg")
TRUTH_KEYS = ("truth.image_id", "truth.lat_deg", "truth.lon_deg", "truth.author")
_IDS = (*ALIASES["image_id"], "image", "image_file", "image_name")
_AUTHORS = (*ALIASES["author"], "user_id", "user", "owner")
_PREFIXES = {
    "predictions": ("predicted_", "prediction_", "pred_"),
    "truth": ("gt_", "truth_", "true_", "ground_truth_"),
}
_ENDINGS = f"(?i)(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})+$"


class FileError(ScoreError):
    """A file that cannot be scored; the message says what was found, what was expected and what to do next."""


@dataclass(frozen=True)
class PairedFiles:
    """Predictions matched to the N rows of the truth that are counted, in its order.

    lat_deg, lon_deg: float64 (N,), NaN for a failure. authors: N names or None, None when the truth names none.
    missing: queries without a row of their own. ignored_rows: rows of the predictions that belong to no query, and
    rows of a summary in either file. unreadable_rows: predictions whose coordinate is neither a number nor empty.
    remarks: these in words, with the first such row, and how many predictions are exactly (0, 0), failures too.
    outside: rows of the truth outside the region asked for, which are in none of the other numbers.
    """

    image_ids: tuple[str, ...]
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    truth_lat_deg: np.ndarray
    truth_lon_deg: np.ndarray
    authors: tuple[str | None, ...] | None
    missing: int
    ignored_rows: int
    unreadable_rows: int
    remarks: tuple[str, ...]
    outside: int = 0

    def answered(self) -> AnsweredQueries:
        """The same for `broken_runs`."""
        return AnsweredQueries(self.lat_deg, self.lon_deg, self.truth_lat_deg, self.truth_lon_deg)


def score_files(
    predictions: Path | str,
    truth: Path | str,
    kind: DistanceKind | str = "great_circle",
    mapping: Mapping[str, str] | None = None,
    region: Region | None = None,
) -> Score:
    """Score a predictions file; intervals are clustered by author where the truth names authors.

    region: only queries whose true coordinate lies inside are counted, failures among them too.
    mapping: names of columns for the keys PREDICTION_KEYS and TRUTH_KEYS, for files whose own names are not understood,
    for example {"predictions.lat_deg": "y"}. Raises FileError or SourceError with what was found, expected, and what to
    do next.
    """
    paired = pair_files(predictions, truth, mapping, region)
    error = errors_km(paired.lat_deg, paired.lon_deg, paired.truth_lat_deg, paired.truth_lon_deg, kind)
    score = score_errors(error, paired.authors, THRESHOLDS_KM, distance=str(kind))
    return replace(
        score,
        ignored_rows=paired.ignored_rows,
        unreadable_rows=paired.unreadable_rows,
        remarks=paired.remarks,
        findings=findings(paired.answered()),
        region=None if region is None else region.name,
        outside=paired.outside,
    )


def pair_files(
    predictions: Path | str, truth: Path | str, mapping: Mapping[str, str] | None = None, region: Region | None = None
) -> PairedFiles:
    """Match predictions to the truth by image id, with or without the file's ending. Raises FileError, SourceError."""
    named = dict(mapping or {})
    unknown = sorted(set(named) - {*PREDICTION_KEYS, *TRUTH_KEYS})
    if unknown:
        raise FileError(
            f"found mapping keys {', '.join(unknown)}; expected {', '.join((*PREDICTION_KEYS, *TRUTH_KEYS))}; correct "
            "the mapping"
        )
    queries, truth_summary = _rows("truth", truth, named)
    answers, summary = _rows("predictions", predictions, named)
    _refuse_truth(queries, truth)
    queries, answers = _keyed(queries, answers, truth)
    own = answers.join(queries, on="key", how="semi", maintain_order="left")
    _refuse_predictions(own, answers, queries, predictions, truth)
    strangers = answers.join(queries, on="key", how="anti", maintain_order="left")
    everywhere = queries.height
    if region is not None:
        queries = _inside(queries, region, truth)
        own = own.join(queries, on="key", how="semi", maintain_order="left")
    paired = queries.join(own, on="key", how="left", maintain_order="left", suffix="_answer")
    unreadable = own.filter(pl.col("lat_deg").is_nan() | pl.col("lon_deg").is_nan())
    lat, lon = pl.col("lat_deg_answer"), pl.col("lon_deg_answer")
    stands_in = (lat == 0.0) & (lon == 0.0)
    failed = lat.is_null() | lon.is_null() | lat.is_nan() | lon.is_nan() | stands_in
    found = paired.select(lat=pl.when(~failed).then(lat), lon=pl.when(~failed).then(lon))
    return PairedFiles(
        tuple(queries["id"]),
        found["lat"].to_numpy(),
        found["lon"].to_numpy(),
        queries["lat_deg"].to_numpy(),
        queries["lon_deg"].to_numpy(),
        tuple(queries["author"]) if queries["author"].count() else None,
        missing=queries.height - own.height,
        ignored_rows=strangers.height + summary + truth_summary,
        unreadable_rows=unreadable.height,
        remarks=_remarks(strangers, unreadable, paired.filter(stands_in).height, queries),
        outside=everywhere - queries.height,
    )


def _inside(queries: pl.DataFrame, region: Region, truth: Path | str) -> pl.DataFrame:
    """The rows of the truth whose coordinate lies in a region."""
    inside = region.contains(queries["lat_deg"].to_numpy(), queries["lon_deg"].to_numpy())
    if not inside.any():
        raise FileError(
            f"found none of the {queries.height} true coordinates of {truth} in {region.name}; expected at least one; "
            "check the order lat_min,lon_min,lat_max,lon_max, or choose a larger region"
        )
    return queries.filter(inside)


def _remarks(
    strangers: pl.DataFrame, unreadable: pl.DataFrame, stand_ins: int, queries: pl.DataFrame
) -> tuple[str, ...]:
    """Rows of the predictions that do not count as they were meant, in words."""
    remarks = []
    if strangers.height:
        words = "row of the predictions belongs" if strangers.height == 1 else "rows of the predictions belong"
        first = f"{strangers['id'][0]!r} in line {strangers['line'][0]}, beside {queries['id'][0]!r} of the truth"
        remarks.append(f"{strangers.height:,} {words} to no query (first: {first})")
    if unreadable.height:
        words = (
            "prediction cannot be read and counts" if unreadable.height == 1 else "predictions cannot be read and count"
        )
        first = f"line {unreadable['line'][0]}, {unreadable['detail'][0]}"
        remarks.append(f"{unreadable.height:,} {words} as wrong (first: {first})")
    if stand_ins:
        words = (
            "prediction is exactly (0, 0), which stands"
            if stand_ins == 1
            else "predictions are exactly (0, 0), which stand"
        )
        remarks.append(
            f"{stand_ins:,} {words} for 'do not know', and {'counts' if stand_ins == 1 else 'count'} as wrong"
        )
    return tuple(remarks)


def _rows(role: str, path: Path | str, named: Mapping[str, str]) -> tuple[pl.DataFrame, int]:
    """id, lat_deg, lon_deg, author, detail and line of every row of a file, and the rows of its summary."""
    prefixed = [
        (known, prefix + alias)
        for known in ("lat_deg", "lon_deg")
        for prefix in _PREFIXES[role]
        for alias in ALIASES[known]
    ]
    others = [("image_id", name) for name in _IDS] + [("author", name) for name in _AUTHORS]
    required = tuple((key.partition(".")[2], column) for key, column in named.items() if key.partition(".")[0] == role)
    try:
        table = read_metadata(str(path), MetadataFormat(columns=(*prefixed, *others), required=required))
    except ColumnsError as error:
        option = "--truth-columns" if role == "truth" else "--columns"
        raise FileError(f"{error} Or name them: {option} id=COLUMN,lat=COLUMN,lon=COLUMN.") from error
    rows = pl.DataFrame(table)
    if not rows.height:
        raise FileError(f"found no rows in {path}; expected a line of column names and rows below it; check the path")
    image = "image_id" if rows["image_id"].count() else "path"
    summary = metadata_notes(table).summary
    return rows.select("lat_deg", "lon_deg", "author", "detail", "line", id=image), summary


def _keyed(queries: pl.DataFrame, answers: pl.DataFrame, truth: Path | str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both with a `key`: the id as it is when all queries are found so, else with a letter and its marks as one
    character (macOS writes them apart), else without the endings of image files too."""
    key = pl.col("id")
    composed = key.str.normalize("NFC")
    for simpler in (composed, composed.str.replace(_ENDINGS, "")):
        if set(queries.select(key).to_series()) <= set(answers.select(key).to_series()):
            break
        if queries.select(simpler.is_unique().all()).item():
            key = simpler
    if (twice := queries.filter(pl.col("id").is_duplicated())).height:
        count = queries.height - queries["id"].n_unique()
        raise FileError(
            f"found {count} repeated ids in {truth} (first: {twice['id'][0]!r}); expected every image once; keep one "
            "row per image"
        )
    return queries.with_columns(key=key), answers.with_columns(key=key)


def _refuse_truth(queries: pl.DataFrame, truth: Path | str) -> None:
    lat, lon = pl.col("lat_deg").fill_nan(None), pl.col("lon_deg").fill_nan(None)
    without = queries.filter(pl.col("id").is_null() | lat.is_null() | lon.is_null())
    if without.height:
        line, detail = without["line"][0], without["detail"][0] or "no id"
        raise FileError(
            f"found {without.height} of {queries.height} rows without a coordinate or an id in {truth} (first: line "
            f"{line}, {detail}); expected an id and two numbers in every row; correct the truth"
        )
    _refuse_out_of_range(queries, truth)


def _refuse_predictions(
    own: pl.DataFrame, answers: pl.DataFrame, queries: pl.DataFrame, predictions: Path | str, truth: Path | str
) -> None:
    twice = own.filter(pl.col("key").is_duplicated())
    if twice.height:
        first, second = twice.filter(key=twice["key"][0]).head(2).iter_rows(named=True)
        raise FileError(
            f"found two predictions for {second['id']!r} in {predictions} (lines {first['line']} and "
            f"{second['line']}); expected one per image; keep one"
        )
    if own.is_empty():
        raise FileError(
            f"found no prediction in {predictions} for any of the {queries.height} images of {truth} (ids "
            f"{answers['id'][0]!r} beside {queries['id'][0]!r}); expected the same ids in both; check that the files "
            "belong together, or name the id columns in the mapping"
        )
    _refuse_out_of_range(own, predictions)


def _refuse_out_of_range(rows: pl.DataFrame, path: Path | str) -> None:
    for name, words, limit in (("lat_deg", "latitude", 90.0), ("lon_deg", "longitude", 180.0)):
        beyond = rows.filter(pl.col(name).abs() > limit, pl.col(name).is_finite())
        if beyond.height:
            swapped = " Are the latitude and longitude columns swapped?" if limit == 90.0 else ""
            raise FileError(
                f"found {beyond.height} {words}s beyond {limit:g} degrees in {path} (first: {beyond[name][0]:g} in "
                f"line {beyond['line'][0]}); expected -{limit:g} to {limit:g}.{swapped} Correct the file, name the "
                "columns in an explicit mapping, or leave a failed prediction empty"
            )
