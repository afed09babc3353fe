"""Shapes: B images, P partitions, D width, C cells."""

import pytest
import torch
from torch.nn import functional

from geo_pipeline.geosurge.geography import GeographicEmbeddings
from geo_pipeline.geosurge.loss import hierarchical_loss


@pytest.fixture
def geography():
    torch.manual_seed(0)
    return GeographicEmbeddings([3, 6], 5, 0.07, 100.0).double()


@pytest.fixture
def features():
    torch.manual_seed(1)
    return functional.normalize(torch.randn(7, 5, dtype=torch.float64), dim=1).requires_grad_()


TARGETS_BP = torch.tensor([[0, 0], [0, 0], [1, 2], [2, -1], [1, 3], [0, 5], [2, 5]])


def letter_of_the_paper(features, geography, partition, targets_B, unique):
    """Equation 1 as a loop over images and cells."""
    terms = []
    for image, own in enumerate(targets_B.tolist()):
        if own < 0:
            continue
        others = [cell for cell in targets_B.tolist() if cell >= 0]
        others = sorted(set(others)) if unique else others
        logits = [geography.scale(partition) * (features[image] @ geography.unit(partition)[cell]) for cell in others]
        own_logit = geography.scale(partition) * (features[image] @ geography.unit(partition)[own])
        terms.append(torch.logsumexp(torch.stack(logits), 0) - own_logit)
    return torch.stack(terms).mean()


@pytest.mark.parametrize("kind", ["unique_cells", "naive"])
def test_loss_is_equation_1(geography, features, kind):
    expected = sum(
        letter_of_the_paper(features, geography, p, TARGETS_BP[:, p], kind == "unique_cells") for p in (0, 1)
    )
    torch.testing.assert_close(hierarchical_loss(features, TARGETS_BP, geography, kind=kind), expected)


def test_naive_symmetric_is_clips_two_way_cross_entropy(geography, features):
    targets_BP = TARGETS_BP[[0, 1, 2, 4, 5]]
    logits_BB = geography.scale(1) * features[[0, 1, 2, 4, 5]] @ geography.unit(1, targets_BP[:, 1]).T
    diagonal_B = torch.arange(5)
    expected = (functional.cross_entropy(logits_BB, diagonal_B) + functional.cross_entropy(logits_BB.T, diagonal_B)) / 2
    logits_first = geography.scale(0) * features[[0, 1, 2, 4, 5]] @ geography.unit(0, targets_BP[:, 0]).T
    expected += (
        functional.cross_entropy(logits_first, diagonal_B) + functional.cross_entropy(logits_first.T, diagonal_B)
    ) / 2
    found = hierarchical_loss(features[[0, 1, 2, 4, 5]], targets_BP, geography, kind="naive", symmetric=True)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["unique_cells", "naive"])
def test_micro_batches_add_up_to_the_gradient_of_the_batch(geography, features, kind):
    hierarchical_loss(features, TARGETS_BP, geography, kind=kind).backward()
    whole = [features.grad.clone()] + [parameter.grad.clone() for parameter in geography.parameters()]
    features.grad = None
    geography.zero_grad()
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        hierarchical_loss(features[part], TARGETS_BP[part], geography, TARGETS_BP, kind).backward()
    parts = [features.grad] + [parameter.grad for parameter in geography.parameters()]
    for expected, found in zip(whole, parts, strict=True):
        torch.testing.assert_close(found, expected)


def test_an_uncovered_image_is_masked_in_its_partition_only(geography, features):
    hierarchical_loss(features, torch.tensor([[-1, -1]] * 6 + [[0, -1]]), geography).backward()
    assert torch.count_nonzero(features.grad[:6]) == 0
    features.grad = None
    hierarchical_loss(features, TARGETS_BP, geography).backward()
    assert torch.count_nonzero(features.grad[3]) > 0  # covered in partition 0


def test_a_batch_that_no_partition_covers_has_zero_loss_and_gradients_for_all(geography, features):
    loss = hierarchical_loss(features, torch.full((7, 2), -1), geography)
    loss.backward()
    assert loss.item() == 0.0
    assert all(parameter.grad is not None for parameter in geography.parameters())


def test_two_images_of_one_cell_are_not_each_others_negatives(geography):
    features = functional.normalize(torch.ones(2, 5, dtype=torch.float64), dim=1)
    same_BP = torch.tensor([[1, 1], [1, 1]])
    assert hierarchical_loss(features, same_BP, geography).item() == pytest.approx(0.0, abs=1e-12)
    assert hierarchical_loss(features, same_BP, geography, kind="naive").item() == pytest.approx(2 * 0.6931471805599453)


def test_symmetric_wants_the_whole_batch(geography, features):
    with pytest.raises(ValueError, match="whole batch"):
        hierarchical_loss(features[:3], TARGETS_BP[:3], geography, TARGETS_BP, symmetric=True)
