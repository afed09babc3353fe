"""Scores a CSV file of predictions against a CSV file of true coordinates, as they are found in the wild.

Columns are understood by their names, or named by the user. Every row of the truth is in the denominator: one without a
prediction, or with one that is no coordinate, is a counted failure. Rows of the predictions that belong to no query,
such as a summary at the end, are counted and otherwise ignored. Splitting files into rows belongs to `column_files`,
the score to `accuracy`; raw replies of language models are read by `lvlm.answers`.
"""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geo_pipeline.earth.distance import DistanceKind
from geo_pipeline.earth.regions import Region
from geo_pipeline.scoring.accuracy import THRESHOLDS_KM, Score, errors_km, score_errors
from geo_pipeline.scoring.column_files import ColumnFile, FileError, Row, read_column_file

_IDS = ("image_id", "img_id", "id", "image", "image_file", "image_name", "filename", "file_name", "file", "path")
_LATITUDES = ("lat_deg", "latitude", "lat")
_LONGITUDES = ("lon_deg", "longitude", "long", "lon", "lng")
_PREDICTED = ("predicted_", "prediction_", "pred_")
_TRUE = ("gt_", "truth_", "true_", "ground_truth_")
_AUTHORS = ("author", "user_id", "user", "owner")

PREDICTION_KEYS = ("predictions.image_id", "predictions.lat_deg", "predictions.lon_deg")
TRUTH_KEYS = ("truth.image_id", "truth.lat_deg", "truth.lon_deg", "truth.author")
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class PairedFiles:
    """Predictions matched to the N rows of the truth, in its order.

    lat_deg, lon_deg: float64 (N,), NaN for a failure. authors: N names or None, None when the truth names none.
    missing: queries without a row of their own. ignored_rows: rows of the predictions that belong to no query, and
    rows of a summary in either file.
    """

    image_ids: tuple[str, ...]
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    truth_lat_deg: np.ndarray
    truth_lon_deg: np.ndarray
    authors: tuple[str | None, ...] | None
    missing: int
    ignored_rows: int


def score_files(
    predictions: Path | str,
    truth: Path | str,
    kind: DistanceKind | str = "great_circle",
    mapping: Mapping[str, str] | None = None,
    region: Region | None = None,
) -> Score:
    """Score a predictions file; intervals are clustered by author where the truth names authors.

    region: only queries whose true place lies inside are counted, failures among them too.
    mapping: names of columns for the keys PREDICTION_KEYS and TRUTH_KEYS, for files whose own names are not understood,
    for example {"predictions.lat_deg": "y"}. Raises FileError with what was found, expected, and what to do next.
    """
    paired = pair_files(predictions, truth, mapping)
    error = errors_km(paired.lat_deg, paired.lon_deg, paired.truth_lat_deg, paired.truth_lon_deg, kind)
    if region is None:
        score = score_errors(error, paired.authors, THRESHOLDS_KM, distance=str(kind))
        return replace(score, ignored_rows=paired.ignored_rows)
    inside = np.flatnonzero(region.contains(paired.truth_lat_deg, paired.truth_lon_deg))
    if len(inside) == 0:
        raise FileError(
            f"found none of the {len(error)} true places of {truth} in {region.name}; expected at least one; check the "
            "order lat_min,lon_min,lat_max,lon_max, or choose a larger region"
        )
    authors = None if paired.authors is None else [paired.authors[row] for row in inside]
    score = score_errors(error[inside], authors, THRESHOLDS_KM, distance=str(kind))
    outside = len(error) - len(inside)
    return replace(score, ignored_rows=paired.ignored_rows, region=region.name, outside=outside)


