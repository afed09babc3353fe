import pytest
import torch

from geo_pipeline.geosurge.geography import GeographicEmbeddings


@pytest.fixture
def geography():
    torch.manual_seed(0)
    return GeographicEmbeddings([3, 6], 5, 0.07, 100.0)


def test_temperature_starts_at_007_and_is_clamped_as_in_clip(geography):
    assert 1 / geography.scale(0).item() == pytest.approx(0.07)
    with torch.no_grad():
        geography.log_scale_P.fill_(20.0)
    assert geography.scale(1).item() == pytest.approx(100.0)


def test_logits_are_cosines_over_temperature(geography):
    features_BD = torch.nn.functional.normalize(torch.randn(4, 5), dim=1)
    cosines, logits = geography.cosines(features_BD), geography.logits(features_BD)
    assert [tuple(values.shape) for values in logits] == [(4, 3), (4, 6)]
    assert all(values.abs().max() <= 1 + 1e-6 for values in cosines)
    torch.testing.assert_close(logits[1], cosines[1] / 0.07)
