import math
from dataclasses import replace

import numpy as np
import pyproj
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.config import GeoClipOptions
from geo_pipeline.baselines.geoclip import FourierFeatures, LocationEncoder, displaced, equal_earth
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.config import ConfigError
from geo_pipeline_tests.baselines import tiny_baselines


@pytest.fixture
def model(checkpoint_of):
    return checkpoint.load(checkpoint_of("geoclip"), device="cpu")


@pytest.fixture(scope="module")
def batch():
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8, generator=draw)
    return pixels, torch.zeros(4, 28, 28, dtype=torch.uint8), torch.tensor([[48.9, 2.3], [40.4, -3.7]] * 2).double()


def test_it_learns_the_towns(predictions_of, rows):
    """Three of the four, soon; the two of like colour take longer."""
    assert np.mean(tiny_baselines.errors_km(predictions_of("geoclip"), rows) < 100) > 0.7


def test_it_answers_with_coordinates_of_the_gallery(predictions_of, rows):
    found = set(zip(*(predictions_of("geoclip")[name].to_pylist() for name in ("lat_deg", "lon_deg")), strict=True))
    train = rows.filter(np.array(rows["set_name"].to_pylist()) == "train")
    assert len(found) > 3
    assert found <= set(zip(train["lat_deg"].to_pylist(), train["lon_deg"].to_pylist(), strict=True))


def test_raw_coordinates_answer_otherwise(predictions_of, checkpoint_of):
    assert tiny_baselines.differ(predictions_of("geoclip"), predictions_of("geoclip", idea=False))
    raw = checkpoint.load(checkpoint_of("geoclip", idea=False), device="cpu")
    assert not any(isinstance(part, FourierFeatures) for part in raw.modules())
    assert raw.location.scales[0][1].in_features == 2


def test_fourier_features_tell_neighbours_apart():
    """Two places 30 km apart are one to a perceptron, and two to the features of the finest scale."""
    torch.manual_seed(0)
    pair = torch.tensor([[48.9, 2.3], [49.17, 2.3]])
    with torch.no_grad():
        fine, raw = (LocationEncoder(GeoClipOptions(sigmas=(256.0,)), fourier)(pair) for fourier in (True, False))
    assert raw[0] @ raw[1] > 0.9999
    assert fine[0] @ fine[1] < 0.98


@pytest.mark.parametrize("fourier", [True, False])
def test_half_precision_does_not_reach_the_location_encoder(fourier):
    """Rounded to bfloat16, a third of the places ten kilometres apart are one."""
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    places = torch.from_numpy(np.stack([draw.uniform(-70, 70, 200), draw.uniform(-179, 179, 200)], axis=1))
    near = places + torch.tensor([10 / 111.2, 0.0])
    encoder = LocationEncoder(GeoClipOptions.sample(), fourier)
    with torch.no_grad():
        expected = encoder(places)
        with torch.autocast("cpu", torch.bfloat16):
            found, moved = encoder(places), encoder(near)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert not (found == moved).all(dim=1).any()


def test_the_projection_is_that_of_proj():
    draw = np.random.default_rng(0)
    lat, lon = draw.uniform(-90, 90, 50), draw.uniform(-180, 180, 50)
    x, y = pyproj.Proj(proj="eqearth", R=1)(lon, lat)
    edge, _ = pyproj.Proj(proj="eqearth", R=1)(180, 0)
    found = equal_earth(torch.from_numpy(np.stack([lat, lon], axis=1))).numpy()
    np.testing.assert_allclose(found, np.stack([x, y], axis=1) / edge, atol=1e-9)


def test_features_make_a_gaussian_kernel():
    features = FourierFeatures(sigma=0.5, count=20_000, seed=0)
    places = torch.tensor([[0.0, 0.0], [0.1, 0.2], [-0.4, 0.3]])
    encoded = features(places)
    expected = (-2 * np.pi**2 * 0.25 * torch.cdist(places, places) ** 2).exp()
    torch.testing.assert_close(encoded @ encoded.T / 20_000, expected, atol=0.03, rtol=0)


