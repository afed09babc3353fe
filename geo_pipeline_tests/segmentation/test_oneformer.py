import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline.segmentation.oneformer import SegmentationModelError, Segmenter
from geo_pipeline_tests.segmentation.tiny_oneformer import CLASS_INFO, write_oneformer


@pytest.fixture(scope="module")
def segmenter(config):
    return Segmenter(config, device="cpu")


def pictures(*sizes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3)).astype(np.uint8) for height, width in sizes]


def test_a_map_has_the_size_of_its_image_in_the_order_given(segmenter):
    sizes = [(32, 32), (32, 48), (32, 32), (40, 32), (32, 32)]
    maps = segmenter.segment(pictures(*sizes))
    assert [class_map.shape for class_map in maps] == sizes
    assert all(class_map.dtype == np.uint8 and class_map.max() < 150 for class_map in maps)


def test_weights_run_in_single_precision_and_the_text_branch_is_off(segmenter):
    assert {parameter.dtype for parameter in segmenter.model.parameters()} == {torch.float32}
    assert not segmenter.model.model.is_training
    assert not segmenter.model.training


def test_an_image_is_not_padded_by_its_neighbours(segmenter):
    small, wide = pictures((32, 32), (32, 64))
    alone, together = segmenter.segment([small])[0], segmenter.segment([small, wide])[0]
    assert np.array_equal(alone, together)


def test_the_same_batch_gives_the_same_maps(segmenter):
    images = pictures((32, 32), (32, 32), (32, 32))
    for first, second in zip(segmenter.segment(images), segmenter.segment(images), strict=True):
        assert np.array_equal(first, second)


def test_the_processor_never_runs_on_the_networks_thread(segmenter, monkeypatch):
    processor, ran_on = segmenter.processor, []

    def watched(**inputs):
        ran_on.append(threading.get_ident())
        return processor(**inputs)

    watched.post_process_semantic_segmentation = processor.post_process_semantic_segmentation
    monkeypatch.setattr(segmenter, "processor", watched)
    segmenter.segment(pictures((32, 32), (32, 48), (40, 32)))
    assert len(ran_on) == 3
    assert threading.get_ident() not in ran_on


def test_the_map_is_the_most_likely_class_of_the_stock_network(segmenter):
    image = pictures((32, 32))[0]
    inputs = segmenter.processor(images=[image], task_inputs=["semantic"], return_tensors="pt")
    with torch.inference_mode():
        outputs = segmenter.model(**inputs)
    classes_QC = outputs.class_queries_logits[0].softmax(-1)[:, :-1]
    masks_QHW = outputs.masks_queries_logits[0].sigmoid()
    scores_CHW = torch.einsum("qc,qhw->chw", classes_QC, masks_QHW)
    scores_CHW = torch.nn.functional.interpolate(scores_CHW[None], (32, 32), mode="bilinear", align_corners=False)[0]
    agreement = (scores_CHW.argmax(0).numpy() == segmenter.segment([image])[0]).mean()
    assert agreement > 0.999


def test_what_is_missing_is_named(tmp_path, config):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SegmentationModelError, match=r"config.json, model.safetensors, processor_config.json, ade"):
        Segmenter(SegmentationConfig(model=str(tmp_path / "empty"), class_info=CLASS_INFO), device="cpu")
    with pytest.raises(SegmentationModelError, match=r"classes.json not found"):
        Segmenter(SegmentationConfig(model=config.model, class_info="classes.json"), device="cpu")


def test_a_network_of_other_classes_is_refused(tmp_path):
    folder = write_oneformer(tmp_path / "weights", classes=19)
    with pytest.raises(SegmentationModelError, match="19 classes apart; expected the 150"):
        Segmenter(SegmentationConfig(model=str(folder), revision=None, class_info=CLASS_INFO), device="cpu")


def test_a_grey_picture_is_refused(segmenter):
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\)"):
        segmenter.segment([np.zeros((32, 32), np.uint8)])


def test_half_precision_is_the_networks_alone_and_hardly_moves_the_map(config):
    images, seen = pictures((32, 32), (32, 48)), []
    single, half = (Segmenter(replace(config, precision=precision), device="cpu") for precision in ("fp32", "bf16"))
    half.model.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    inner = half.processor.post_process_semantic_segmentation
    dtypes = []

    def watched(outputs, **options):
        dtypes.extend([outputs.class_queries_logits.dtype, outputs.masks_queries_logits.dtype])
        assert not torch.is_autocast_enabled("cpu")
        return inner(outputs, **options)

    half.processor.post_process_semantic_segmentation = watched
    alike = [(a == b).mean() for a, b in zip(single.segment(images), half.segment(images), strict=True)]
    assert seen == [True, True]
    assert set(dtypes) == {torch.float32}
    assert min(alike) > 0.9


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match=r"found segmentation.precision = 'fp8', expected 'fp32' or 'bf16'"):
        SegmentationConfig(precision="fp8")
