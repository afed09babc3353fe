from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.checkpoint import CheckpointError
from geo_pipeline.geosurge.inference import CellPredictor


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