def test_noise_moves_coordinates_by_its_width_also_at_the_edges():
    torch.manual_seed(0)
    places = torch.tensor([[0.0, 180.0], [90.0, 0.0], [48.9, 2.3]]).double().repeat_interleave(2000, 0)
    moved = displaced(places, 10.0)
    apart_km = great_circle_km(*places.T.numpy(), *moved.T.numpy()).reshape(3, -1)
    np.testing.assert_allclose((apart_km**2).mean(axis=1) ** 0.5, 10 * 2**0.5, rtol=0.05)
    assert moved[:, 0].abs().max() <= 90
    assert moved[:, 1].abs().max() <= 180
    assert displaced(places, 0.0) is places


def test_evaluation_is_not_random_and_training_is(model, batch):
    with torch.no_grad():
        assert torch.equal(model.loss(*batch), model.loss(*batch))
        model.train()
        assert not torch.equal(model.loss(*batch), model.loss(*batch))


def test_a_temperature_that_was_driven_over_its_bound_comes_back(model):
    optimizer = torch.optim.AdamW([model.log_scale], lr=0.05)
    reached = []
    for wanted in (-1, 1):  # higher, then lower scales
        for _ in range(60):
            optimizer.zero_grad()
            (wanted * model.scale()).backward()
            optimizer.step()
            model.settle()
        reached.append(model.scale().item())
    assert reached[0] == pytest.approx(100)
    assert reached[1] < 50


def test_training_keeps_the_temperature_in_its_bounds(world, tmp_path):
    """It starts beyond them."""
    options = replace(GeoClipOptions.sample(), initial_temperature=0.005)
    world.train(tiny_baselines.config(world.clip, "geoclip", options=options, max_epochs=1), tmp_path)
    state = load_file(tmp_path / "last" / "state.safetensors")
    assert state["model/log_scale"].item() <= math.log(100) + 1e-6


def test_the_queue_makes_the_task_harder(model, batch, world):
    with torch.no_grad():
        with_queue = model.loss(*batch)
        config = tiny_baselines.config(world.clip, "geoclip", options=GeoClipOptions(queue=0))
        model.options = config.chosen(GeoClipOptions)
        assert model.loss(*batch) < with_queue


def test_the_gallery_is_distinct_bounded_and_the_same_again(model):
    draw = np.random.default_rng(0)
    lat, lon = draw.uniform(-80, 80, 300).repeat(2), draw.uniform(-180, 180, 300).repeat(2)
    model.prepare(lat, lon)
    assert len(model.gallery_deg_G2) == 300
    model.options = GeoClipOptions(gallery=40)
    model.prepare(lat, lon)
    some = model.gallery_deg_G2
    assert len({tuple(place) for place in some.tolist()} & set(zip(lat, lon, strict=True))) == 40
    model.prepare(lat[::-1], lon[::-1])
    assert torch.equal(model.gallery_deg_G2, some)


def test_a_kept_gallery_equals_a_fresh_one(model, batch):
    described = model.describe(*batch[:2])
    kept = model.locate(described)
    model.gallery_GD = torch.zeros(0, model.options.embedding_dim)
    for one, other in zip(kept, model.locate(described), strict=True):
        torch.testing.assert_close(one, other)


def test_interrupted_training_ends_with_the_same_weights(world, tmp_path):
    config = tiny_baselines.config(world.clip, "geoclip", max_epochs=3)
    world.train(config, tmp_path / "whole")

    def stop(facts):
        if facts["epoch"] == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        world.train(config, tmp_path / "again", stop)
    assert (tmp_path / "again" / "last").is_dir()
    world.train(config, tmp_path / "again")
    whole, again = (checkpoint.load(tmp_path / name, device="cpu").state_dict() for name in ("whole", "again"))
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"sigmas": ()}, "sigmas is empty"), ({"gallery": 0}, "gallery is 0"), ({"noise_km": -1.0}, "noise_km is -1.0")],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        GeoClipOptions(**options)
