import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from geo_pipeline.baselines import checkpoint, lknn
from geo_pipeline.baselines.config import LknnOptions
from geo_pipeline.baselines.lknn import density
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.config import ConfigError
from geo_pipeline.geosurge.pairs import decode_pair, stack_pairs
from geo_pipeline.geosurge.vision import load_tower
from geo_pipeline_tests.baselines import tiny_baselines
from geo_pipeline_tests.geosurge.tiny_geosurge import TOWNS


@pytest.fixture(scope="module")
def model(checkpoint_of):
    return checkpoint.load(checkpoint_of("lknn"), device="cpu")


def test_it_finds_the_towns_of_held_out_images(predictions_of, rows):
    errors = tiny_baselines.errors_km(predictions_of("lknn"), rows)
    held_out = np.array(rows["set_name"].to_pylist()) == "holdout"
    assert (errors[held_out] < 100).all()


def test_density_equals_the_plain_sum():
    draw = np.random.default_rng(0)
    places_K2 = draw.uniform([-80, -180], [80, 180], (9, 2))
    places_K2[5] = places_K2[4] + 0.01
    weight_K = draw.uniform(0.1, 1, 9)
    sigma_km = 500.0
    expected = []
    for lat, lon in places_K2:
        distance_km = great_circle_km(lat, lon, places_K2[:, 0], places_K2[:, 1])
        expected.append(sum(weight_K * np.exp(-0.5 * (distance_km / sigma_km) ** 2)) / weight_K.sum())
    found_BK = density(torch.from_numpy(places_K2)[None], torch.from_numpy(weight_K)[None], sigma_km)
    np.testing.assert_allclose(found_BK[0].numpy(), expected, rtol=1e-9)


def filled(model, features_ND, places_N2, **options):
    """A baseline with this gallery; features are compared as they are (mean 0)."""
    config = tiny_baselines.config("unused", "lknn", options=LknnOptions(gallery_dtype="float32", **options))
    made = lknn.Lknn(config, model.hierarchy, model.tower)
    made.gallery_ND = torch.nn.functional.normalize(torch.tensor(features_ND, dtype=torch.float32), dim=1)
    made.mean_D, made.place_N2 = torch.zeros(len(features_ND[0])), torch.tensor(places_N2, dtype=torch.float64)
    return made


def test_many_neighbours_of_one_town_outvote_the_nearest(model):
    features = [[1.0, 0.0], [0.9, 0.3], [0.9, 0.35], [0.9, -0.3], [-1.0, 0.0]]
    places = [[35.7, 139.7], [48.9, 2.3], [48.91, 2.31], [48.89, 2.3], [0.0, 20.0]]
    query = torch.tensor([[1.0, 0.01]])
    dense = filled(model, features, places, sigma_km=10.0, neighbours=4, power=8.0).locate(query)
    nearest = filled(model, features, places, sigma_km=10.0, neighbours=1).locate(query)
    assert dense.lat_deg_B.item() == pytest.approx(48.9, abs=0.1)
    assert (nearest.lat_deg_B.item(), nearest.lon_deg_B.item()) == (35.7, 139.7)
    sure = filled(model, features, places, sigma_km=10.0, neighbours=4, power=200.0).locate(query)
    assert sure.lat_deg_B.item() == 35.7  # the power lets likeness win again


def test_the_idea_off_answers_otherwise(predictions_of):
    assert tiny_baselines.differ(predictions_of("lknn"), predictions_of("lknn", idea=False))


def test_a_gallery_read_in_parts_gives_the_same_neighbours(model, monkeypatch):
    described_BD = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    whole = model.neighbours(described_BD, 7)
    monkeypatch.setattr(lknn, "_CHUNK", 3)
    parts = model.neighbours(described_BD, 7)
    torch.testing.assert_close(parts[0], whole[0])
    assert torch.equal(parts[1], whole[1])
    assert (whole[0].diff(dim=1) <= 0).all()


def test_the_gallery_is_every_training_image(model, rows):
    train = [name == "train" for name in rows["set_name"].to_pylist()]
    assert model.gallery_ND.dtype == torch.float16
    np.testing.assert_array_equal(model.place_N2.numpy(), np.stack([rows["lat_deg"], rows["lon_deg"]], axis=1)[train])


def test_its_features_are_learnt_by_telling_cells_apart(world, tmp_path):
    """The tower's last block learns, and with it what the gallery holds."""
    reports = []
    result = world.train(tiny_baselines.config(world.clip, "lknn"), tmp_path, reports.append)
    assert reports[-1]["loss"] < 0.8 * reports[0]["loss"]
    assert reports[0]["metric"] == reports[0]["metric"], "its classifier answers until there is a gallery"
    assert result.metrics["holdout_mean_accuracy"] > 0.5
    before, after = (
        load_tower(tiny_baselines.config(world.clip, "lknn").vision),
        checkpoint.load(tmp_path, device="cpu"),
    )
    learnt = {
        name for name, tensor in before.state_dict().items() if not torch.equal(tensor, after.tower.state_dict()[name])
    }
    assert learnt
    assert all(name.startswith("blocks.2.") for name in learnt)


