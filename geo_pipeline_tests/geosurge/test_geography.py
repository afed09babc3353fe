import math

import pytest
import torch

from geo_pipeline.geosurge.geography import GeographicEmbeddings


@pytest.fixture
def geography():
    torch.manual_seed(0)
    return GeographicEmbeddings([3, 6], 5, 0.07, 100.0)


def test_temperature_starts_at_007_and_is_clamped_in_place_as_in_clip(geography):
    assert 1 / geography.scale(0).item() == pytest.approx(0.07)
    with torch.no_grad():
        geography.log_scale_P.copy_(torch.tensor([20.0, -20.0]))
    geography.settle()
    assert geography.log_scale_P.tolist() == pytest.approx([math.log(100), 0])


def test_a_temperature_that_was_driven_over_its_bound_comes_back(geography):
    """A clamp where it is read would hold it there for good: beyond the bound it has no gradient."""
    optimizer = torch.optim.AdamW([geography.log_scale_P], lr=0.05)
    reached = []
    for wanted in (-1, 1):  # higher, then lower scales
        for _ in range(60):
            optimizer.zero_grad()
            (wanted * geography.scale(0)).backward()
            optimizer.step()
            geography.settle()
        reached.append(geography.scale(0).item())
    assert reached[0] == pytest.approx(100)
    assert reached[1] < 50


def test_logits_are_cosines_over_temperature(geography):
    features_BD = torch.nn.functional.normalize(torch.randn(4, 5), dim=1)
    cosines, logits = geography.cosines(features_BD), geography.logits(features_BD)
    assert [tuple(values.shape) for values in logits] == [(4, 3), (4, 6)]
    assert all(values.abs().max() <= 1 + 1e-6 for values in cosines)
    torch.testing.assert_close(logits[1], cosines[1] / 0.07)
