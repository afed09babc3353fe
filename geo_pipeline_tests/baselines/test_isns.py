from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.cell_scores import (
    CellCountError,
    cell_sums,
    chosen_partitions,
    covered,
    hierarchy_scores,
    partitions_of,
)
from geo_pipeline.baselines.config import BaselineConfig, IsnsOptions
from geo_pipeline.baselines.scenes import INDOOR, NATURAL, URBAN
from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.sample_world.ade20k import CLASS_IDS
from geo_pipeline_tests.baselines import tiny_baselines
from geo_pipeline_tests.geosurge import tiny_geosurge

CENTRE = InferenceConfig(crops="centre")


@pytest.fixture(scope="module")
def model(checkpoint_of):
    return checkpoint.load(checkpoint_of("isns"), device="cpu")


@pytest.fixture(scope="module")
def pixels():
    return torch.randint(0, 256, (6, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def maps_of(*names):
    return torch.stack([torch.full((28, 28), CLASS_IDS[name], dtype=torch.uint8) for name in names])


def test_it_learns_the_towns(predictions_of, rows):
    assert np.mean(tiny_baselines.errors_km(predictions_of("isns"), rows) < 100) > 0.9


def test_without_scenes_the_same_images_are_answered_otherwise(predictions_of):
    assert tiny_baselines.differ(predictions_of("isns"), predictions_of("isns", idea=False))


@pytest.mark.parametrize("idea", [True, False])
def test_the_class_map_decides_only_with_the_idea(checkpoint_of, rows, idea):
    """All maps turned into meadows: another network answers, unless there is but one."""
    meadow = tiny_geosurge.png(np.full((32, 32), CLASS_IDS["grass"], np.uint8))
    changed = rows.drop_columns("class_map_png").append_column("class_map_png", pa.array([meadow] * len(rows)))
    predictor = BaselinePredictor(checkpoint_of("isns", idea), inference=CENTRE, device="cpu")
    assert tiny_baselines.differ(predictor(rows), predictor(changed)) is idea


def test_each_image_goes_through_the_network_of_its_scene(model, pixels):
    names = ("grass", "wall", "building", "bed", "car", "sea")
    scenes = (NATURAL, INDOOR, URBAN, INDOOR, URBAN, NATURAL)
    with torch.no_grad():
        found = model.logits(pixels, maps_of(*names))
        cls_BD = model.cls(pixels)
        for row, scene in enumerate(scenes):
            expected = model.networks[scene](cls_BD[row : row + 1])
            for part, alone in zip(found, expected, strict=True):
                torch.testing.assert_close(part[row], alone[0])


def test_a_scene_that_no_image_shows_is_no_obstacle(model, pixels):
    loss = model.loss(pixels, maps_of(*["sea"] * 6), torch.zeros(6, 3, dtype=torch.int64))
    loss.backward()
    assert torch.isfinite(loss)
    assert model.networks[URBAN].heads[0].weight.grad.abs().sum() == 0
    assert model.networks[NATURAL].heads[0].weight.grad.abs().sum() > 0
    model.zero_grad()


def test_fine_cells_score_by_the_product_over_the_hierarchy():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(4, count, generator=generator) for count in (2, 3, 5)]
    ancestors_FP = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [1, 2, 4]])
    found_BF = hierarchy_scores(logits, ancestors_FP).exp()
    probabilities = [part.softmax(dim=1) for part in logits]
    plain_BF = torch.stack(
        [
            torch.stack([p[:, c] for p, c in zip(probabilities, row, strict=True)]).prod(0)
            for row in ancestors_FP.tolist()
        ],
        dim=1,
    )
    torch.testing.assert_close(found_BF, plain_BF / plain_BF.sum(dim=1, keepdim=True))


def test_images_outside_the_cells_do_not_count():
    logits_BC = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    cells_BP = torch.tensor([[1, 0], [-1, 3], [2, -1]])
    sums_P = cell_sums([logits_BC, logits_BC], cells_BP)
    inside = functional.cross_entropy(logits_BC[[0, 2]], torch.tensor([1, 2]))
    torch.testing.assert_close(sums_P[0] / covered(cells_BP)[0], inside / 2)  # the mean over two partitions
    assert covered(cells_BP).tolist() == [2, 2]
    none = cell_sums([logits_BC], torch.tensor([[-1], [-1], [-1]])).sum()
    none.backward()
    assert none.item() == 0
    assert logits_BC.grad.abs().sum() == 0


def test_partitions_are_chosen_evenly_and_keep_their_parents():
    whole = tiny_geosurge.hierarchy(tau_max=(40, 12, 8, 5))
    chosen = chosen_partitions(whole, 2)
    assert [len(p) for p in chosen.partitions] == [len(whole.partitions[0]), len(whole.partitions[-1])]
    np.testing.assert_array_equal(chosen.ancestors(), whole.ancestors()[:, [0, -1]])
    assert chosen_partitions(whole, 4).fingerprint() == whole.fingerprint()
    only = chosen_partitions(whole, 1)
    np.testing.assert_array_equal(only.partitions[0].cell_ids, whole.partitions[-1].cell_ids)
    with pytest.raises(CellCountError, match="5 partitions wanted of a hierarchy of 4"):
        chosen_partitions(whole, 5)


class Asked:
    """A hierarchy that tells which of its partitions are taken."""

    def __init__(self, partitions):
        self.partitions = partitions

    def only(self, numbers):
        return list(numbers)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ((25000, 10000, 5000, 2000, 1000, 750, 500), [5000, 2000, 1000]),
        ((10000, 5000, 2000, 1000), [5000, 2000, 1000]),
        ((600, 300, 150, 80, 40, 25, 15), [150, 40, 25]),  # the sample's
        ((60, 40, 30, 20, 14, 10, 6), [14, 10, 6]),  # of a folder of photographs
        ((40, 12, 5), [40, 12, 5]),
    ],
)
def test_the_papers_partitions_are_chosen_by_their_tau_max_or_the_nearest(present, expected):
    assert [present[number] for number in partitions_of(Asked(present), present, IsnsOptions().tau_max)] == expected


def test_thresholds_that_are_not_those_of_the_cells_are_refused(world, tmp_path):
    config = tiny_baselines.config(world.clip, "isns", options=IsnsOptions(tau_max=(9, 8, 7, 6)))
    with pytest.raises(CellCountError, match="4 partitions wanted by tau_max of a hierarchy of 3"):
        world.train(config, tmp_path)
    with pytest.raises(CellCountError, match="of a hierarchy of 3 with 7 values of tau_max"):
        world.train(replace(config, tau_max=BaselineConfig("isns").tau_max), tmp_path)
