"""Image and class map are cut alike."""

import numpy as np
import pytest

from geo_pipeline.imagery.crops import CropError, centre_crop, resize_pair, ten_crop

SIZE = 56


def marked_pair(height, width, row, column):
    """A dark image and map with one marked pixel: the same pixel is bright in one and class 149 in the other."""
    image = np.zeros((height, width, 3), np.uint8)
    class_map = np.zeros((height, width), np.uint8)
    image[row, column] = 255
    class_map[row, column] = 149
    return image, class_map


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (90, 64)])
def test_a_marked_pixel_is_followed_through_all_ten_crops(height, width):
    bottom, right = height - SIZE, width - SIZE
    starts = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    for row, column in [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (30, 33), (60, 5)]:
        crops, maps = (np.stack(part) for part in ten_crop(*marked_pair(height, width, row, column), SIZE))
        assert crops.shape == (10, SIZE, SIZE, 3)
        assert maps.shape == (10, SIZE, SIZE)
        for index, (top, left) in enumerate(starts):
            inside = 0 <= row - top < SIZE and 0 <= column - left < SIZE
            expected = [(row - top, column - left)] if inside else []
            mirrored = [(row - top, SIZE - 1 - (column - left))] if inside else []
            assert list(zip(*np.nonzero(maps[index]), strict=True)) == expected
            assert list(zip(*np.nonzero(maps[index + 5]), strict=True)) == mirrored
            assert np.array_equal(crops[index, :, :, 1] == 255, maps[index] == 149)
            assert np.array_equal(crops[index + 5, :, :, 1] == 255, maps[index + 5] == 149)


def test_the_centre_crop_is_the_fifth_of_ten():
    rng = np.random.default_rng(1)
    image, class_map = rng.integers(0, 255, (70, 90, 3), np.uint8), rng.integers(0, 150, (70, 90), np.uint8)
    crops, maps = ten_crop(image, class_map, SIZE)
    centre, centre_map = centre_crop(image, class_map, SIZE)
    assert np.array_equal(crops[4], centre)
    assert np.array_equal(maps[4], centre_map)


def test_resizing_never_invents_a_class_and_keeps_borders_together():
    class_map = np.zeros((40, 60), np.uint8)
    class_map[:, 30:] = 148
    image = np.repeat(class_map[:, :, None], 3, axis=2)
    for side in (20, 64, 97):
        larger, larger_map = resize_pair(image, class_map, side)
        assert larger.shape == (side, round(60 * side / 40), 3)
        assert set(np.unique(larger_map)) == {0, 148}
        agree = (larger[:, :, 0] > 74) == (larger_map == 148)
        assert agree.mean() > 0.97
    same, same_map = resize_pair(image, class_map, 40)
    assert same is image
    assert same_map is class_map


def test_pairs_that_do_not_fit_are_refused():
    image, class_map = marked_pair(64, 64, 1, 1)
    with pytest.raises(CropError, match="Segment the canonical image again"):
        ten_crop(image, class_map[:60], SIZE)
    with pytest.raises(CropError, match="resize_pair"):
        ten_crop(image, class_map, 65)
