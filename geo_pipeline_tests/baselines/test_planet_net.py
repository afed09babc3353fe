import numpy as np
import pytest

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.cell_scores import CellCountError
from geo_pipeline.baselines.config import PlaNetOptions
from geo_pipeline.baselines.planet_net import grid_cells, grid_centres
from geo_pipeline_tests.baselines import tiny_baselines


def test_it_learns_the_towns(predictions_of, rows):
    assert np.mean(tiny_baselines.errors_km(predictions_of("planet_net"), rows) < 100) > 0.9


def test_a_regular_grid_answers_otherwise(predictions_of, checkpoint_of):
    """Four cells that follow the photographs hold a town each; two grid rows of four hold all Europe in one cell."""
    assert tiny_baselines.differ(predictions_of("planet_net"), predictions_of("planet_net", idea=False))
    adaptive, grid = (checkpoint.load(checkpoint_of("planet_net", idea), device="cpu") for idea in (True, False))
    assert len(adaptive.place_C2) == 4
    assert len(grid.place_C2) == 2
    places = {tuple(place) for place in np.round(adaptive.place_C2.numpy()).tolist()}
    assert places == {(40.0, -4.0), (49.0, 2.0), (36.0, 140.0), (-34.0, 151.0)}


def test_every_coordinate_lies_in_the_grid_cell_of_its_centre():
    rows = 7
    centres_C2 = grid_centres(rows)
    assert len(centres_C2) == 2 * rows**2
    np.testing.assert_array_equal(grid_cells(*centres_C2.T, rows), np.arange(2 * rows**2))
    corners = grid_cells(np.array([-90.0, 90.0, 90.0]), np.array([-180.0, 180.0, -180.0]), rows)
    assert corners.tolist() == [0, 2 * rows**2 - 1, 2 * rows * (rows - 1)]


def test_a_grid_cell_answers_with_the_mean_of_its_photographs(checkpoint_of, rows):
    grid = checkpoint.load(checkpoint_of("planet_net", idea=False), device="cpu")
    lon_deg, train = rows["lon_deg"].to_numpy(), np.array(rows["set_name"].to_pylist()) == "train"
    assert grid.rows == 1
    east = train & (lon_deg >= 0)
    assert east.sum() > 20
    vectors = np.radians(np.stack([rows["lat_deg"].to_numpy()[east], lon_deg[east]], axis=1))
    mean = np.stack([np.cos(vectors[:, 0]) * np.cos(vectors[:, 1]), np.cos(vectors[:, 0]) * np.sin(vectors[:, 1])])
    expected = np.degrees(np.arctan2(mean[1].mean(), mean[0].mean()))
    assert grid.place_C2[1, 1].item() == pytest.approx(expected)


def test_the_finest_partition_is_the_default_and_one_beyond_is_refused(world, tmp_path):
    config = tiny_baselines.config(world.clip, "planet_net", options=PlaNetOptions(), max_epochs=1)
    world.train(config, tmp_path / "finest")
    assert len(checkpoint.load(tmp_path / "finest", device="cpu").place_C2) == 12
    config = tiny_baselines.config(world.clip, "planet_net", options=PlaNetOptions(partition=3))
    with pytest.raises(CellCountError, match="has 3 partitions: choose 0 to 2"):
        world.train(config, tmp_path / "beyond")
