"""The georouting table: errors, labels, failures, and ids that do not match."""

import math

import pyarrow as pa
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.routing.table import GeoroutingError, build_georouting

NOWHERE = (None, None)


def predictions(method, places, candidates=False):
    rows = []
    for image_id, (lat_deg, lon_deg) in places.items():
        row = {"image_id": image_id, "method": method, "lat_deg": lat_deg, "lon_deg": lon_deg}
        row["failure"] = "no_coordinate" if lat_deg is None else None
        if candidates and lat_deg is not None:
            row |= {
                "candidate_ids": ["r1", "r2"],
                "candidate_lats_deg": [lat_deg, 0.5],
                "candidate_lons_deg": [lon_deg, 1.5],
            }
            row["candidate_scores"] = [2.0, 1.0]
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=load("predictions").arrow_schema)


TRUTH = pa.table(
    {"image_id": ["a", "b", "c", "d"], "lat_deg": [0.0, 10.0, 20.0, 30.0], "lon_deg": [0.0, 0.0, 0.0, 0.0]}
)
# Another order than the truth's, on purpose.
RETRIEVAL = predictions(
    "retrieval", {"d": NOWHERE, "c": (20.0, 0.0), "b": (10.0, 1.0), "a": (0.0, 2.0)}, candidates=True
)
GENERATION = predictions("generation", {"a": (0.0, 1.0), "b": NOWHERE, "c": (20.0, 0.0), "d": NOWHERE})


@pytest.fixture
def table():
    return build_georouting(RETRIEVAL, GENERATION, TRUTH)


def test_rows_follow_the_truth_and_carry_both_errors(table):
    assert table["image_id"].to_pylist() == ["a", "b", "c", "d"]
    degree_km = 6371.0 * math.pi / 180
    assert table["retrieval_error_km"][0].as_py() == pytest.approx(2 * degree_km)
    assert table["generation_error_km"][0].as_py() == pytest.approx(degree_km)


def test_labels_failures_and_ties(table):
    assert table["label"].to_pylist() == [1, 0, 0, 0]
    assert table["trainable"].to_pylist() == [True, True, True, False]
    assert table["generation_error_km"].to_pylist()[1] == math.inf
    assert table["generation_lat_deg"].to_pylist()[1] is None
    assert table["preference"].to_pylist()[2] == 0.5
    assert table["candidate_ids"].to_pylist()[3] == []


def test_the_table_keeps_its_contract(table):
    assert table.schema.names == load("georouting").arrow_schema.names
    assert load("georouting").problems(table) == []


def test_wgs84_is_another_distance_but_the_same_labels(table):
    ellipsoid = build_georouting(RETRIEVAL, GENERATION, TRUTH, distance="wgs84")
    assert ellipsoid["retrieval_error_km"] != table["retrieval_error_km"]
    assert ellipsoid["label"] == table["label"]


def test_every_disagreement_of_ids_is_named_at_once():
    others = predictions("generation", {"a": (0.0, 1.0), "b": (0.0, 1.0), "x": (0.0, 1.0)})
    with pytest.raises(GeoroutingError) as refused:
        build_georouting(RETRIEVAL, pa.concat_tables([others, others.slice(0, 1)]), TRUTH)
    told = str(refused.value)
    assert "without a prediction: 2 (c, d)" in told
    assert "unknown images: 1 (x)" in told
    assert "more than once: 1" in told
