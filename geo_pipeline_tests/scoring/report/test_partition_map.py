"""The picture of a partition: its projection against PROJ, its pixels against the cells, its words without overlap."""

import io

import matplotlib as mpl
import numpy as np
import pyproj
import pytest
from PIL import Image

from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.scoring.report import partition_map as module
from geo_pipeline.scoring.report.partition_map import partition_figure, partition_map, share_text, shown_partitions


@pytest.fixture(scope="module")
def hierarchy():
    rng = np.random.default_rng(0)
    lat = np.concatenate([rng.normal(-17, 3, 300), rng.normal(60, 5, 300), np.full(200, 48.85)])
    lon = np.concatenate([(rng.normal(180, 3, 300) + 180) % 360 - 180, rng.normal(20, 9, 300), np.full(200, 2.35)])
    return build_hierarchy(lat, lon, PartitionConfig(5, (200, 40)))


@pytest.fixture(scope="module")
def picture(hierarchy):
    return np.asarray(Image.open(io.BytesIO(partition_map(hierarchy, 900))).convert("RGB")).astype(int)


def test_the_projection_is_equal_earth():
    lat, lon = (grid.reshape(-1) for grid in np.meshgrid(np.linspace(-90, 90, 19), np.linspace(-180, 180, 25)))
    expected = pyproj.Proj("+proj=eqearth +R=1")(lon, lat)
    np.testing.assert_allclose(module.project(lat, lon), expected, atol=1e-6)


def test_every_sample_goes_back_to_where_it_is_drawn():
    lat, lon, inside = module.sample_grid(300)
    x, y = module.project(lat, lon)
    rows, columns = np.nonzero(inside)
    half_x, half_y = module.map_extent()
    height, width = inside.shape
    np.testing.assert_allclose(x, (columns + 0.5) / width * 2 * half_x - half_x, atol=1e-6)
    np.testing.assert_allclose(y, half_y - (rows + 0.5) / height * 2 * half_y, atol=1e-6)
    assert 0.8 < inside.mean() < 0.95


def test_the_picture_shows_cells_and_nowhere(hierarchy, picture):
    def near(colour):
        return np.abs(picture - 255 * np.array(mpl.colors.to_rgb(colour))).max(axis=2) <= 2

    assert near(module.NOWHERE).mean() > 0.2
    darkest = mpl.colormaps[module.PALETTE](1.0)[:3]
    assert near(darkest).sum() > 3, "the fullest cell has the palette's last colour"
    assert picture.shape[1] == round(module.INCHES * 160)
    assert picture.shape[0] > picture.shape[1], "two partitions, one above the other"


def test_one_leaf_is_seen_as_a_dot():
    one = build_hierarchy(np.full(30, 10.0), np.full(30, 20.0), PartitionConfig(5, (10,)))
    assert one.partitions[0].levels.tolist() == [30]
    picture = np.asarray(Image.open(io.BytesIO(partition_map(one, 30))).convert("RGB")).astype(int)
    half = picture[:, : round(picture.shape[1] * 0.85)]  # without the colour bar
    lightest = 255 * np.array(mpl.colormaps[module.PALETTE](module.PALETTE_FROM)[:3])
    assert (np.abs(half - lightest).max(axis=2) < 60).sum() >= 1


def test_no_words_overlap_or_leave_the_picture():
    rng = np.random.default_rng(1)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 4000))), rng.uniform(-180, 180, 4000)
    many = build_hierarchy(lat, lon, PartitionConfig(1, (1200, 300, 90, 12)))
    figure = partition_figure(many, 123_456_789, [0, 3])
    mpl.backends.backend_agg.FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.findobj(mpl.text.Text) if text.get_text().strip() and text.get_visible()]
    words = {text.get_text() for text in texts}
    assert {"Photographs in the cell", "60°N", "0°"} <= words
    assert any("finest" in word for word in words)
    assert len(figure.axes) == 4  # two maps, each with its colour bar
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    width, height = figure.get_size_inches() * figure.dpi
    for at, (word, box) in enumerate(boxes):
        assert box.x0 >= 0, word
        assert box.x1 <= width, word
        assert box.y0 >= 0, word
        assert box.y1 <= height, word
        for other, other_box in boxes[at + 1 :]:
            assert not box.overlaps(other_box), (word, other)


def test_without_a_choice_three_are_shown_and_of_more_the_coarsest_and_the_finest():
    assert [shown_partitions(count) for count in (1, 2, 3, 7)] == [[0], [0, 1], [0, 1, 2], [0, 6]]


def test_a_share_says_all_or_none_only_where_it_is_true():
    assert share_text(10, 10) == "100.00 %"
    assert share_text(999_999, 1_000_000) == "99.99 %"
    assert share_text(1, 1_000_000) == "0.01 %"
    assert share_text(0, 0) == "0.00 %"
