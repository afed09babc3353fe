"""The decision rule of section 3.4."""

import pytest

from geo_pipeline.routing.decision import decide


@pytest.mark.parametrize(
    ("score", "chosen"), [(3.39, "generation"), (1e-9, "generation"), (0.0, "retrieval"), (-0.1, "retrieval")]
)
def test_only_a_positive_score_chooses_generation(score, chosen):
    assert decide(score) == chosen


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        decide(float("nan"))
