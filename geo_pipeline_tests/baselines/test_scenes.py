import pytest
import torch

from geo_pipeline.baselines.scenes import (
    INDOOR,
    NATURAL,
    NATURE,
    NEUTRAL,
    SCENES,
    STREET,
    URBAN,
    scene_labels,
    scene_of_class,
    scene_shares,
)
from geo_pipeline.sample_world.ade20k import ADE20K_CLASSES, CLASS_IDS


def class_map(**pixels):
    """A 10 x 10 map with so many pixels of each class (underscores stand for spaces)."""
    flat = [CLASS_IDS[name.replace("_", " ")] for name, count in pixels.items() for _ in range(count)]
    assert len(flat) == 100
    return torch.tensor(flat, dtype=torch.uint8).reshape(1, 10, 10)


@pytest.mark.parametrize(
    ("pixels", "scene"),
    [
        ({"wall": 50, "bed": 20, "tree": 30}, INDOOR),
        ({"sky": 60, "mountain": 25, "road": 15}, NATURAL),
        ({"sky": 60, "building": 21, "tree": 19}, URBAN),
        ({"sky": 90, "person": 10}, NATURAL),
        ({"grass": 50, "building": 50}, NATURAL),
        ({"wall": 50, "building": 50}, URBAN),
        ({"dirt_track": 51, "traffic_light": 49}, NATURAL),
    ],
)
def test_what_covers_most_of_the_picture_tells_the_scene(pixels, scene):
    assert scene_labels(class_map(**pixels)).tolist() == [scene]


def test_shares_leave_out_what_stands_anywhere():
    shares_BS = scene_shares(class_map(sky=40, grass=30, building=20, bed=10))
    torch.testing.assert_close(shares_BS, torch.tensor([[0.1, 0.3, 0.2]]))
    assert SCENES == ("indoor", "natural", "urban")


def test_every_named_class_is_one_of_ade20k_and_has_one_scene():
    names = [*NEUTRAL, *NATURE, *STREET]
    assert set(names) <= set(ADE20K_CLASSES)
    assert len(names) == len(set(names))
    assert {scene_of_class(name) for name in ADE20K_CLASSES} == {None, INDOOR, NATURAL, URBAN}
    assert scene_of_class("refrigerator") == INDOOR


def test_a_class_that_ade20k_lacks_counts_for_nothing():
    assert scene_shares(torch.full((2, 4, 4), 255, dtype=torch.uint8)).sum() == 0
