import shutil
import threading

import numpy as np
import pyarrow as pa
import pytest
import torch

from geo_pipeline.geosurge.inference import feature_matrix
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.pairs import PairError, decode_pair, stack_pairs
from geo_pipeline.geosurge.worker import Cutter, FeatureWorker, crops, on_device
from geo_pipeline.segmentation.class_maps import encode_class_map


def test_a_feature_is_the_mean_of_ten_unit_crops(trained, rows, featured, inference):
    model = GeoSurge.from_pretrained(trained.checkpoint, device="cpu")
    pair = decode_pair(rows["jpeg"][3].as_py(), rows["class_map_png"][3].as_py(), 32)
    cut = crops(pair, 28, inference)
    expected = model.encode_image(*stack_pairs(cut)).mean(dim=0).detach().numpy()
    found = feature_matrix(featured)[3]
    assert len(cut) == 10
    np.testing.assert_array_equal(found, expected.astype(np.float16))
    assert np.linalg.norm(found) < 1


def test_features_of_the_same_batch_have_the_same_bytes(trained, rows):
    worker = FeatureWorker(trained.checkpoint, device="cpu")
    assert worker(rows).equals(worker(rows))
    assert len(worker(rows.slice(0, 0))) == 0


def test_an_image_without_a_map_stops_the_worker_by_name(trained, rows):
    column = pa.array([None, *rows["class_map_png"].to_pylist()[1:]], pa.binary())
    with pytest.raises(PairError, match="1 of 40 images have no class map: image-00"):
        FeatureWorker(trained.checkpoint, device="cpu")(
            rows.drop_columns("class_map_png").append_column("class_map_png", column)
        )


def test_a_model_trained_in_half_precision_is_read_in_it(trained, rows, featured, tmp_path):
    shutil.copytree(trained.checkpoint, tmp_path / "half")
    card = (tmp_path / "half" / "card.json").read_text()
    assert '"precision": "fp32"' in card
    (tmp_path / "half" / "card.json").write_text(card.replace('"precision": "fp32"', '"precision": "bf16"'))
    found = feature_matrix(FeatureWorker(tmp_path / "half", device="cpu")(rows.slice(0, 8)))
    exact = feature_matrix(featured)[:8]
    difference = np.abs(found - exact).max()
    assert 1e-5 < difference < 0.02, "float32 steps are far below 1e-5, those of bfloat16 above"


def test_later_groups_are_cut_while_the_first_is_computed_on():
    """The network asks for group 0 and holds it; all others come without being asked for."""
    cut = threading.Semaphore(0)

    def crops_of(row):
        cut.release()
        return [(np.full((4, 4, 3), row, np.uint8), np.full((4, 4), row, np.uint8))] * 2

    groups = Cutter(threads=2).cut(7, 2, crops_of)
    pixels, maps = next(on_device(groups, torch.device("cpu")))
    assert all(cut.acquire(timeout=30) for _ in range(7))
    assert pixels.shape == (4, 3, 4, 4)
    assert maps[:, 0, 0].tolist() == [0, 0, 1, 1]
    assert [group.result()[1][:, 0, 0].tolist() for group in groups[1:]] == [[2, 2, 3, 3], [4, 4, 5, 5], [6, 6]]


def test_the_number_of_threads_changes_no_byte(trained, rows):
    worker = FeatureWorker(trained.checkpoint, device="cpu")
    found = []
    for threads in (1, 5):
        worker.cutter = Cutter(threads)
        found.append(worker(rows))
    assert found[0].equals(found[1])


def test_a_photograph_that_cannot_be_cut_stops_the_worker(trained, rows):
    column = pa.array(
        [*rows["class_map_png"].to_pylist()[:-1], encode_class_map(np.zeros((3, 3), np.uint8))], pa.binary()
    )
    broken = rows.drop_columns("class_map_png").append_column("class_map_png", column)
    with pytest.raises(PairError, match="expected the same size and 8 bits"):
        FeatureWorker(trained.checkpoint, device="cpu")(broken)
