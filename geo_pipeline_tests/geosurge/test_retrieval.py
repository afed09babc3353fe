from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.gallery import Gallery
from geo_pipeline.geosurge.inference import feature_matrix
from geo_pipeline.geosurge.retrieval import BLOCK, NO_REFERENCE, EmptyGalleryError, RetrievalPredictor
from geo_pipeline.geosurge.scores import combine


def test_retrieval_gives_candidates_best_first(trained, featured, gallery, inference):
    queries = featured.slice(34)
    predicted = load("predictions").conform(
        RetrievalPredictor(trained.checkpoint, inference, Gallery.of(gallery), "cpu")(queries)
    )
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
    predictor = RetrievalPredictor(trained.checkpoint, replace(inference, candidates=100), Gallery.of(changed), "cpu")
    answered = predictor(changed).to_pylist()
    found = answered[0]["candidate_ids"]
    ids = [row["image_id"] for row in table]
    assert set(ids) - set(found) == {ids[0], ids[1], ids[2], ids[4]}
    for query in (0, 5, 9):
        assert answered[query]["candidate_ids"] == brute_force(predictor, changed, changed, query)


def test_a_reference_of_bob_does_not_answer_for_bob_nearby(trained, gallery, inference):
    """One author, whatever the letter case and spaces; unknown ones are no author."""
    table = gallery.to_pylist()
    for row, author in ((0, "Bob"), (4, "bob "), (8, "Unknown"), (12, "unknown")):
        table[row]["author"] = author
        table[row]["lat_deg"], table[row]["lon_deg"] = table[0]["lat_deg"], table[0]["lon_deg"]
    changed = pa.Table.from_pylist(table, gallery.schema)
    predictor = RetrievalPredictor(trained.checkpoint, replace(inference, candidates=100), Gallery.of(changed), "cpu")
    answered = predictor(changed)["candidate_ids"].to_pylist()
    ids = [row["image_id"] for row in table]
    assert set(ids) - set(answered[0]) == {ids[0], ids[4]}
    assert set(ids) - set(answered[8]) == {ids[8]}


def test_a_short_list_that_is_all_excluded_is_extended(trained, gallery, inference):
    table = gallery.to_pylist()
    for row in table[:-1]:
        row["sha256"] = "same"
    changed = pa.Table.from_pylist(table, gallery.schema)
    predicted = RetrievalPredictor(trained.checkpoint, replace(inference, candidates=1), Gallery.of(changed), "cpu")(
        changed.slice(0, 3)
    )
    assert predicted["candidate_ids"].to_pylist() == [[table[-1]["image_id"]]] * 3


def test_no_eligible_reference_is_a_counted_failure(trained, gallery, inference):
    alone = gallery.slice(0, 1)
    row = (
        load("predictions")
        .conform(RetrievalPredictor(trained.checkpoint, inference, Gallery.of(alone), "cpu")(alone))
        .to_pylist()[0]
    )
    assert (row["lat_deg"], row["score"], row["failure"], row["candidate_ids"]) == (None, None, NO_REFERENCE, [])


def test_weights_of_the_two_parts_matter(trained, featured, gallery, inference):
    queries = featured.slice(34)
    searched = Gallery.of(gallery)
    only_image = RetrievalPredictor(trained.checkpoint, replace(inference, cell_weight=0.0), searched, "cpu")
    vectors = feature_matrix(gallery)
    similarity = feature_matrix(queries) @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    chosen = [ids[0] for ids in only_image(queries)["candidate_ids"].to_pylist()]
    row_of = {image_id: row for row, image_id in enumerate(gallery["image_id"].to_pylist())}
    found = similarity[np.arange(len(queries)), [row_of[image_id] for image_id in chosen]]
    np.testing.assert_allclose(found, similarity.max(axis=1), rtol=1e-6)
    only_cells = RetrievalPredictor(trained.checkpoint, replace(inference, similarity_temperature=1e9), searched, "cpu")
    assert only_cells(queries)["candidate_ids"] != only_image(queries)["candidate_ids"]


def test_an_empty_gallery_is_one_clear_error(trained, gallery, inference):
    with pytest.raises(EmptyGalleryError, match="no reference image"):
        RetrievalPredictor(trained.checkpoint, inference, Gallery.of(gallery.slice(0, 0)), "cpu")


