from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.geosurge.config import ConfigError
from geo_pipeline.geosurge.model import GeoSurge, shallower
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


def test_a_compiled_network_is_the_same_network(clip_dir, monkeypatch):
    config = tiny_geosurge.config(clip_dir)
    torch.manual_seed(0)
    plain = GeoSurge(config, tiny_geosurge.hierarchy())
    compiled = GeoSurge(replace(config, compile=True), tiny_geosurge.hierarchy())
    compiled.load_state_dict(plain.state_dict())
    graphs, count = [], partial(torch.compile, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    monkeypatch.setattr(torch, "compile", count)
    assert torch.equal(plain.encoder(*batch()), plain.encode_image(*batch()))
    assert not graphs
    torch.testing.assert_close(compiled.encoder(*batch()), plain.encode_image(*batch()))
    assert len(graphs) == 1, "the whole network is one graph"


@pytest.mark.parametrize(
    ("kept", "by_depth"),
    [
        ("finest", {5: [2, 3, 4, 5, 6], 3: [4, 5, 6], 1: [6]}),
        ("spread", {5: [0, 2, 3, 4, 6], 3: [0, 3, 6], 1: [6]}),
        ("coarsest", {5: [0, 1, 2, 3, 4], 3: [0, 1, 2], 1: [0]}),
    ],
)
def test_depth_keeps_the_partitions_that_it_is_told_to(kept, by_depth):
    draw = np.random.default_rng(0)
    places = draw.uniform(-80, 80, 900), draw.uniform(-180, 180, 900)
    hierarchy = build_hierarchy(*places, PartitionConfig(tau_min=2, tau_max=(400, 200, 100, 50, 25, 12, 6)))
    ids = [partition.cell_ids.tolist() for partition in hierarchy.partitions]
    assert len({len(cells) for cells in ids}) == 7
    for depth, numbers in by_depth.items():
        found = shallower(hierarchy, depth, kept)
        assert [partition.cell_ids.tolist() for partition in found.partitions] == [ids[number] for number in numbers]
    assert shallower(hierarchy, None, kept) is shallower(hierarchy, 7, kept) is hierarchy
    with pytest.raises(ConfigError, match="7 partitions"):
        shallower(hierarchy, 9, kept)
