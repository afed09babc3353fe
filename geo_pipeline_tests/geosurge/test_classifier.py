"""Table VI without geographic embeddings: linear classifiers over the cells, trained by cross-entropy.

Shapes: B images, P partitions, D width, C cells.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from geo_pipeline.contracts.contract import load
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.checkpoint import config_from_json
from geo_pipeline.geosurge.config import ConfigError, GeoSurgeConfig
from geo_pipeline.geosurge.gallery import Gallery
from geo_pipeline.geosurge.geography import ClassifierHeads, GeographicEmbeddings, geography_of
from geo_pipeline.geosurge.inference import CellPredictor
from geo_pipeline.geosurge.loss import classification_loss
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.geosurge.retrieval import RetrievalPredictor
from geo_pipeline.geosurge.scores import combine, partition_scores
from geo_pipeline.geosurge.step import TrainingStep
from geo_pipeline.geosurge.training import train
from geo_pipeline.geosurge.worker import FeatureWorker
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline_tests.geosurge import tiny_geosurge

TARGETS_BP = torch.tensor([[0, 0], [0, 0], [1, 2], [2, -1], [1, 3], [0, 5], [2, 5]])


@pytest.fixture
def heads():
    torch.manual_seed(0)
    return ClassifierHeads([3, 6], 5).double()


@pytest.fixture
def features():
    torch.manual_seed(1)
    return functional.normalize(torch.randn(7, 5, dtype=torch.float64), dim=1).requires_grad_()


@pytest.fixture(scope="module")
def classified(trained, tmp_path_factory):
    """The checkpoint of a classifier, its curves and metrics."""
    folder = tmp_path_factory.mktemp("classifier")
    config = replace(tiny_geosurge.config(trained.clip, max_epochs=10), geography="classifier")
    files = [trained.images], [trained.segmentations], trained.geocells
    return folder, train(*files, config, folder, lambda facts: None, "cpu")


@pytest.fixture(scope="module")
def seen(classified, rows):
    """Every image with the feature that the classifier's network sees in it."""
    found = load("features").conform(FeatureWorker(classified[0], device="cpu")(rows))
    return rows.append_column("feature", found["feature"])


def test_the_loss_is_cross_entropy_over_all_cells_summed_over_the_partitions(heads, features):
    covered = TARGETS_BP[:, 1] >= 0
    linear = [(features * 5**0.5) @ table.T + bias for table, bias in zip(heads.tables, heads.biases, strict=True)]
    expected = functional.cross_entropy(linear[0], TARGETS_BP[:, 0])
    expected += functional.cross_entropy(linear[1][covered], TARGETS_BP[covered, 1])
    torch.testing.assert_close(classification_loss(features, TARGETS_BP, heads), expected)


def test_micro_batches_add_up_to_the_gradient_of_the_batch(heads, features):
    classification_loss(features, TARGETS_BP, heads).backward()
    whole = [features.grad.clone()] + [parameter.grad.clone() for parameter in heads.parameters()]
    features.grad = None
    heads.zero_grad()
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        classification_loss(features[part], TARGETS_BP[part], heads, TARGETS_BP).backward()
    parts = [features.grad] + [parameter.grad for parameter in heads.parameters()]
    assert len(parts) == 5
    for expected, found in zip(whole, parts, strict=True):
        torch.testing.assert_close(found, expected)


def test_an_uncovered_image_counts_for_nothing_in_its_partition(heads, features):
    classification_loss(features, torch.tensor([[-1, -1]] * 6 + [[0, -1]]), heads).backward()
    assert torch.count_nonzero(features.grad[:6]) == 0
    assert torch.count_nonzero(features.grad[6]) > 0
    heads.zero_grad()
    loss = classification_loss(features, torch.full((7, 2), -1), heads)
    loss.backward()
    assert loss.item() == 0.0
    assert all(torch.count_nonzero(parameter.grad) == 0 for parameter in heads.parameters())


def test_it_is_read_like_embeddings_with_a_scale_of_one(heads, features):
    cosines, logits = heads.cosines(features), heads.logits(features)
    assert [tuple(values.shape) for values in cosines] == [(7, 3), (7, 6)]
    assert all(torch.equal(heads.scale(p) * cosines[p], logits[p]) for p in range(2))
    assert (heads.temperatures(), [heads.scale(p).item() for p in range(2)]) == ([], [1.0, 1.0])
    mean = features.mean(dim=0, keepdim=True)  # of ten crops
    torch.testing.assert_close(heads.logits(mean)[1], logits[1].mean(dim=0, keepdim=True))


