import numpy as np
import pytest
import torch
from torch.nn import functional

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.cell_scores import hierarchy_scores
from geo_pipeline.baselines.config import GeoDecoderOptions
from geo_pipeline.baselines.geodecoder import DecoderBlock, confidence
from geo_pipeline.baselines.scenes import SCENES, scene_labels
from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.geosurge.config import ConfigError, InferenceConfig
from geo_pipeline_tests.baselines import tiny_baselines


@pytest.fixture(scope="module")
def model(checkpoint_of):
    return checkpoint.load(checkpoint_of("geodecoder"), device="cpu")


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
    assert np.mean(tiny_baselines.errors_km(predictions_of("geodecoder"), rows) < 100) > 0.9


def test_without_the_idea_only_the_scenes_are_gone(model, predictions_of, checkpoint_of):
    assert tiny_baselines.differ(predictions_of("geodecoder"), predictions_of("geodecoder", idea=False))
    plain = checkpoint.load(checkpoint_of("geodecoder", idea=False), device="cpu")
    width = model.tower.width
    assert tiny_baselines.sizes(plain) == {**tiny_baselines.sizes(model), "queries_LSD": (3, 1, width)}


def test_without_the_idea_no_class_map_is_read(checkpoint_of, batch):
    plain = checkpoint.load(checkpoint_of("geodecoder", idea=False), device="cpu")
    pixels, classes, targets = batch
    with torch.no_grad():
        assert torch.equal(plain.loss(pixels, classes, targets), plain.loss(pixels, classes.flip(0) // 2, targets))


def test_there_is_a_query_per_level_and_scene(model):
    assert model.queries_LSD.shape == (3, len(SCENES), model.tower.width)


def test_the_surest_scene_answers(model, batch):
    pixels, classes, _ = batch
    with torch.no_grad():
        decoded = model.decode(pixels)
        scenes = decoded[..., 0].mean(dim=1).argmax(dim=1)
        found = model.describe(pixels, classes)
        for row, scene in enumerate(scenes.tolist()):
            logits = [head(decoded[row : row + 1, level, scene]) for level, head in enumerate(model.heads)]
            torch.testing.assert_close(found[row], hierarchy_scores(logits, model.ancestors_FP)[0].exp())
        others = hierarchy_scores(model.logits(decoded, (scenes + 1) % 3), model.ancestors_FP).exp()
    assert not torch.allclose(found, others, atol=1e-4)


def test_the_labelled_scene_learns(model, batch):
    pixels, classes, targets = batch
    with torch.no_grad():
        decoded = model.decode(pixels)
        labels = scene_labels(classes)
        cells = mean_loss(model.logits(decoded, labels), targets)
        torch.testing.assert_close(model.loss(*batch), cells + functional.cross_entropy(confidence(decoded), labels))


@pytest.mark.parametrize("apart", [True, False])
def test_levels_see_one_another_only_in_the_first_decoder(apart):
    torch.manual_seed(0)
    block = DecoderBlock(8, 2, levels=3, apart=apart)
    queries, tokens = torch.randn(2, 3, 4, 8), torch.randn(2, 5, 8)
    changed = queries.clone()
    changed[:, 2] += torch.randn(4, 8)
    with torch.no_grad():
        before, after = block(queries, tokens), block(changed, tokens)
    assert before.shape == queries.shape
    assert torch.equal(before[:, :2], after[:, :2]) is apart
    assert not torch.allclose(before[:, 2], after[:, 2])
    assert len(block.mlps) == (3 if apart else 1)


def test_it_answers_without_class_maps(predictions_of, checkpoint_of, rows):
    predictor = BaselinePredictor(checkpoint_of("geodecoder"), inference=InferenceConfig(crops="centre"), device="cpu")
    blind = predictor(rows.drop_columns("class_map_png"))
    assert not tiny_baselines.differ(blind, predictions_of("geodecoder"))


def test_heads_that_do_not_divide_the_width_are_refused(world, tmp_path):
    with pytest.raises(ConfigError, match="5 heads for tokens 32 wide"):
        world.train(tiny_baselines.config(world.clip, "geodecoder", options=GeoDecoderOptions(heads=5)), tmp_path)
