from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.geosurge.gallery import Gallery
from geo_pipeline.geosurge.inference import CellPredictor
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.retrieval import RetrievalPredictor
from geo_pipeline.geosurge.scores import combine, partition_scores
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline_tests.geosurge import tiny_geosurge


def test_cell_predictions_find_the_town(trained, featured, inference):
    predicted = load("predictions").conform(CellPredictor(trained.checkpoint, inference, "cpu")(featured))
    error_km = great_circle_km(
        *(table[name].to_numpy() for table in (predicted, featured) for name in ("lat_deg", "lon_deg"))
    )
    assert np.mean(error_km < 100) > 0.6
    assert predicted["method"].unique().to_pylist() == ["geosurge"]
    assert np.max(predicted["score"].to_numpy()) <= 0
    assert len(CellPredictor(trained.checkpoint, inference, "cpu")(featured.slice(0, 0))) == 0


def test_top_cells_are_a_distribution_over_the_finest(trained, featured, inference):
    predictor = CellPredictor(trained.checkpoint, replace(inference, top_k=1000), "cpu")
    scores_BK, cells_BK = predictor.top_cells(featured)
    assert scores_BK.shape == cells_BK.shape == (40, len(predictor.scorer.hierarchy.partitions[-1].cell_ids))
    np.testing.assert_allclose(np.exp(scores_BK).sum(axis=1), 1, rtol=1e-4)
    assert (np.diff(scores_BK, axis=1) <= 0).all()


@pytest.mark.parametrize(("kept", "numbers"), [("finest", [1, 2]), ("spread", [0, 2]), ("coarsest", [0, 1])])
def test_a_shallower_model_answers_with_the_cells_of_its_own_partitions(
    trained, featured, inference, tmp_path, kept, numbers
):
    whole = Hierarchy.from_table(pq.read_table(trained.geocells))
    model = GeoSurge(replace(tiny_geosurge.config(trained.clip), depth=2, depth_kept=kept), whole)
    model.save_pretrained(tmp_path)
    geography, finest = model.geography.requires_grad_(False), whole.partitions[numbers[-1]]
    features_BD = torch.tensor(featured["feature"].to_pylist())
    parts = partition_scores(geography.cosines(features_BD), [geography.scale(p) for p in range(2)], "log_softmax")

    def by_hand(lat_deg, lon_deg):
        """Scores of places by the whole hierarchy's cells of the kept partitions."""
        return combine(parts, torch.from_numpy(whole.assign(lat_deg, lon_deg)[:, numbers]).long(), "log_softmax")

    best_B = by_hand(finest.lat_deg, finest.lon_deg).argmax(dim=1).numpy()
    predicted = CellPredictor(tmp_path, inference, "cpu")(featured)
    assert predicted["lat_deg"].to_pylist() == finest.lat_deg[best_B].tolist()
    assert predicted["lon_deg"].to_pylist() == finest.lon_deg[best_B].tolist()
    retrieval = RetrievalPredictor(
        tmp_path, replace(inference, similarity_temperature=1e9), Gallery.of(featured), "cpu"
    )
    expected = by_hand(featured["lat_deg"].to_numpy(), featured["lon_deg"].to_numpy())
    torch.testing.assert_close(retrieval.scores(featured), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("score", ["cosine_product", "shifted"])
def test_other_scores_predict_too(trained, featured, inference, score):
    predicted = CellPredictor(trained.checkpoint, replace(inference, score=score), "cpu")(featured)
    assert np.isfinite(predicted["score"].to_numpy()).all()


def test_features_of_another_width_are_refused(trained, featured, inference):
    short = pa.array([[0.5, 0.5]] * 40, pa.list_(pa.float32()))
    with pytest.raises(CheckpointError, match="2 wide, the checkpoint 24"):
        CellPredictor(trained.checkpoint, inference, "cpu")(
            featured.set_column(featured.column_names.index("feature"), "feature", short)
        )


def combined(geography, features_BD, ancestors_FP, score):
    """The finest cells' scores by way of every partition's."""
    scales = [geography.scale(p) for p in range(ancestors_FP.shape[1])]
    scores_BF = combine(partition_scores(geography.cosines(features_BD), scales, score), ancestors_FP, score)
    return scores_BF.log_softmax(dim=1) if score == "log_softmax" else scores_BF


@pytest.mark.parametrize("score", ["log_softmax", "cosine_product", "shifted"])
def test_scores_of_the_finest_cells_are_those_of_all_partitions_combined(trained, featured, inference, score):
    geography = GeoSurge.from_pretrained(trained.checkpoint, device="cpu").requires_grad_(False).geography
    scorer = CellPredictor(trained.checkpoint, replace(inference, score=score), "cpu").scorer
    features_BD = scorer.features(featured)
    expected_BF = combined(geography, features_BD, scorer.ancestors_FP, score)
    np.testing.assert_allclose(scorer.finest(features_BD), expected_BF, rtol=1e-5, atol=1e-5)


def test_a_checkpoint_with_classifiers_is_scored_by_their_logits(tmp_path, clip_dir, featured, inference):
    model = GeoSurge(replace(tiny_geosurge.config(clip_dir), geography="classifier"), tiny_geosurge.hierarchy())
    for bias in model.requires_grad_(False).geography.biases:
        bias.normal_()
    model.save_pretrained(tmp_path / "checkpoint")
    scorer = CellPredictor(tmp_path / "checkpoint", inference, "cpu").scorer
    features_BD = scorer.features(featured)
    np.testing.assert_allclose(
        scorer.parts(features_BD)[1], model.geography.logits(features_BD)[1].log_softmax(1), rtol=1e-5, atol=1e-5
    )
    expected_BF = combined(model.geography, features_BD, scorer.ancestors_FP, "log_softmax")
    np.testing.assert_allclose(scorer.finest(features_BD), expected_BF, rtol=1e-5, atol=1e-5)
