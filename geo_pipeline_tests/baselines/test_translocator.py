import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.attention import Attention
from geo_pipeline.baselines.cell_scores import CellCountError
from geo_pipeline.baselines.config import TranslocatorOptions
from geo_pipeline.baselines.scenes import scene_labels
from geo_pipeline.baselines.translocator import ClsExchange
from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.geosurge.config import ConfigError, InferenceConfig
from geo_pipeline.sample_world.ade20k import CLASS_IDS
from geo_pipeline_tests.baselines import tiny_baselines
from geo_pipeline_tests.geosurge import tiny_geosurge


@pytest.fixture(scope="module")
def model(checkpoint_of):
    return checkpoint.load(checkpoint_of("translocator"), device="cpu")


@pytest.fixture(scope="module")
def batch():
    draw = torch.Generator().manual_seed(0)
    pixels, classes = (torch.randint(0, top, (6, 3, 28, 28), dtype=torch.uint8, generator=draw) for top in (256, 150))
    return pixels, classes[:, 0], torch.zeros(6, 3, dtype=torch.int64)


def mean_loss(logits, targets):
    """The mean over the partitions of the mean over the images."""
    parts = zip(logits, targets.T, strict=True)
    return torch.stack([functional.cross_entropy(part, cells) for part, cells in parts]).mean()


def test_it_learns_the_towns(predictions_of, rows):
    assert np.mean(tiny_baselines.errors_km(predictions_of("translocator"), rows) < 100) > 0.9


@pytest.mark.parametrize("idea", [True, False])
def test_the_class_map_decides_only_with_the_idea(checkpoint_of, rows, idea):
    meadow = tiny_geosurge.png(np.full((32, 32), CLASS_IDS["grass"], np.uint8))
    changed = rows.drop_columns("class_map_png").append_column("class_map_png", pa.array([meadow] * len(rows)))
    predictor = BaselinePredictor(
        checkpoint_of("translocator", idea), inference=InferenceConfig(crops="centre"), device="cpu"
    )
    assert tiny_baselines.differ(predictor(rows), predictor(changed)) is idea


def test_both_branches_count(model, batch):
    pixels, classes, _ = batch
    with torch.no_grad():
        usual = model.features(pixels, classes)
        assert not torch.allclose(usual, model.features(pixels.flip(0), classes), atol=1e-3)
        assert not torch.allclose(usual, model.features(pixels, classes.flip(0)), atol=1e-3)


def test_branches_exchange_their_cls_tokens_and_nothing_else():
    torch.manual_seed(0)
    exchange = ClsExchange(8, branches=2)
    rgb, semantic = torch.randn(3, 5, 8), torch.randn(3, 5, 8)
    with torch.no_grad():
        found = exchange([rgb, semantic])
        together = exchange.give[0](rgb[:, 0]) + exchange.give[1](semantic[:, 0])
        for part, before, take in zip(found, (rgb, semantic), exchange.take, strict=True):
            torch.testing.assert_close(part[:, 1:], before[:, 1:])
            torch.testing.assert_close(part[:, 0], before[:, 0] + take(together))


def test_the_loss_is_cells_plus_scenes(model, batch):
    pixels, classes, targets = batch
    with torch.no_grad():
        features = model.features(pixels, classes)
        cells = mean_loss([head(features) for head in model.heads], targets)
        scenes = functional.cross_entropy(model.scene_head(features), scene_labels(classes))
        torch.testing.assert_close(model.loss(*batch), cells + scenes)


def test_without_the_idea_only_the_second_branch_sees_something_else(model, checkpoint_of):
    """The photograph again: two branches, their exchange, the width of the heads and both tasks stay."""
    blind = checkpoint.load(checkpoint_of("translocator", idea=False), device="cpu")
    with_map, without = (
        {name: size for name, size in tiny_baselines.sizes(made).items() if not name.startswith(("semantic", "rgb_"))}
        for made in (model, blind)
    )
    assert without == with_map
    assert {name.split(".")[0] for name in with_map} >= {"branches", "exchanges", "heads", "scene_head"}


def test_the_scene_task_is_there_without_the_idea_too(checkpoint_of, batch):
    blind = checkpoint.load(checkpoint_of("translocator", idea=False), device="cpu")
    pixels, classes, targets = batch
    with torch.no_grad():
        features = blind.features(pixels, classes)
        cells = mean_loss([head(features) for head in blind.heads], targets)
        scenes = functional.cross_entropy(blind.scene_head(features), scene_labels(classes))
        torch.testing.assert_close(blind.loss(*batch), cells + scenes)


def test_attention_is_that_of_the_textbook():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    queries, tokens = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    with torch.no_grad():
        query = attention.query(queries)
        key, value = attention.key_value(tokens).split(8, dim=-1)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            weight = (query[..., part] @ key[..., part].transpose(1, 2) / 2).softmax(dim=-1)
            heads.append(weight @ value[..., part])
        torch.testing.assert_close(attention(queries, tokens), attention.out(torch.cat(heads, dim=-1)))


def test_heads_that_do_not_divide_the_width_are_refused(world, tmp_path):
    options = TranslocatorOptions(width=24, heads=5, blocks=1)
    with pytest.raises(ConfigError, match="5 heads for tokens 24 wide; expected a divisor of 24"):
        world.train(tiny_baselines.config(world.clip, "translocator", options=options), tmp_path)


def test_more_partitions_than_there_are_is_refused(world, tmp_path):
    options = TranslocatorOptions(width=8, heads=2, blocks=1, tau_max=(9, 8, 7, 6))
    with pytest.raises(CellCountError, match="4 partitions wanted by tau_max of a hierarchy of 3"):
        world.train(tiny_baselines.config(world.clip, "translocator", options=options), tmp_path)
