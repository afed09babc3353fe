import weakref

import numpy as np
import pytest
import torch
from torch.nn import functional

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.config import PigeonOptions
from geo_pipeline.baselines.pigeon import Pigeon, faded_labels
from geo_pipeline.baselines.semantic_cells import merged_cells, merged_means, place_clusters
from geo_pipeline.earth.coordinates import unit_vectors
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.geosurge.config import ConfigError
from geo_pipeline_tests.baselines import tiny_baselines
from geo_pipeline_tests.geosurge.tiny_geosurge import TOWNS


@pytest.fixture
def model(checkpoint_of):
    return checkpoint.load(checkpoint_of("pigeon"), device="cpu")


@pytest.fixture(scope="module")
def towns():
    """Six towns of forty photographs within a few kilometres, each cut into S2 cells of at most ten."""
    draw = np.random.default_rng(0)
    lat, lon = draw.uniform(-60, 60, 6), draw.uniform(-180, 180, 6)
    lats, lons = (np.repeat(axis, 40) + draw.normal(0, 0.02, 240) for axis in (lat, lon))
    finest = build_hierarchy(lats, lons, PartitionConfig(tau_min=2, tau_max=(10,))).partitions[-1]
    return finest, great_circle_km(finest.lat_deg[:, None], finest.lon_deg[:, None], lat, lon).argmin(axis=1)


def test_it_learns_the_towns(predictions_of, rows):
    assert np.mean(tiny_baselines.errors_km(predictions_of("pigeon"), rows) < 100) > 0.9


def test_without_the_idea_only_the_labels_are_others(model, predictions_of, checkpoint_of):
    assert tiny_baselines.differ(predictions_of("pigeon"), predictions_of("pigeon", idea=False))
    plain = checkpoint.load(checkpoint_of("pigeon", idea=False), device="cpu")
    assert tiny_baselines.sizes(plain) == tiny_baselines.sizes(model)
    assert torch.equal(plain.unit_G3, model.unit_G3)
    assert len(plain.unit_G3) == 4  # a town each, of three cells
    assert torch.equal(plain.prototype_deg_GR2.isnan(), model.prototype_deg_GR2.isnan())


def test_cells_of_one_town_become_one(towns):
    finest, town_C = towns
    assert len(finest) > 12
    group_C = merged_cells(finest, place_km=25, most=100)
    assert group_C.max() + 1 == 6
    assert len(set(zip(group_C.tolist(), town_C.tolist(), strict=True))) == 6
    lat, lon = merged_means(finest, group_C)
    for group in range(6):
        cells = group_C == group
        mean = np.average(unit_vectors(finest.lat_deg, finest.lon_deg)[cells], axis=0, weights=finest.counts[cells])
        np.testing.assert_allclose(unit_vectors(lat[group], lon[group]), mean / np.linalg.norm(mean), atol=1e-12)


def test_a_merged_cell_has_a_limit_and_nothing_far_joins(towns):
    finest, _ = towns
    assert np.bincount(merged_cells(finest, place_km=25, most=2)).max() == 2
    np.testing.assert_array_equal(merged_cells(finest, place_km=1e-3, most=9), np.arange(len(finest)))


def test_clusters_of_a_cell_are_its_places():
    draw = np.random.default_rng(0)
    centre = np.array([[10.0, 20.0], [10.5, 20.0], [10.0, 20.6], [-50.0, 7.0]])
    place = draw.integers(0, 4, 80)
    lat, lon = (centre[place] + draw.normal(0, 0.02, (80, 2))).T
    cell = (place == 3).astype(np.int64)
    cluster = place_clusters(cell, lat, lon, most=3)
    assert len(set(zip(cluster[cell == 0].tolist(), place[cell == 0].tolist(), strict=True))) == 3
    assert set(cluster[cell == 0]) == {0, 1, 2}
    assert place_clusters(np.zeros(5, np.int64), np.full(5, 3.0), np.full(5, 4.0), 3).tolist() == [0] * 5


def test_labels_fade_with_the_distance():
    draw = np.random.default_rng(0)
    lat, lon = draw.uniform(-89, 89, 7), draw.uniform(-180, 180, 7)
    own = np.array([[lat[2] + 0.01, lon[2]], [0.0, 179.9]])
    found = faded_labels(torch.from_numpy(own), torch.from_numpy(unit_vectors(lat, lon)), tau_km=2000).numpy()
    plain = np.exp(-great_circle_km(own[:, :1], own[:, 1:], lat, lon) / 2000)
    np.testing.assert_allclose(found, plain / plain.sum(axis=1, keepdims=True), rtol=1e-5)
    sharp = faded_labels(torch.from_numpy(own), torch.from_numpy(unit_vectors(lat, lon)), tau_km=1.0)
    assert sharp[0].argmax() == 2
    assert sharp[0, 2] > 0.999


@pytest.mark.parametrize("idea", [True, False])
def test_the_loss_is_cross_entropy_with_these_labels(checkpoint_of, idea):
    model = checkpoint.load(checkpoint_of("pigeon", idea), device="cpu")
    pixels = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = model.targets(*np.array(TOWNS).T)
    with torch.no_grad():
        found = model.loss(pixels, torch.zeros(4, 28, 28, dtype=torch.uint8), targets)
        logits = model.head(model.features(pixels))
        labels = faded_labels(targets[:, :2], model.unit_G3, model.options.tau_km) if idea else targets[:, 2].long()
        torch.testing.assert_close(found, functional.cross_entropy(logits, labels))