def repeated(gallery, count, **columns):
    """`count` references that repeat the gallery, each with an id, bytes and look of its own."""
    rng = np.random.default_rng(5)
    table = gallery.take(np.arange(count) % len(gallery))
    fresh = {
        "image_id": pa.array([f"reference-{row}" for row in range(count)]),
        "sha256": pa.array([f"{row:x}" for row in range(count)]),
        "phash": pa.array(rng.integers(-(2**62), 2**62, count)),
        **columns,
    }
    for name, column in fresh.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


@pytest.fixture
def two_blocks_and_a_bit(gallery):
    """More references than two blocks, many of them where no partition has a cell."""
    rng = np.random.default_rng(6)
    count = 2 * BLOCK + 7
    vectors = pa.array(rng.normal(size=(count, 24)).astype(np.float32).ravel())
    features = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * 24), vectors)
    lat_deg = gallery["lat_deg"].to_numpy()[np.arange(count) % len(gallery)]
    lat_deg = np.where(rng.random(count) < 0.3, rng.uniform(-80, -60, count), lat_deg)
    return repeated(gallery, count, feature=features, lat_deg=pa.array(lat_deg))


def test_a_gallery_scored_by_blocks_gives_the_scores_of_the_whole(trained, featured, inference, two_blocks_and_a_bit):
    queries, large = featured.slice(30, 3), two_blocks_and_a_bit
    predictor = RetrievalPredictor(trained.checkpoint, inference, Gallery.of(large), "cpu")
    rows_NP = predictor.scorer.hierarchy.assign(large["lat_deg"].to_numpy(), large["lon_deg"].to_numpy())
    assert (rows_NP < 0).any()
    assert (rows_NP >= 0).all(axis=1).any()
    parts = predictor.scorer.parts(predictor.scorer.features(queries))
    cells_BN = combine(parts, torch.from_numpy(rows_NP).long(), inference.score)
    unit_BD, unit_ND = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for vectors in (feature_matrix(queries), feature_matrix(large).astype(np.float16).astype(np.float32))
    )
    expected_BN = cells_BN.numpy() + unit_BD @ unit_ND.T / 0.07
    scores_BN = predictor.scores(queries).numpy()
    np.testing.assert_allclose(scores_BN, expected_BN, rtol=1e-5, atol=1e-5)
    best = np.argsort(-scores_BN, axis=1, kind="stable")[:, :5]
    ids = np.asarray(large["image_id"].to_pylist())
    assert predictor(queries)["candidate_ids"].to_pylist() == ids[best].tolist()


def test_of_equal_references_the_earliest_wins_however_many_there_are(trained, featured, inference, gallery):
    """More of them than the shortlist holds, at the end of one block and the start of the next."""
    count = BLOCK + 100
    vectors = np.zeros((count, 24), np.float32)
    vectors[:, 0], vectors[BLOCK - 50 :, 0], vectors[BLOCK - 50 :, 1] = 1, 0, 1  # exact in every order of summing
    features = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * 24), pa.array(vectors.ravel()))
    same = (
        pa.array(np.full(count, gallery["lat_deg"][0].as_py())),
        pa.array(np.full(count, gallery["lon_deg"][0].as_py())),
    )
    authors = pa.array([f"somebody-{row}" for row in range(count)])
    large = repeated(gallery, count, feature=features, lat_deg=same[0], lon_deg=same[1], author=authors)
    asked = np.zeros((1, 24), np.float32)
    asked[0, 1] = 1
    query = featured.slice(0, 1).set_column(
        featured.column_names.index("feature"), "feature", pa.array(asked.tolist(), pa.list_(pa.float32()))
    )
    predictor = RetrievalPredictor(trained.checkpoint, inference, Gallery.of(large), "cpu")
    (found,) = predictor(query)["candidate_ids"].to_pylist()
    assert found == [f"reference-{row}" for row in range(BLOCK - 50, BLOCK - 45)]


def test_a_longer_list_for_one_query_leaves_the_others_alone(trained, featured, gallery, inference):
    """All but the last references are bytes of the first query: only that one has to look further."""
    table = gallery.to_pylist()
    for row in table[:-3]:
        row["sha256"] = featured["sha256"][35].as_py()
    changed = pa.Table.from_pylist(table, gallery.schema)
    predictor = RetrievalPredictor(trained.checkpoint, replace(inference, candidates=2), Gallery.of(changed), "cpu")
    queries = featured.slice(34, 4)
    answered = predictor(queries)["candidate_ids"].to_pylist()
    for query in range(4):
        assert answered[query] == brute_force(predictor, queries, changed, query)[:2]
    assert set(answered[1]) <= set(changed["image_id"].to_pylist()[-3:])
