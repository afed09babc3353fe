import numpy as np
import pytest
import torch
from transformers import OneFormerForUniversalSegmentation, OneFormerProcessor

from geo_pipeline.pretraining import oneformer
from geo_pipeline.pretraining.album import draw_album
from geo_pipeline.sample_world.ade20k import CLASS_IDS
from geo_pipeline.sample_world.weights import weights_dir

SKY, TOWER = oneformer.DRAWN_CLASSES.index("sky"), oneformer.DRAWN_CLASSES.index("tower")


@pytest.fixture(scope="module")
def album():
    return draw_album(1, 60, first_seed=3_000_000)


def test_every_drawn_class_has_a_query(album):
    drawn = {CLASS_IDS[name] for name in oneformer.DRAWN_CLASSES}
    assert set(np.unique(album.class_maps).tolist()) <= drawn


def test_masks_tell_the_class_map(album):
    masks_BLHW = oneformer.target_masks(album.class_maps[:4])
    assert torch.equal(masks_BLHW.sum(1), torch.ones(4, 64, 64))
    assert torch.equal(masks_BLHW[:, SKY] > 0, torch.from_numpy(album.class_maps[:4] == CLASS_IDS["sky"]))


def _answer(masks_BLHW, sureness=12.0):
    present_BL = masks_BLHW.flatten(2).amax(-1) > 0
    class_logits_BQK = torch.zeros(len(masks_BLHW), len(oneformer.DRAWN_CLASSES) + 1, 151)
    class_logits_BQK[:, :, -1] = sureness
    for query, name in enumerate(oneformer.DRAWN_CLASSES):
        class_logits_BQK[:, query, CLASS_IDS[name]] = 2 * sureness * present_BL[:, query]
    rest_B1HW = torch.zeros_like(masks_BLHW[:, :1])
    return class_logits_BQK, sureness * (2 * torch.cat([masks_BLHW, rest_B1HW], 1) - 1)


def test_loss_vanishes_for_the_truth_and_grows_with_each_kind_of_error(album):
    masks_BLHW = oneformer.target_masks(album.class_maps[:4])
    classes, shapes = _answer(masks_BLHW)
    truth = oneformer.segmentation_loss(classes, shapes, masks_BLHW)
    assert truth < 0.01
    assert oneformer.segmentation_loss(classes.roll(1, dims=2), shapes, masks_BLHW) > truth + 5
    wrong_shapes = shapes.clone()
    wrong_shapes[:, SKY] *= -1
    assert oneformer.segmentation_loss(classes, wrong_shapes, masks_BLHW) > truth + 1
    phantom = shapes.clone()
    absent = int((masks_BLHW[0].flatten(1).amax(-1) == 0).nonzero()[0])
    phantom[0, absent] = 12.0
    assert oneformer.segmentation_loss(classes, phantom, masks_BLHW) > truth + 1


def test_own_inputs_are_those_of_the_processor(album):
    inputs = oneformer.sample_processor()(list(album.images[:2]), ["semantic"] * 2, return_tensors="pt")
    torch.testing.assert_close(inputs["pixel_values"], oneformer.pixel_values(album.images[:2]))
    assert torch.equal(inputs["task_inputs"], oneformer.task_inputs(2))


def test_a_short_training_leaves_a_folder_that_transformers_loads(tmp_path, album):
    training = oneformer.OneFormerTraining(planets=1, photographs=8, batch=2, exam_photographs=8)
    reports = []
    result = oneformer.pretrain(tmp_path / "oneformer", 0.02, 0, torch.get_num_threads(), reports.append, training)
    assert reports[0]["photographs"] == 8
    assert 0 <= result["mean_iou"] <= 1
    model = OneFormerForUniversalSegmentation.from_pretrained(tmp_path / "oneformer")
    processor = OneFormerProcessor.from_pretrained(
        tmp_path / "oneformer", repo_path=str(tmp_path / "oneformer"), class_info_file=oneformer.CLASS_INFO_FILE
    )
    assert model.dtype == torch.float16
    assert processor.image_processor.metadata["84"] == "tower"
    outputs = model.float()(**processor(list(album.images[:1]), ["semantic"], return_tensors="pt"))
    assert outputs.masks_queries_logits.shape == (1, 16, 32, 32)


def test_shipped_weights_segment_an_unseen_planet(album):
    folder = weights_dir("oneformer")
    model = OneFormerForUniversalSegmentation.from_pretrained(folder, dtype=torch.float32)
    assert oneformer.examine(model, album)["mean_iou"] > 0.5
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
