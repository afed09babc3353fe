"""A valid row of every table, and for every check of every contract a change of that row which breaks it.

Violations of a column's limits follow from the contract file; those of the rules across columns are listed here, and
a rule without one fails a test.
"""

from geo_pipeline.contracts.contract import load

NAN, INF = float("nan"), float("inf")
JPEG = b"\xff\xd8\xff\xe0 a photograph"
PNG = b"\x89PNG\r\n\x1a\n a class map"

ROWS = {
    "catalogue": {
        "image_id": "a",
        "locator": "a.jpg",
        "lat_deg": 1.5,
        "lon_deg": 2.5,
        "set_name": "train",
        "shard": "reference-000",
        "place_token": "1347b3",
    },
    "census": {"set_name": "train", "stage": "catalogue", "reason": None, "count": 3, "authors": 2},
    "coverage": {
        "partition": 0,
        "tau_min": 50,
        "tau_max": 1000,
        "cells": 9,
        "covered": 3,
        "total": 4,
        "dropped_cells": 0,
        "unsplittable_cells": 0,
    },
    "duplicates": {"image_id": "a", "set_name": "train", "group": "a", "kind": "near", "distance": 3},
    "features": {"image_id": "a", "feature": [0.5, 0.5]},
    "geocells": {
        "partition": 1,
        "cell": 0,
        "token": "1347b3",
        "level": 3,
        "count": 5,
        "lat_deg": 1.0,
        "lon_deg": 2.0,
        "parent_cell": 0,
    },
    "georouting": {
        "image_id": "a",
        "retrieval_lat_deg": 1.0,
        "retrieval_lon_deg": 2.0,
        "generation_lat_deg": 3.0,
        "generation_lon_deg": 4.0,
        "retrieval_error_km": 10.0,
        "generation_error_km": 5.0,
        "label": 1,
        "preference": 0.75,
        "trainable": True,
        "candidate_ids": ["r"],
        "candidate_lats_deg": [1.0],
        "candidate_lons_deg": [2.0],
    },
    "images": {
        "image_id": "a",
        "set_name": "train",
        "lat_deg": 1.0,
        "lon_deg": 2.0,
        "jpeg": JPEG,
        "width": 64,
        "height": 48,
        "sha256": "0" * 64,
        "phash": -5,
        "locator": "a.jpg",
        "source_offset": 512,
    },
    "judged": {
        "benchmark": "planet",
        "method": "retrieval",
        "image_id": "a",
        "truth_lat_deg": 1.0,
        "truth_lon_deg": 2.0,
        "lat_deg": 1.5,
        "lon_deg": 2.5,
        "error_km": 78.0,
    },
    "leakage": {"set_name": "train", "other_set": "photos", "kind": "byte", "images": 0},
    "predictions": {
        "image_id": "a",
        "method": "retrieval",
        "lat_deg": 1.0,
        "lon_deg": 2.0,
        "chosen": "retrieval",
        "candidate_ids": ["r"],
        "candidate_lats_deg": [1.0],
        "candidate_lons_deg": [2.0],
        "candidate_scores": [0.5],
    },
    "quarantine": {"stage": "decode", "locator": "a.jpg", "reason": "not_an_image", "detail": "no image"},
    "routing_scores": {
        "benchmark": "planet",
        "method": "router",
        "threshold_km": 25.0,
        "eligible": 4,
        "correct": 3,
        "accuracy": 0.75,
    },
    "scores": {
        "benchmark": "planet",
        "method": "retrieval",
        "threshold_km": 25.0,
        "distance": "wgs84",
        "count": 4,
        "failures": 1,
        "accuracy": 0.5,
        "low": 0.25,
        "high": 0.75,
        "median_km": 30.0,
    },
    "segmentations": {"image_id": "a", "class_map_png": PNG, "width": 64, "height": 48},
    "training_curves": {"step": 0, "epoch": 0, "split": "train", "loss": 1.0, "learning_rate": 0.1, "metric": 0.5},
}

