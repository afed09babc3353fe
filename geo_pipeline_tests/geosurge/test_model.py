import pytest
import torch

from geo_pipeline.geosurge.config import ConfigError
from geo_pipeline.geosurge.model import GeoSurge, coarsest
from geo_pipeline_tests.geosurge import tiny_geosurge


def batch():
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (4, 3, 28, 28), generator=generator, dtype=torch.uint8)
    return pixels, torch.randint(0, 150, (4, 28, 28), generator=generator, dtype=torch.uint8)


def test_features_are_unit_and_logits_cover_every_cell(clip_dir):
    model = GeoSurge(tiny_geosurge.config(clip_dir), tiny_geosurge.hierarchy())
    features_BD = model.encode_image(*batch())
    torch.testing.assert_close(features_BD.norm(dim=1), torch.ones(4))
    cells = [len(partition.cell_ids) for partition in model.hierarchy.partitions]
    assert [tuple(logits.shape) for logits in model.cell_logits(features_BD)] == [(4, count) for count in cells]
    assert model.cell_logits(features_BD)[0].abs().max() <= 1 / 0.07 + 1e-4


def test_the_class_map_matters_unless_there_are_no_fusion_blocks(clip_dir):
    pixels, class_map = batch()
    for blocks, matters in ((2, True), (0, False)):
        model = GeoSurge(tiny_geosurge.config(clip_dir, blocks=blocks), tiny_geosurge.hierarchy()).eval()
        same = torch.equal(model.encode_image(pixels, class_map), model.encode_image(pixels, (class_map + 1) % 150))
        assert same != matters


def test_a_saved_model_is_the_same_model_without_its_clip_folder(trained, tmp_path):
    model = GeoSurge.from_pretrained(trained.checkpoint, device="cpu")
    model.save_pretrained(tmp_path / "again", {"metrics": {"note": 1}})
    again = GeoSurge.from_pretrained(tmp_path / "again", device="cpu")
    assert torch.equal(model.encode_image(*batch()), again.encode_image(*batch()))
    assert again.config == model.config


def test_depth_keeps_the_coarsest_partitions():
    hierarchy = tiny_geosurge.hierarchy()
    kept = coarsest(hierarchy, 2)
    assert [list(p.cell_ids) for p in kept.partitions] == [list(p.cell_ids) for p in hierarchy.partitions[:2]]
    with pytest.raises(ConfigError, match="3 partitions"):
        coarsest(hierarchy, 9)