def test_the_loss_is_cross_entropy_over_the_finest_cells(model):
    pixels = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = model.targets(*np.array([*TOWNS[:3], (0.0, 0.0)]).T)
    cells = targets[:, 2].long()
    assert (cells[:3] >= 0).all()
    assert cells[3] == -1
    with torch.no_grad():
        found = model.loss(pixels, torch.zeros(4, 28, 28, dtype=torch.uint8), targets)
        expected = functional.cross_entropy(model.head(model.describe(pixels, torch.zeros(0)))[:3], cells[:3])
    torch.testing.assert_close(found, expected)


def test_without_the_idea_nothing_is_learnt_and_all_else_is_the_same(model, world, checkpoint_of, tmp_path):
    result = world.train(tiny_baselines.config(world.clip, "lknn", idea=False), tmp_path)
    assert len(result.curves) == 0
    assert result.metrics["trainable_parameters"] == 0
    plain = checkpoint.load(checkpoint_of("lknn", idea=False), device="cpu")
    sizes = tiny_baselines.sizes(model)
    assert {name for name in sizes if name.startswith("head.")} == sizes.keys() - tiny_baselines.sizes(plain).keys()
    plain.tower = model.tower
    pixels = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for name in ("gallery_ND", "place_N2", "mean_D"):
        setattr(plain, name, getattr(model, name))
    with torch.no_grad():
        for one, other in zip(plain.predict(pixels, pixels), model.predict(pixels, pixels), strict=True):
            assert torch.equal(one, other)


class WatchedLknn(lknn.Lknn):
    """Knows which of its descriptions are still held by somebody."""

    def describe(self, pixels_BCHW, class_map_BHW):
        found_BD = super().describe(pixels_BCHW, class_map_BHW)
        self.made.append(weakref.ref(found_BD))
        return found_BD


@pytest.fixture
def collected(model):
    """A gallery collected from random pictures in batches of 10, and the most descriptions held at once."""

    def collect(dtype):
        config = tiny_baselines.config("unused", "lknn", options=LknnOptions(gallery_dtype=dtype))
        made = WatchedLknn(config, model.hierarchy, model.tower)
        made.made, held = [], []
        draw = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (95, 3, 28, 28), dtype=torch.uint8, generator=draw)

        def batches():
            for part in pixels.split(10):
                held.append(sum(found() is not None for found in made.made))
                yield made.remembered(part, torch.zeros(len(part), 28, 28, dtype=torch.uint8))

        targets = torch.rand(95, 3, generator=draw).double()
        with torch.no_grad():
            made.collect(batches(), targets)
            features = made.describe(pixels, torch.zeros(0))
        assert torch.equal(made.place_N2, targets[:, :2])
        return made, features, max(held)

    return collect


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-6), ("float16", 2e-3)])
def test_the_gallery_is_centred_before_it_is_normalised(collected, dtype, atol):
    made, features_ND, _ = collected(dtype)
    expected_ND = functional.normalize(features_ND - features_ND.mean(dim=0), dim=1)
    assert made.gallery_ND.dtype == getattr(torch, dtype)
    torch.testing.assert_close(made.mean_D, features_ND.mean(dim=0), atol=1e-6, rtol=0)
    torch.testing.assert_close(made.gallery_ND.float(), expected_ND, atol=atol, rtol=0)


def test_full_precision_features_are_not_gathered(collected):
    _, _, held = collected("float16")
    assert held <= 1


def test_half_precision_finds_the_neighbours_of_full_precision(world, rows, tmp_path):
    """But for pictures as like as its rounding, as those of one town are: ranks are compared by their true cosine."""
    pairs = [
        decode_pair(jpeg, png, 28)
        for jpeg, png in zip(*(rows[name].to_pylist() for name in ("jpeg", "class_map_png")), strict=True)
    ]
    made = {}
    for dtype in ("float32", "float16"):
        options = LknnOptions.sample()
        config = tiny_baselines.config(world.clip, "lknn", options=replace(options, gallery_dtype=dtype))
        world.train(config, tmp_path / dtype)
        made[dtype] = checkpoint.load(tmp_path / dtype, device="cpu")
    full, half = made["float32"], made["float16"]
    with torch.no_grad():
        described = full.describe(*stack_pairs(pairs))
        (cosine_BK, _), (rough_BK, rows_BK) = (model.neighbours(described, 10) for model in (full, half))
        true_BN = functional.normalize(described - full.mean_D, dim=1) @ full.gallery_ND.T
        answers = [model.locate(described) for model in (full, half)]
    torch.testing.assert_close(rough_BK, cosine_BK, atol=5e-4, rtol=0)
    torch.testing.assert_close(true_BN.gather(1, rows_BK), cosine_BK, atol=5e-4, rtol=0)
    assert great_circle_km(*(axis.numpy() for found in answers for axis in found[:2])).max() < 20


def test_options_that_make_no_density_are_refused():
    with pytest.raises(ConfigError, match="sigma_km is 0; expected above 0"):
        LknnOptions(sigma_km=0)
    with pytest.raises(ConfigError, match="expected 'float16' or 'float32'"):
        LknnOptions(gallery_dtype="int8")
