"""The judged table: every photograph counts for every method, and what cannot be judged is refused by name."""

import math

import pyarrow as pa
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.scoring.accuracy import ScoreError
from geo_pipeline.scoring.judged import judge

TRUTH = pa.table({"image_id": ["b", "a"], "author": ["x", None], "lat_deg": [0.0, 10.0], "lon_deg": [0.0, 20.0]})


def prediction(image_id, lat, lon, failure=None, method="m", **more):
    row = {"image_id": image_id, "method": method, "lat_deg": lat, "lon_deg": lon, "failure": failure, **more}
    return pa.Table.from_pylist([row], load("predictions").arrow_schema)


def judged(predictions, methods=("m",)):
    return judge("small", predictions, TRUTH, methods).to_pylist()


def test_an_image_without_prediction_is_a_failure():
    first, second = judged(prediction("b", 0.0, 1.0, score=0.5, chosen="retrieval"))
    assert (first["image_id"], first["error_km"], first["failure"], first["lat_deg"]) == (
        "a",
        math.inf,
        "no_prediction",
        None,
    )
    assert second["image_id"] == "b"
    assert second["error_km"] == pytest.approx(111.195, abs=0.01)
    assert (second["author"], second["score"], second["chosen"], second["failure"]) == ("x", 0.5, "retrieval", None)


def test_a_null_coordinate_is_a_failure_with_its_own_reason():
    rows = judged(prediction("b", None, None, "refused"))
    assert (rows[1]["error_km"], rows[1]["failure"]) == (math.inf, "refused")


def test_a_coordinate_of_exactly_zero_and_zero_is_a_failure():
    rows = judged(pa.concat_tables([prediction("b", 0.0, 0.0), prediction("a", 0.0, 1.0)]))
    assert [(row["image_id"], row["lat_deg"], row["failure"]) for row in rows] == [
        ("a", 0.0, None),
        ("b", None, "placeholder_zero"),
    ]
    assert rows[1]["error_km"] == math.inf


def test_a_method_that_gave_nothing_has_failed_everywhere():
    rows = judged(prediction("b", 0.0, 1.0), ("z", "m"))
    assert [(row["method"], row["image_id"]) for row in rows] == [("m", "a"), ("m", "b"), ("z", "a"), ("z", "b")]
    assert [row["failure"] for row in rows[2:]] == ["no_prediction"] * 2


def test_the_table_keeps_its_contract_with_and_without_rows():
    some = pa.concat_tables([prediction("b", 0.0, 1.0), prediction("a", None, None, "refused")])
    for predictions, truth in ((some, TRUTH), (some.slice(0, 0), TRUTH.slice(0, 0))):
        table = judge("small", predictions, truth, ["m"])
        assert table.schema == load("judged").arrow_schema
        assert load("judged").problems(table) == []


def test_wgs84_is_another_distance():
    (_, here), (_, there) = (
        judge("small", prediction("b", 0.0, 1.0), TRUTH, ["m"], kind)["error_km"].to_pylist()
        for kind in ("great_circle", "wgs84")
    )
    assert here != there


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (prediction("elsewhere", 0.0, 0.0), "1 predictions for images outside benchmark small .first: elsewhere"),
        (prediction("a", 0.0, 0.0, method="n"), "1 predictions of n on small; expected those of m alone"),
        (pa.concat_tables([prediction("a", 0.0, 0.0)] * 2), "two predictions of m for image a of small"),
    ],
)
def test_what_has_no_row_of_its_own_is_refused(predictions, message):
    with pytest.raises(ScoreError, match=message):
        judged(predictions)
