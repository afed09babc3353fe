"""Shapes: B images, C cells, F finest cells, P partitions."""

import numpy as np
import pytest
import torch

from geo_pipeline.geosurge.scores import combine, partition_scores

COSINES = [torch.tensor([[0.9, -0.5]]), torch.tensor([[0.2, 0.1, -0.6]])]
SCALES = [torch.tensor(10.0), torch.tensor(5.0)]
ANCESTORS_FP = torch.tensor([[0, 0], [0, 1], [1, 2]])


def softmax(values):
    exponentials = np.exp(np.asarray(values))
    return exponentials / exponentials.sum()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("log_softmax", [np.log(softmax([9, -5])[a] * softmax([1, 0.5, -3])[b]) for a, b in ANCESTORS_FP.tolist()]),
        ("cosine_product", [0.9 * 0.2, 0.9 * 0.1, -0.5 * -0.6]),
        ("shifted", [np.log(0.95 * 0.6), np.log(0.95 * 0.55), np.log(0.25 * 0.2)]),
    ],
)
def test_scores_of_the_finest_cells(kind, expected):
    scores_BF = combine(partition_scores(COSINES, SCALES, kind), ANCESTORS_FP, kind)
    np.testing.assert_allclose(scores_BF[0].numpy(), expected, rtol=1e-5)


def test_two_negative_cosines_make_a_positive_which_is_why_the_product_is_not_the_default():
    best = {
        kind: int(combine(partition_scores(COSINES, SCALES, kind), ANCESTORS_FP, kind).argmax())
        for kind in ("log_softmax", "cosine_product")
    }
    assert best == {"log_softmax": 0, "cosine_product": 2}


def test_an_uncovered_place_counts_as_the_least_probable_cell():
    parts = partition_scores(COSINES, SCALES, "log_softmax")
    scores_BF = combine(parts, torch.tensor([[0, -1], [-1, -1]]), "log_softmax")
    expected = [parts[0][0, 0] + parts[1][0].min(), parts[0][0].min() + parts[1][0].min()]
    torch.testing.assert_close(scores_BF[0], torch.stack(expected))


def test_an_empty_hierarchy_is_refused():
    with pytest.raises(ValueError, match="empty"):
        combine([], torch.zeros((0, 0), dtype=torch.long), "log_softmax")