def pair_files(predictions: Path | str, truth: Path | str, mapping: Mapping[str, str] | None = None) -> PairedFiles:
    """Match predictions to the truth by image id, with or without the file's ending. Raises FileError."""
    named = dict(mapping or {})
    unknown = sorted(set(named) - {*PREDICTION_KEYS, *TRUTH_KEYS})
    if unknown:
        raise FileError(
            f"found mapping keys {', '.join(unknown)}; expected {', '.join((*PREDICTION_KEYS, *TRUTH_KEYS))}; correct "
            "the mapping"
        )
    truth_file, prediction_file = read_column_file(Path(truth)), read_column_file(Path(predictions))
    truth_rows = _true_rows(truth_file, named)
    columns = [
        _column(prediction_file, key, names, named)
        for key, names in zip(
            PREDICTION_KEYS, (_IDS, _prefixed(_PREDICTED, _LATITUDES), _prefixed(_PREDICTED, _LONGITUDES)), strict=True
        )
    ]
    candidates = [(row.value(columns[0]), row) for row in prediction_file.rows]
    position, row_keys = _match(truth_file, list(truth_rows.ids), [image_id for image_id, _ in candidates])
    lat, lon = np.full(len(position), np.nan), np.full(len(position), np.nan)
    seen: dict[str, int] = {}
    for key, (image_id, row) in zip(row_keys, candidates, strict=True):
        if key not in position:
            continue
        if key in seen:
            raise FileError(
                f"found two predictions for {image_id!r} in {prediction_file.path} (lines {seen[key]} and {row.line}); "
                "expected one per image; keep one"
            )
        seen[key] = row.line
        at = position[key]
        lat[at], lon[at] = _number_or_nan(row.value(columns[1])), _number_or_nan(row.value(columns[2]))
    if not seen:
        raise FileError(
            f"found no prediction in {prediction_file.path} for any of the {len(position)} images of "
            f"{truth_file.path} (ids {_first([i for i, _ in candidates])} beside {_first(list(truth_rows.ids))}); "
            "expected the same ids in both; check that the files belong together, or name the id columns in the mapping"
        )
    _refuse_out_of_range(prediction_file, lat, lon, columns[1], columns[2])
    return PairedFiles(
        truth_rows.ids,
        lat,
        lon,
        truth_rows.lat_deg,
        truth_rows.lon_deg,
        truth_rows.authors,
        missing=len(position) - len(seen),
        ignored_rows=len(candidates) - len(seen) + truth_rows.ignored,
    )


@dataclass(frozen=True)
class _TrueRows:
    ids: tuple[str, ...]
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    authors: tuple[str | None, ...] | None
    ignored: int


def _true_rows(file: ColumnFile, named: Mapping[str, str]) -> _TrueRows:
    """Every row of the truth; only a block after a blank line that opens with words for coordinates is a summary."""
    id_column = _column(file, "truth.image_id", _IDS, named)
    lat_column = _column(file, "truth.lat_deg", _prefixed(_TRUE, _LATITUDES), named)
    lon_column = _column(file, "truth.lon_deg", _prefixed(_TRUE, _LONGITUDES), named)
    has_author = "truth.author" in named or any(name.lower() in _AUTHORS for name in file.header)
    author_column = _column(file, "truth.author", _AUTHORS, named) if has_author else None
    later = [block for block in file.blocks[1:] if not _is_summary(block, lat_column, lon_column)]
    rows = [row for block in (file.blocks[0], *later) for row in block]
    lat = np.array([_number_or_nan(row.value(lat_column)) for row in rows])
    lon = np.array([_number_or_nan(row.value(lon_column)) for row in rows])
    bad = np.isnan(lat) | np.isnan(lon)
    if bad.any() or not rows:
        line = rows[int(np.argmax(bad))].line if rows else 1
        raise FileError(
            f"found {int(bad.sum())} of {len(rows)} rows without a coordinate in {file.path} (first: line {line}); "
            f"expected numbers in {file.header[lat_column]!r} and {file.header[lon_column]!r} of every row; correct "
            "the truth"
        )
    _refuse_out_of_range(file, lat, lon, lat_column, lon_column)
    authors = None if author_column is None else tuple(row.value(author_column) or None for row in rows)
    ignored = len(file.rows) - len(rows)
    return _TrueRows(tuple(row.value(id_column) for row in rows), lat, lon, authors, ignored)


