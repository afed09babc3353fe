import numpy as np
import pyarrow as pa
import pytest
import torch

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.contracts.contract import load
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.pairs import PairError, decode_pair, stack_pairs
from geo_pipeline.geosurge.worker import crops


def test_rows_meet_the_contract_and_carry_the_method(checkpoint_of, rows):
    predictor = BaselinePredictor(checkpoint_of("isns"), "isns_special", InferenceConfig(batch=7), "cpu")
    found = load("predictions").conform(predictor(rows))
    assert found["image_id"].to_pylist() == rows["image_id"].to_pylist()
    assert set(found["method"].to_pylist()) == {"isns_special"}
    assert found["failure"].null_count == len(found)
    assert len(predictor(rows.slice(0, 0))) == 0


def test_ten_crops_are_averaged_before_a_place_is_chosen(checkpoint_of, rows):
    inference = InferenceConfig(crops="ten")
    found = BaselinePredictor(checkpoint_of("isns"), inference=inference, device="cpu")(rows.slice(0, 3))
    model = checkpoint.load(checkpoint_of("isns"), device="cpu")
    for row in range(3):
        pair = decode_pair(rows["jpeg"][row].as_py(), rows["class_map_png"][row].as_py(), 32)
        with torch.no_grad():
            mean = model.describe(*stack_pairs(crops(pair, 28, inference))).mean(dim=0, keepdim=True)
            expected = model.locate(mean)
        assert found["lat_deg"][row].as_py() == expected.lat_deg_B.item()
        assert found["score"][row].as_py() == pytest.approx(expected.score_B.item(), abs=1e-5)


def test_the_size_of_a_batch_changes_nothing(checkpoint_of, rows):
    one, many = (
        BaselinePredictor(
            checkpoint_of("cplanet"), inference=InferenceConfig(crops="centre", batch=size), device="cpu"
        )(rows)
        for size in (1, 64)
    )
    assert one["lat_deg"].equals(many["lat_deg"])
    np.testing.assert_allclose(one["score"].to_numpy(), many["score"].to_numpy(), atol=1e-5)


def test_a_missing_class_map_is_named_where_one_is_needed(checkpoint_of, rows):
    column = pa.array([None, *rows["class_map_png"].to_pylist()[1:]], pa.binary())
    holed = rows.drop_columns("class_map_png").append_column("class_map_png", column)
    predictor = BaselinePredictor(checkpoint_of("isns"), device="cpu")
    with pytest.raises(PairError, match="1 of 40 images have no class map: image-00"):
        predictor(holed)
    with pytest.raises(PairError, match="reads class_map_png as well: join the segmentations"):
        predictor(rows.drop_columns("class_map_png"))


@pytest.mark.parametrize(("name", "idea"), [("planet_net", True), ("isns", False)])
def test_a_baseline_without_class_maps_answers_from_photographs_alone(checkpoint_of, predictions_of, rows, name, idea):
    predictor = BaselinePredictor(checkpoint_of(name, idea), inference=InferenceConfig(crops="centre"), device="cpu")
    assert predictor(rows.select(["image_id", "jpeg"])).equals(predictions_of(name, idea))
