from geo_pipeline.segmentation.config import SegmentationConfig


def test_the_papers_network_is_the_default_and_its_revision_is_pinned():
    config = SegmentationConfig()
    assert (config.model, config.classes) == ("shi-labs/oneformer_ade20k_swin_large", 150)
    assert config.revision
    assert config.class_info.endswith("ade20k_panoptic.json")
    assert SegmentationConfig.sample().model == "sample:oneformer"