def _is_summary(block: tuple[Row, ...], lat_column: int, lon_column: int) -> bool:
    """Whether a block opens like a second header: words, not numbers and not nothing, where coordinates should be."""
    opening = [block[0].value(column) for column in (lat_column, lon_column)]
    return all(text and math.isnan(_number_or_nan(text)) and text.lower() != "nan" for text in opening)


def _prefixed(prefixes: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Names in order of preference: with a prefix first, so that predicted_lat wins over gt_lat and lat."""
    return (*(prefix + name for prefix in prefixes for name in names), *names)


def _column(file: ColumnFile, key: str, names: tuple[str, ...], named: Mapping[str, str]) -> int:
    """Index of the column for a key: the one the user names, else the first of the known names that the file has."""
    lower = [name.lower() for name in file.header]
    wanted = named.get(key)
    if wanted is not None:
        if wanted in file.header:
            return file.header.index(wanted)
        raise FileError(
            f"found columns {', '.join(file.header)} in {file.path}; expected {wanted!r}, which the mapping names for "
            f"{key}; correct the mapping"
        )
    for name in names:
        if lower.count(name) == 1:
            return lower.index(name)
        if lower.count(name) > 1:
            raise FileError(
                f"found column {name!r} twice in {file.path}; expected it once; name another for {key} in the mapping"
            )
    raise FileError(
        f"found columns {', '.join(file.header)} in {file.path}; expected one of {', '.join(names)} for {key}; name "
        f"the column in an explicit mapping: {key}=COLUMN"
    )


def _match(truth_file: ColumnFile, truth_ids: list[str], ids: list[str]) -> tuple[dict[str, int], list[str]]:
    """(row of the truth by key, key of every prediction): the ids as they are when all queries are found so, else with
    letters and marks as one character, as macOS does not write them, else without the endings of image files too."""
    position = {image_id: row for row, image_id in enumerate(truth_ids)}
    keys = ids
    for simpler in (_composed, lambda image_id: _without_ending(_composed(image_id))):
        if set(position) <= set(keys):
            break
        fewer = {simpler(image_id): row for row, image_id in enumerate(truth_ids)}
        if len(fewer) == len(position):
            position, keys = fewer, [simpler(image_id) for image_id in ids]
    if len(position) != len(truth_ids):
        twice = next(image_id for image_id in truth_ids if truth_ids.count(image_id) > 1)
        raise FileError(
            f"found {len(truth_ids) - len(position)} repeated ids in {truth_file.path} (first: {twice!r}); expected "
            "every image once; keep one row per image"
        )
    return position, keys


def _composed(image_id: str) -> str:
    return unicodedata.normalize("NFC", image_id)


def _without_ending(image_id: str) -> str:
    """The id without endings of image files, also when one was added twice."""
    while image_id.lower().endswith(_IMAGE_ENDINGS):
        image_id = image_id[: image_id.rindex(".")]
    return image_id


def _refuse_out_of_range(file: ColumnFile, lat: np.ndarray, lon: np.ndarray, lat_column: int, lon_column: int) -> None:
    for name, values, limit in ((file.header[lat_column], lat, 90.0), (file.header[lon_column], lon, 180.0)):
        beyond = np.abs(values) > limit
        if beyond.any():
            swapped = " Are the latitude and longitude columns swapped?" if limit == 90.0 else ""
            raise FileError(
                f"found {int(beyond.sum())} values beyond {limit:g} degrees in column {name!r} of {file.path} (first: "
                f"{values[np.argmax(beyond)]:g}); expected -{limit:g} to {limit:g}.{swapped} Correct the file, name "
                "the columns in an explicit mapping, or leave a failed prediction empty"
            )


def _number_or_nan(text: str) -> float:
    """The number in a field; NaN where there is none, so that it becomes a counted failure and never a coordinate."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _first(ids: list[str]) -> str:
    return repr(ids[0]) if ids else "none"


__all__ = ["PREDICTION_KEYS", "TRUTH_KEYS", "FileError", "PairedFiles", "pair_files", "score_files"]