def test_what_no_cell_holds_goes_to_the_nearest(model):
    cells = model.targets(np.array([47.0, 35.7]), np.array([5.0, 139.7]))[:, 2].long()
    lat, lon = model.places.lat_deg_F[cells].numpy(), model.places.lon_deg_F[cells].numpy()
    assert great_circle_km(lat, lon, [48.9, 35.7], [2.3, 139.7]).max() < 60


def two_cells(model):
    """The model with two prototypes in its first cell, one in its second, none elsewhere."""
    model.prototype_GRD.zero_()
    model.prototype_deg_GR2.fill_(torch.nan)
    axes = torch.eye(model.tower.width)
    model.prototype_GRD[0, 0], model.prototype_GRD[0, 1], model.prototype_GRD[1, 0] = axes[0], axes[1], axes[2]
    model.prototype_deg_GR2[0, :2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    model.prototype_deg_GR2[1, 0] = torch.tensor([5.0, 6.0])
    return model, axes


def described(model, axis, *chances):
    probability = torch.zeros(1, len(model.unit_G3))
    probability[0, : len(chances)] = torch.tensor(chances)
    return torch.cat([probability, axis[None]], dim=1)


def test_the_likest_prototype_answers(model):
    model, axes = two_cells(model)
    for axis, place in ((0, (1, 2)), (1, (3, 4)), (2, (5, 6))):
        found = model.locate(described(model, axes[axis], 0.5, 0.5))
        assert (found.lat_deg_B.item(), found.lon_deg_B.item()) == place
        other = np.exp(-(2**0.5) / model.options.temperature)  # as probable, but its prototype is sqrt(2) away
        assert found.score_B.item() == pytest.approx(-np.log1p(other), abs=1e-5)
    sure = model.locate(described(model, axes[2], 1 - 1e-8, 1e-8))  # a probability can outvote likeness
    assert sure.lat_deg_B.item() in (1.0, 3.0)


def test_only_the_best_cells_are_looked_at(model):
    model, axes = two_cells(model)
    model.options = PigeonOptions(top_cells=1)
    assert model.locate(described(model, axes[2], 0.6, 0.4)).lat_deg_B.item() in (1.0, 3.0)


def test_a_kept_cell_without_prototype_does_not_answer(model):
    model, axes = two_cells(model)
    found = model.locate(described(model, axes[0], 0.1, 0.1, 0.8))
    assert found.lat_deg_B.item() == 1.0


def test_where_no_kept_cell_has_a_prototype_the_best_cells_mean_answers(model):
    """The other images of the batch are refined as ever."""
    model, axes = two_cells(model)
    model.options = PigeonOptions(top_cells=1)
    alone = described(model, axes[2], 0.2, 0.1, 0.7)
    found = model.locate(torch.cat([alone, described(model, axes[1], 0.9, 0.1)]))
    assert found.lat_deg_B.tolist() == [model.places.lat_deg_F[2].item(), 3.0]
    assert found.lon_deg_B.tolist() == [model.places.lon_deg_F[2].item(), 4.0]
    np.testing.assert_allclose(found.score_B.numpy(), [np.log(0.7), 0.0], atol=1e-6)


def test_without_prototypes_the_mean_of_the_best_cell_answers(model):
    model.prototype_deg_GR2.fill_(torch.nan)
    found = model.locate(described(model, torch.zeros(model.tower.width), 0.1, 0.9))
    assert found.lat_deg_B.item() == model.places.lat_deg_F[1].item()
    assert found.score_B.item() == pytest.approx(np.log(0.9))


class WatchedPigeon(Pigeon):
    """Knows which of its features are still held by somebody."""

    def features(self, pixels_BCHW):
        found_BD = super().features(pixels_BCHW)
        self.made.append(weakref.ref(found_BD))
        return found_BD


def test_prototypes_are_the_means_of_the_clusters_and_features_are_not_gathered(model):
    made = WatchedPigeon(model.config, model.hierarchy, model.tower)
    made.made, held = [], []
    draw = np.random.default_rng(0)
    lat, lon = (np.array(TOWNS)[np.arange(95) % 4] + draw.normal(0, 0.05, (95, 2))).T
    targets = made.targets(lat, lon)
    pixels = torch.randint(0, 256, (95, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def batches():
        for part in pixels.split(10):
            held.append(sum(found() is not None for found in made.made))
            yield made.remembered(part, torch.zeros(len(part), 28, 28, dtype=torch.uint8))

    with torch.no_grad():
        made.collect(batches(), targets)
        features = functional.normalize(made.features(pixels), dim=1).numpy()
    cell = targets[:, 2].numpy().astype(np.int64)
    cluster = place_clusters(cell, lat, lon, made.options.prototypes)
    filled = set(zip(*np.nonzero(~made.prototype_deg_GR2[..., 0].isnan().numpy()), strict=True))
    assert filled == set(zip(cell, cluster, strict=True))
    assert len(filled) > 20
    for place in filled:
        mine = (cell == place[0]) & (cluster == place[1])
        np.testing.assert_allclose(made.prototype_GRD[place].numpy(), features[mine].mean(axis=0), atol=1e-6)
        apart_km = great_circle_km(*made.prototype_deg_GR2[place].tolist(), lat[mine].mean(), lon[mine].mean())
        assert apart_km < 0.1
    assert max(held) <= 1


def test_options_that_cannot_be_are_refused():
    for name in ("place_km", "merged_cells", "tau_km", "top_cells", "prototypes", "temperature"):
        with pytest.raises(ConfigError, match=f"PigeonOptions.{name} is 0; expected above 0"):
            PigeonOptions(**{name: 0})
