"""Shapes: B images, C cells, F finest cells, P partitions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.geosurge.scores import combine, partition_scores, summed_table

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
    with pytest.raises(ValueError, match="empty"):
        summed_table([], [], torch.zeros((0, 0), dtype=torch.long))


def place_by_place(cosines, scales, rows_FP, kind):
    """The formula with loops over images, places and partitions, in float64."""
    total_BF = np.ones((len(cosines[0]), len(rows_FP))) if kind == "cosine_product" else 0.0
    total_BF = total_BF + np.zeros((len(cosines[0]), len(rows_FP)))
    for p, (cos_BC, scale) in enumerate(zip(cosines, scales, strict=True)):
        for image, cos_C in enumerate(cos_BC.double().numpy()):
            part_C = {
                "log_softmax": np.log(softmax(float(scale) * cos_C)),
                "shifted": np.log((1 + cos_C) / 2),
                "cosine_product": cos_C,
            }[kind]
            for place, row in enumerate(rows_FP[:, p].tolist()):
                value = part_C[row] if row >= 0 else part_C.min()
                if kind == "cosine_product":
                    total_BF[image, place] *= value
                else:
                    total_BF[image, place] += value
    return total_BF


@st.composite
def hierarchies(draw):
    """Features, tables and scales of one to four partitions, and the ancestors of the finest cells."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cells = sorted(draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
    rows = [np.arange(cells[-1])]
    for coarser, finer in zip(cells[-2::-1], cells[:0:-1], strict=True):
        rows.append(np.sort(rng.integers(0, coarser, finer))[rows[-1]])
    tables = [torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(count, 6))), dim=1) for count in cells]
    features = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(3, 6))), dim=1)
    scales = [torch.tensor(scale) for scale in rng.uniform(1, 100, len(cells))]
    return features, tables, scales, torch.from_numpy(np.stack(rows[::-1], axis=1))


@settings(deadline=None, max_examples=60)
@given(hierarchies(), st.sampled_from(["log_softmax", "cosine_product", "shifted"]), st.floats(0, 1))
def test_combining_equals_the_formula_place_by_place(drawn, kind, share_uncovered):
    features_BD, tables, scales, rows_FP = drawn
    uncovered_FP = torch.rand(rows_FP.shape, generator=torch.Generator().manual_seed(0)) < share_uncovered
    rows_FP = torch.where(uncovered_FP, -1, rows_FP)
    cosines = [features_BD @ table.T for table in tables]
    found_BF = combine(partition_scores(cosines, scales, kind), rows_FP, kind)
    np.testing.assert_allclose(found_BF, place_by_place(cosines, scales, rows_FP, kind), rtol=1e-7, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(hierarchies())
def test_one_product_with_the_summed_table_gives_the_same_distribution_over_the_finest_cells(drawn):
    features_BD, tables, scales, rows_FP = drawn
    exact_BF = place_by_place([features_BD @ table.T for table in tables], scales, rows_FP, "log_softmax")
    expected_BF = exact_BF - np.log(np.exp(exact_BF - exact_BF.max(1, keepdims=True)).sum(1, keepdims=True))
    expected_BF -= exact_BF.max(1, keepdims=True)
    for kind, atol in ((torch.float64, 1e-9), (torch.float32, 1e-4)):  # logits reach 400: a float32 step is 3e-5
        table_FD = summed_table([table.to(kind) for table in tables], [scale.to(kind) for scale in scales], rows_FP)
        found_BF = (features_BD.to(kind) @ table_FD.T).log_softmax(dim=1)
        np.testing.assert_allclose(found_BF, expected_BF, rtol=1e-6, atol=atol)


def test_combining_leaves_its_parts_as_they_were():
    parts = partition_scores(COSINES, SCALES, "shifted")
    before = [part.clone() for part in parts]
    combine(parts, ANCESTORS_FP, "shifted")
    combine(parts, ANCESTORS_FP, "cosine_product")
    torch.testing.assert_close(parts, before, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["log_softmax", "cosine_product", "shifted"])
def test_gradients_flow_through_combining(kind):
    cosines = [part.clone().requires_grad_() for part in COSINES]
    combine(partition_scores(cosines, SCALES, kind), ANCESTORS_FP, kind).sum().backward()
    assert all(bool(part.grad.abs().sum() > 0) for part in cosines if part.grad is not None)
    assert all(part.grad is not None for part in cosines)