def test_every_parameter_that_trains_gets_a_gradient_in_one_step(trained):
    """Otherwise a group of workers would wait for it."""
    config = replace(tiny_geosurge.config(trained.clip), geography="classifier")
    model = GeoSurge(config, tiny_geosurge.hierarchy())
    targets_MP = torch.zeros(4, len(model.hierarchy.partitions), dtype=torch.long)
    targets_MP[:, -1] = -1
    pixels, class_map = torch.zeros(4, 3, 28, 28, dtype=torch.uint8), torch.zeros(4, 28, 28, dtype=torch.uint8)
    loss, _ = TrainingStep(model)(pixels, class_map, targets_MP, targets_MP)
    loss.backward()
    assert [name for name, parameter in model.trainable().items() if parameter.grad is None] == []


def test_it_trains(classified):
    _, result = classified
    losses = [row["loss"] for row in result.curves.to_pylist() if row["split"] == "train"]
    assert losses[-1] < 0.8 * losses[0]
    assert result.metrics["holdout_mean_accuracy"] > 0.3
    assert result.metrics["temperatures"] == []


def test_saved_and_loaded_it_is_the_same_model(classified, tmp_path):
    model = GeoSurge.from_pretrained(classified[0], device="cpu")
    assert model.config.geography == json.loads((classified[0] / "card.json").read_text())["config"]["geography"]
    assert isinstance(model.geography, ClassifierHeads)
    model.save_pretrained(tmp_path)
    again = GeoSurge.from_pretrained(tmp_path, device="cpu")
    features_BD = functional.normalize(torch.randn(3, 24), dim=1)
    pairs = zip(model.cell_logits(features_BD), again.cell_logits(features_BD), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)


def test_weights_of_embeddings_are_not_taken_for_a_classifier(trained, tmp_path):
    folder = shutil.copytree(trained.checkpoint, tmp_path / "mixed")
    card = json.loads((folder / "card.json").read_text())
    card["config"]["geography"] = "classifier"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"geography\.biases\.0: missing"):
        GeoSurge.from_pretrained(folder)


def test_a_card_from_before_the_choice_is_one_of_embeddings(trained):
    config = json.loads((trained.checkpoint / "card.json").read_text())["config"]
    assert config.pop("geography") == "embeddings"
    assert config_from_json(config).geography == "embeddings"


def test_a_product_of_cosines_is_refused_where_there_are_none():
    config = GeoSurgeConfig(geography="classifier", embedding_dim=8)
    assert isinstance(geography_of(config, [2, 3], "log_softmax"), ClassifierHeads)
    for score in ("cosine_product", "shifted"):
        with pytest.raises(ConfigError, match=rf"{score}.*no cosines.*Set inference.score to 'log_softmax'"):
            geography_of(config, [2, 3], score)
        embeddings = geography_of(replace(config, geography="embeddings"), [2, 3], score)
        assert isinstance(embeddings, GeographicEmbeddings)


def test_hierarchical_scores_of_its_logits_find_the_town(classified, seen):
    model = GeoSurge.from_pretrained(classified[0], device="cpu")
    features_BD = torch.tensor(seen["feature"].to_pylist())
    scales = [model.geography.scale(p) for p in range(len(model.hierarchy.partitions))]
    with torch.no_grad():
        parts = partition_scores(model.geography.cosines(features_BD), scales, "log_softmax")
    for part_BC, logits_BC in zip(parts, model.cell_logits(features_BD), strict=True):
        torch.testing.assert_close(part_BC, logits_BC.log_softmax(dim=1))
    best = combine(parts, torch.from_numpy(model.hierarchy.ancestors()).long(), "log_softmax").argmax(dim=1).numpy()
    finest = model.hierarchy.partitions[-1]
    where = seen["lat_deg"].to_numpy(), seen["lon_deg"].to_numpy()
    assert np.mean(great_circle_km(finest.lat_deg[best], finest.lon_deg[best], *where) < 100) > 0.6


def test_both_methods_predict_with_it(classified, seen, inference):
    predicted = load("predictions").conform(CellPredictor(classified[0], inference, "cpu")(seen))
    where = seen["lat_deg"].to_numpy(), seen["lon_deg"].to_numpy()
    error_km = great_circle_km(predicted["lat_deg"].to_numpy(), predicted["lon_deg"].to_numpy(), *where)
    assert np.mean(error_km < 100) > 0.6
    retrieved = RetrievalPredictor(classified[0], inference, Gallery.of(seen), "cpu")(seen)
    assert retrieved["lat_deg"].null_count == 0
    with pytest.raises(ConfigError, match="no cosines"):
        CellPredictor(classified[0], replace(inference, score="shifted"), "cpu")
