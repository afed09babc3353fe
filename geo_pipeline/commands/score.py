"""`geo-pipeline score`: options as the user writes them to the scoring of prediction files, and a score as text."""

from geo_pipeline.earth.regions import region_of
from geo_pipeline.scoring.accuracy import Score, mean_accuracy
from geo_pipeline.scoring.prediction_files import score_files

COLUMN_KEYS = {"id": "image_id", "lat": "lat_deg", "lon": "lon_deg", "author": "author"}


def scored(
    predictions: str,
    truth: str,
    distance: str,
    columns: str | None = None,
    truth_columns: str | None = None,
    region: str | None = None,
) -> Score:
    """Score a file. `columns` and `truth_columns` are written id=..,lat=..,lon=.., `region` as `region_of` reads it.

    Raises ValueError for what cannot be understood.
    """
    if distance not in ("great_circle", "wgs84"):
        raise ValueError(f"found --distance {distance!r}, expected great_circle or wgs84")
    mapping = {**column_mapping("predictions", columns), **column_mapping("truth", truth_columns)}
    inside = None if region is None else region_of(region)
    return score_files(predictions, truth, distance, mapping or None, inside)


def column_mapping(file: str, written: str | None) -> dict[str, str]:
    """`id=a,lat=b` for a file as the mapping that prediction_files understands."""
    mapping = {}
    for part in written.split(",") if written else ():
        name, equals, column = part.partition("=")
        if name.strip() not in COLUMN_KEYS or not equals or not column.strip():
            raise ValueError(
                f"found {part!r} among the columns of the {file}, expected "
                f"{', '.join(f'{key}=<column>' for key in COLUMN_KEYS)}"
            )
        mapping[f"{file}.{COLUMN_KEYS[name.strip()]}"] = column.strip()
    return mapping


def score_text(score: Score) -> str:
    """A score for a terminal: what was counted and what was not, percent within each threshold with its interval."""
    lines = [
        f"{score.count} images, {score.failures} without a prediction (counted as wrong), distance {score.distance}",
        *(f"Note: {remark}." for remark in score.remarks),
        *(f"Sign of a broken run: {finding}." for finding in score.findings),
    ]
    if score.region is not None:
        inside = f"{score.count} of {score.count + score.outside} images lie in {score.region}; only they are counted"
        lines.insert(0, inside)
    for threshold, accuracy in score.accuracy.items():
        low, high = score.interval_95[threshold]
        lines.append(f"{threshold:>6g} km  {100 * accuracy:6.2f} %   (95 %: {100 * low:.1f} to {100 * high:.1f})")
    lines += [f"  mean     {100 * mean_accuracy(score):6.2f} %", f"median     {score.median_km:.1f} km"]
    return "\n".join(lines)
