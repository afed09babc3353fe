import numpy as np
import pytest
import torch

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.config import CPlanetOptions
from geo_pipeline.baselines.geoclass_sets import geoclass_sets
from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.geosurge.config import ConfigError
from geo_pipeline_tests.baselines import tiny_baselines


@pytest.fixture(scope="module")
def fine():
    draw = np.random.default_rng(0)
    lat, lon = draw.uniform(-60, 60, 3000), draw.uniform(-180, 180, 3000)
    return build_hierarchy(lat, lon, PartitionConfig(tau_min=2, tau_max=(30,))).partitions[-1]


def test_it_learns_the_towns(predictions_of, rows):
    assert np.mean(tiny_baselines.errors_km(predictions_of("cplanet"), rows) < 100) > 0.9


def test_one_set_answers_otherwise(predictions_of, checkpoint_of):
    assert tiny_baselines.differ(predictions_of("cplanet"), predictions_of("cplanet", idea=False))
    several, one = (checkpoint.load(checkpoint_of("cplanet", idea), device="cpu") for idea in (True, False))
    assert len(several.heads) == 4
    assert len(one.heads) == 1
    assert len(several.class_AS) > len(one.class_AS) == one.sets.counts[0]


def test_sets_differ_cover_all_cells_and_make_finer_parts(fine):
    sets = geoclass_sets(fine, 4, 4.0, 6, seed=0)
    wanted = round(len(fine) / 4)
    for number, count in enumerate(sets.counts):
        sizes = np.bincount(sets.class_FS[:, number])
        assert count == len(sizes) == wanted
        assert sizes.min() >= 1
        assert sizes.max() <= 12  # three times the average
    assert len({tuple(column) for column in sets.class_FS.T.tolist()}) == 4
    assert max(sets.counts) < len(sets.class_AS) <= len(fine)
    np.testing.assert_array_equal(sets.class_AS[sets.part_F], sets.class_FS)
    again = geoclass_sets(fine, 4, 4.0, 6, seed=0)
    np.testing.assert_array_equal(again.class_FS, sets.class_FS)
    assert not np.array_equal(geoclass_sets(fine, 4, 4.0, 6, seed=1).class_FS, sets.class_FS)


def test_a_class_is_a_neighbourhood(fine):
    """Cells of one class lie much nearer to each other than cells drawn at random."""
    classes_F = geoclass_sets(fine, 1, 4.0, 6, seed=0).class_FS[:, 0]
    apart_km = great_circle_km(fine.lat_deg[:, None], fine.lon_deg[:, None], fine.lat_deg, fine.lon_deg)
    together = (classes_F[:, None] == classes_F) & ~np.eye(len(fine), dtype=bool)
    assert np.median(apart_km[together]) < 0.25 * np.median(apart_km)


def test_a_part_answers_with_the_mean_of_its_photographs(fine):
    sets = geoclass_sets(fine, 1, 4.0, 6, seed=0)
    part = int(np.argmax(np.bincount(sets.part_F)))
    cells = sets.part_F == part
    lat_deg, lon_deg = sets.place_A2[part]
    own_km = great_circle_km(lat_deg, lon_deg, fine.lat_deg[cells], fine.lon_deg[cells]).mean()
    assert cells.sum() > 2
    assert own_km < great_circle_km(lat_deg, lon_deg, fine.lat_deg[~cells], fine.lon_deg[~cells]).mean()


def test_a_part_scores_by_the_mean_of_its_classes(checkpoint_of):
    model = checkpoint.load(checkpoint_of("cplanet"), device="cpu")
    pixels = torch.randint(0, 256, (3, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        probabilities = [head(model.norm(model.cls(pixels))).softmax(dim=1) for head in model.heads]
        found_BA = model.describe(pixels, torch.zeros(3, 28, 28, dtype=torch.uint8))
    for part, classes in enumerate(model.sets.class_AS):
        expected_B = sum(p[:, c] for p, c in zip(probabilities, classes, strict=True)) / len(classes)
        torch.testing.assert_close(found_BA[:, part], expected_B)


def test_an_image_outside_every_cell_has_no_class(checkpoint_of):
    model = checkpoint.load(checkpoint_of("cplanet"), device="cpu")
    targets = model.targets(np.array([-80.0, 40.4]), np.array([10.0, -3.69]))
    assert targets[0].tolist() == [-1] * 4
    assert (targets[1] >= 0).all()


def test_merging_nothing_is_refused():
    with pytest.raises(ConfigError, match="cells_per_class is 1; expected above 1"):
        CPlanetOptions(cells_per_class=1)
