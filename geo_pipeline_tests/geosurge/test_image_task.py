import numpy as np
import pytest
import torch

from geo_pipeline.geosurge.config import TrainingConfig, VisionConfig
from geo_pipeline.geosurge.image_task import ImageTask
from geo_pipeline.geosurge.pairs import TrainingPairs
from geo_pipeline.training.outcome import NothingToTrainError
from geo_pipeline.training.workers import Workers
from geo_pipeline_tests.geosurge.tiny_geosurge import write_tables

VISION = VisionConfig(model="sample:clip", pretrained=None, input_px=28, resize_px=32)
TRAINING = TrainingConfig(batch=16, lanes=8)


class Reader(ImageTask):
    """Reads as every training on images does, and learns nothing."""

    loss = judge = finish = save = None


def readers(pairs, world):
    return [
        Reader(pairs, TRAINING, pairs.train_rows, torch.device("cpu"), Workers(rank, world)) for rank in range(world)
    ]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    images, segmentations, _ = write_tables(tmp_path_factory.mktemp("read"), count=60, holdout=19)
    return TrainingPairs([images], [segmentations], VISION, TRAINING)


@pytest.mark.parametrize("world", [2, 4, 8])
def test_every_number_of_workers_sees_the_same_batches_and_the_same_held_out_images(pairs, world):
    (alone,), shared = readers(pairs, 1), readers(pairs, world)
    for epoch in (0, 1):
        expected = [batch.ravel().tolist() for batch in alone.batches(epoch)]
        assert [batch.ravel().tolist() for batch in shared[0].batches(epoch)] == expected
        assert [len(rows) for rows in expected] == [16, 16, 8]
    assert {task.held_out for task in (alone, *shared)} == {16}
    for whole, *shares in zip(*(task.held_out_parts() for task in (alone, *shared)), strict=True):
        assert np.concatenate([share.rows_M for share in shares]).tolist() == whole.rows_M.tolist()


def test_workers_that_do_not_divide_the_lanes_are_refused(pairs):
    with pytest.raises(NothingToTrainError, match=r"found 3 workers for training\.lanes 8"):
        readers(pairs, 3)
