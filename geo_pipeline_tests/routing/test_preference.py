"""DisPO's labels (equations 1 and 2): printed values, symmetry, failures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.routing.preference import DISPO_ALPHA, DISPO_EPSILON_KM, dispo, hard_label, training_error_km

errors_km = st.floats(0.0, 20_015.0, allow_nan=False)


def test_constants_are_the_papers():
    assert (DISPO_ALPHA, DISPO_EPSILON_KM) == (1.6, 1e-6)


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, 0.5), (2.0, 0.752), (10.0, 0.9755), (0.5, 0.248)])
def test_a_ratio_of_errors_gives_the_known_preference(ratio, expected):
    assert dispo([ratio * 100.0], [100.0])[0] == pytest.approx(expected, abs=5e-4)


@settings(max_examples=50, deadline=None)
@given(errors_km, errors_km)
def test_swapping_the_paradigms_mirrors_the_preference(first, second):
    assert dispo([first], [second])[0] + dispo([second], [first])[0] == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(errors_km, errors_km)
def test_preference_leans_to_the_label(retrieval, generation):
    preferred = dispo([retrieval], [generation])[0]
    if hard_label([retrieval], [generation])[0] == 1:
        assert preferred >= 0.5
    else:
        assert preferred <= 0.5


def test_an_infinite_error_is_half_the_circumference():
    assert training_error_km([np.inf, 3.0]).tolist() == [20_015.0, 3.0]
    assert dispo([np.inf], [20_015.0])[0] == pytest.approx(0.5)
    assert dispo([5.0], [np.inf])[0] < 1e-3


def test_a_tie_is_retrieval():
    assert hard_label([7.0, 7.0, np.inf], [7.0, 6.9, np.inf]).tolist() == [0, 1, 0]


@pytest.mark.parametrize("wrong", [np.nan, -1.0])
def test_an_error_that_is_no_distance_is_refused(wrong):
    with pytest.raises(ValueError, match="NaN or negative"):
        dispo([wrong], [1.0])