RULES = {
    ("catalogue", "not_null_island"): [{"lat_deg": 0.0, "lon_deg": 0.0}],
    ("catalogue", "shard_follows_set"): [
        {"shard": "photos"},
        {"shard": "reference-00"},
        {"shard": "a reference-000"},
        {"shard": "reference-000\n"},
        {"set_name": "a", "shard": "b"},
        {"set_name": "a", "shard": "aa-001"},
        {"set_name": "a", "shard": "a-01"},
        {"set_name": "a", "shard": "b-a-001"},
    ],
    ("census", "kept_have_a_set"): [{"set_name": None}],
    ("census", "authors_of_what_the_catalogue_kept"): [{"authors": None}, {"stage": "decode"}, {"reason": "blurred"}],
    ("coverage", "thresholds_in_order"): [{"tau_min": 1001}],
    ("coverage", "covered_within_total"): [{"covered": 5}],
    ("duplicates", "equal_bytes_have_no_distance"): [{"kind": "byte"}],
    ("features", "feature_not_longer_than_one"): [{"feature": [0.8, 0.7]}],
    ("geocells", "parent_unless_coarsest"): [{"partition": 0}, {"parent_cell": None}],
    ("georouting", "retrieval_error_follows_coordinate"): [
        {"retrieval_lat_deg": None},
        {"retrieval_lon_deg": None},
        {"retrieval_error_km": INF},
    ],
    ("georouting", "generation_error_follows_coordinate"): [
        {"generation_lat_deg": None},
        {"generation_lon_deg": None},
        {"generation_error_km": INF, "label": 0, "preference": 0.0},
    ],
    ("georouting", "label_is_the_nearer"): [{"label": 0, "preference": 0.25}, {"generation_error_km": 10.0}],
    ("georouting", "preference_follows_label"): [
        {"preference": 0.25},
        {"label": 0, "generation_error_km": 10.0, "preference": 0.75},
    ],
    ("georouting", "trainable_unless_both_failed"): [{"trainable": False}],
    ("georouting", "candidates_of_one_length"): [
        {"candidate_ids": []},
        {"candidate_lats_deg": []},
        {"candidate_lons_deg": [1.0, 2.0]},
    ],
    ("images", "not_null_island"): [{"lat_deg": 0.0, "lon_deg": -0.0}],
    ("images", "jpeg_is_jpeg"): [{"jpeg": PNG}, {"jpeg": b" " + JPEG}],
    ("images", "jpeg_has_no_exif"): [
        {"jpeg": JPEG + b"Exif\0\0"},
        {"jpeg": JPEG + b"http://ns.adobe.com/xap/1.0/"},
        {"jpeg": JPEG[:3] + bytes(2039) + b"Exif\0\0"},
    ],
    ("judged", "failure_instead_of_coordinate"): [
        {"failure": "why?"},
        {"lat_deg": None, "lon_deg": None, "error_km": INF},
    ],
    ("judged", "error_follows_coordinate"): [
        {"error_km": INF},
        {"lat_deg": None, "failure": "why?"},
        {"lon_deg": None, "failure": "why?"},
    ],
    ("predictions", "coordinate_is_whole"): [{"lon_deg": None}],
    ("predictions", "failure_instead_of_coordinate"): [{"failure": "why?"}, {"lat_deg": None, "lon_deg": None}],
    ("predictions", "candidates_of_one_length"): [
        {"candidate_ids": None},
        {"candidate_lats_deg": []},
        {"candidate_lons_deg": [1.0, 2.0]},
        {"candidate_scores": None},
    ],
    ("routing_scores", "correct_within_eligible"): [{"correct": 5}],
    ("routing_scores", "accuracy_is_the_quotient"): [
        {"accuracy": 0.75 + 2e-9},
        {"accuracy": None},
        {"eligible": 0, "correct": 0},
    ],
    ("scores", "failures_within_count"): [{"failures": 5}],
    ("scores", "interval_in_order"): [{"low": 0.8}],
    ("scores", "failures_are_wrong"): [{"accuracy": 0.76}],
    ("segmentations", "class_map_is_png"): [{"class_map_png": JPEG}],
    ("training_curves", "loss_is_finite"): [{"loss": INF}, {"loss": -INF}],
}
"""For each rule of a contract, by name: changes of the valid row that break it."""


def of_columns():
    """(contract, check, column, value that breaks it) for every limit of every column of every contract."""
    for name in ROWS:
        for column in load(name).columns:
            for check, value in _of_column(column):
                yield name, f"{column.name}_{check}", column.name, value


def _step(column):
    """A difference that values of this type can show."""
    return {"int32": 1, "int64": 1, "halffloat": 1e-2}.get(column.item_type, 1e-4)


def _of_column(column):
    limits = column.limits
    if column.required:
        yield "given", None
    if column.min_items is not None:
        yield "items", []
    values = []
    if column.item_type in ("double", "float", "halffloat"):
        values.append(("number", NAN))
    if limits.minimum is not None:
        values.append(("range", limits.minimum - _step(column)))
    if limits.maximum is not None:
        values.append(("range", limits.maximum + _step(column)))
    if limits.min_length is not None:
        values.append(("length", ("é" if column.item_type == "string" else b"\xff") * (limits.min_length - 1)))
    if limits.pattern is not None:
        values.append(("pattern", "?"))
    if limits.allowed:
        values.append(("allowed", 7 if "int" in column.item_type else "neither"))
    if column.is_list:
        yield "items_given", [None]
        values = [(check, [value]) for check, value in values]
    yield from values
