from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.inference import feature_matrix
from geo_pipeline.geosurge.retrieval import NO_REFERENCE, EmptyGalleryError, RetrievalPredictor


def test_retrieval_gives_candidates_best_first(trained, featured, gallery, inference):
    queries = featured.slice(34)
    predicted = load("predictions").conform(RetrievalPredictor(trained.checkpoint, inference, gallery, "cpu")(queries))
    for row in predicted.to_pylist():
        assert len(row["candidate_ids"]) == 5 == len(set(row["candidate_ids"]))
        assert row["candidate_scores"] == sorted(row["candidate_scores"], reverse=True)
        assert (row["lat_deg"], row["score"]) == (row["candidate_lats_deg"][0], row["candidate_scores"][0])
    error_km = great_circle_km(
        *(table[name].to_numpy() for table in (predicted, queries) for name in ("lat_deg", "lon_deg"))
    )
    assert np.mean(error_km < 100) > 0.6


def brute_force(predictor, queries, gallery, query):
    """Eligible references by score, one by one."""
    scores_N = predictor.scores(queries)[query].double().numpy()
    asked, kept = queries.slice(query, 1).to_pylist()[0], []
    for row in np.argsort(-scores_N, kind="stable"):
        reference = gallery.slice(int(row), 1).to_pylist()[0]
        near = great_circle_km(asked["lat_deg"], asked["lon_deg"], reference["lat_deg"], reference["lon_deg"]) <= 1
        bits = ((asked["phash"] ^ reference["phash"]) & (2**64 - 1)).bit_count()
        same_author = asked["author"] is not None and asked["author"] == reference["author"]
        if (
            reference["image_id"] == asked["image_id"]
            or reference["sha256"] == asked["sha256"]
            or bits <= 6
            or (same_author and near)
        ):
            continue
        kept.append(reference["image_id"])
    return kept


def test_exclusions_one_by_one(trained, gallery, inference):
    table = gallery.to_pylist()
    table[1]["sha256"] = table[0]["sha256"]
    table[2]["phash"] = table[0]["phash"] ^ 0b111111
    table[3]["phash"] = table[0]["phash"] ^ 0b1111111
    for row, author in ((4, "author-0"), (8, "author-0"), (0, "author-0"), (5, None)):
        table[row]["author"] = author
    table[4]["lat_deg"], table[4]["lon_deg"] = table[0]["lat_deg"] + 0.005, table[0]["lon_deg"]
    table[8]["lat_deg"], table[8]["lon_deg"] = table[0]["lat_deg"] + 0.02, table[0]["lon_deg"]
    changed = pa.Table.from_pylist(table, gallery.schema)
    predictor = RetrievalPredictor(trained.checkpoint, replace(inference, candidates=100), changed, "cpu")
    answered = predictor(changed).to_pylist()
    found = answered[0]["candidate_ids"]
    ids = [row["image_id"] for row in table]
    assert set(ids) - set(found) == {ids[0], ids[1], ids[2], ids[4]}
    for query in (0, 5, 9):
        assert answered[query]["candidate_ids"] == brute_force(predictor, changed, changed, query)


def test_a_short_list_that_is_all_excluded_is_extended(trained, gallery, inference):
    table = gallery.to_pylist()
    for row in table[:-1]:
        row["sha256"] = "same"
    changed = pa.Table.from_pylist(table, gallery.schema)
    predicted = RetrievalPredictor(trained.checkpoint, replace(inference, candidates=1), changed, "cpu")(
        changed.slice(0, 3)
    )
    assert predicted["candidate_ids"].to_pylist() == [[table[-1]["image_id"]]] * 3


def test_no_eligible_reference_is_a_counted_failure(trained, gallery, inference):
    alone = gallery.slice(0, 1)
    row = (
        load("predictions")
        .conform(RetrievalPredictor(trained.checkpoint, inference, alone, "cpu")(alone))
        .to_pylist()[0]
    )
    assert (row["lat_deg"], row["score"], row["failure"], row["candidate_ids"]) == (None, None, NO_REFERENCE, [])


def test_weights_of_the_two_parts_matter(trained, featured, gallery, inference):
    queries = featured.slice(34)
    only_image = RetrievalPredictor(trained.checkpoint, replace(inference, cell_weight=0.0), gallery, "cpu")
    vectors = feature_matrix(gallery)
    similarity = feature_matrix(queries) @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    chosen = [ids[0] for ids in only_image(queries)["candidate_ids"].to_pylist()]
    row_of = {image_id: row for row, image_id in enumerate(gallery["image_id"].to_pylist())}
    found = similarity[np.arange(len(queries)), [row_of[image_id] for image_id in chosen]]
    np.testing.assert_allclose(found, similarity.max(axis=1), rtol=1e-6)
    only_cells = RetrievalPredictor(trained.checkpoint, replace(inference, similarity_temperature=1e9), gallery, "cpu")
    assert only_cells(queries)["candidate_ids"] != only_image(queries)["candidate_ids"]


def test_an_empty_gallery_is_one_clear_error(trained, gallery, inference):
    with pytest.raises(EmptyGalleryError, match="no reference image"):
        RetrievalPredictor(trained.checkpoint, inference, gallery.slice(0, 0), "cpu")
