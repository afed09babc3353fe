import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.scoring.accuracy import (
    THRESHOLDS_KM,
    ScoreError,
    mean_accuracy,
    paired_by_threshold,
    paired_difference,
    score_errors,
)

ERRORS = st.lists(st.floats(0, 20_016) | st.sampled_from([1.0, 25.0, 200.0, math.inf]), min_size=1, max_size=40)


def test_the_thresholds_are_those_of_the_tables():
    assert THRESHOLDS_KM == (1, 25, 200, 750, 2500)


def test_an_error_on_the_threshold_counts_as_within():
    score = score_errors([1.0, 25.0, 200.0, 750.0, 2500.0, np.nextafter(2500.0, 9e9), math.inf, 0.0])
    assert [score.accuracy[k] * 8 for k in THRESHOLDS_KM] == [2, 3, 4, 5, 6]
    assert (score.count, score.failures) == (8, 1)
    assert mean_accuracy(score) == pytest.approx((2 + 3 + 4 + 5 + 6) / 40)


@given(errors=ERRORS, failures=st.integers(0, 10))
@settings(max_examples=40, deadline=None)
def test_failures_stay_in_the_denominator(errors, failures):
    before = score_errors(errors, replicates=20)
    after = score_errors([*errors, *[math.inf] * failures], replicates=20)
    assert after.count == before.count + failures
    assert after.failures == before.failures + failures
    for k in THRESHOLDS_KM:
        assert after.accuracy[k] * after.count == pytest.approx(before.accuracy[k] * before.count)
        low, high = after.interval_95[k]
        assert 0 <= low <= high <= 1
    assert list(after.accuracy.values()) == sorted(after.accuracy.values())


@pytest.mark.parametrize(
    ("errors", "median"),
    [
        ([3.0], 3.0),
        ([1.0, 3.0], 2.0),
        ([1.0, math.inf], math.inf),
        ([1.0, 2.0, math.inf], 2.0),
        ([math.inf] * 2, math.inf),
    ],
)
def test_the_median_knows_failures(errors, median):
    assert score_errors(errors, replicates=2).median_km == median


@pytest.mark.parametrize("wrong", [[], [math.nan], [-1.0]])
def test_what_cannot_be_scored_is_refused(wrong):
    with pytest.raises(ScoreError, match="expected"):
        score_errors(wrong)


def test_the_interval_of_independent_queries_is_that_of_the_binomial():
    errors = np.where(np.arange(1000) < 300, 10.0, 5000.0)
    low, high = score_errors(errors).interval_95[25.0]
    half = 1.96 * math.sqrt(0.3 * 0.7 / 1000)
    assert low == pytest.approx(0.3 - half, abs=0.005)
    assert high == pytest.approx(0.3 + half, abs=0.005)


def test_bob_and_bob_are_one_author():
    errors, other = np.where(np.arange(40) < 15, 10.0, 5000.0), np.full(40, 100.0)
    one = [None if n % 5 == 0 else f"bob {n // 4}" for n in range(40)]
    spelt = ["unknown" if author is None else author.title() + " " * (n % 3) for n, author in enumerate(one)]
    assert score_errors(errors, one) == score_errors(errors, spelt)
    for compared in (paired_difference, paired_by_threshold):
        assert compared(errors, other, one) == compared(errors, other, spelt)


def test_queries_of_one_author_widen_the_interval():
    errors = np.repeat(np.where(np.arange(50) < 15, 10.0, 5000.0), 20)
    authors = np.repeat([f"author {n}" for n in range(50)], 20)
    naive, clustered = score_errors(errors).interval_95[25.0], score_errors(errors, authors).interval_95[25.0]
    half = 1.96 * math.sqrt(0.3 * 0.7 / 50)
    assert clustered[1] - clustered[0] == pytest.approx(2 * half, abs=0.03)
    assert clustered[1] - clustered[0] > 3 * (naive[1] - naive[0])


def test_a_query_without_an_author_is_alone():
    errors = [1.0, 5000.0] * 50
    assert score_errors(errors, [None] * 100).interval_95 == score_errors(errors).interval_95
    with pytest.raises(ScoreError, match="one per query"):
        score_errors(errors, ["somebody"])


def test_the_seed_gives_the_interval():
    errors = np.random.default_rng(0).uniform(0, 3000, 200)
    assert score_errors(errors, seed=1) == score_errors(errors, seed=1)
    assert score_errors(errors, seed=1).interval_95 != score_errors(errors, seed=2).interval_95


def test_json_is_strict_and_unrounded():
    score = score_errors([1.0, math.inf, math.inf], replicates=10)
    plain = json.loads(json.dumps(score.to_json(), allow_nan=False))
    assert list(plain["accuracy"]) == ["1", "25", "200", "750", "2500"]
    assert plain["accuracy"]["1"] == 1 / 3
    assert plain["median_km"] is None
    assert (plain["count"], plain["failures"], plain["distance"]) == (3, 2, "great_circle")
    assert len(plain["interval_95"]["25"]) == 2


def test_a_method_does_not_differ_from_itself():
    errors = np.random.default_rng(0).uniform(0, 3000, 100)
    assert paired_difference(errors, errors) == (0.0, 0.0, 0.0, 1.0)


def test_a_clear_gain_is_seen_and_a_single_author_proves_nothing():
    generator = np.random.default_rng(0)
    worse = generator.uniform(0, 3000, 400)
    better = np.where(generator.uniform(size=400) < 0.2, 0.5, worse)
    difference, low, high, p = paired_difference(better, worse)
    assert 0 < low < difference < high
    assert p < 0.01
    mirrored = paired_difference(worse, better)
    assert mirrored[0] == pytest.approx(-difference)
    assert mirrored[1] == pytest.approx(-high, abs=0.01)
    assert paired_difference(better, worse, ["one author"] * 400)[3] == 1.0


def test_the_paired_test_holds_its_level():
    generator = np.random.default_rng(7)
    p_values = [
        paired_difference(generator.uniform(0, 3000, 60), generator.uniform(0, 3000, 60), replicates=200)[3]
        for _ in range(100)
    ]
    assert 0 <= np.mean(np.array(p_values) < 0.05) <= 0.12
    assert 0.35 < np.mean(p_values) < 0.65


def test_differences_by_threshold_are_those_of_the_accuracies_and_average_to_the_paired_difference():
    rng = np.random.default_rng(3)
    first, second = rng.exponential(300, 400), rng.exponential(600, 400)
    first[:5] = math.inf
    found = paired_by_threshold(first, second)
    for k in THRESHOLDS_KM:
        assert found[k][0] == pytest.approx((first <= k).mean() - (second <= k).mean())
        assert found[k][1] <= found[k][0] <= found[k][2]
    mean = paired_difference(first, second, replicates=50)[0]
    assert np.mean([found[k][0] for k in THRESHOLDS_KM]) == pytest.approx(mean)
    assert found[200.0][1] > 0


def test_one_author_widens_the_interval_of_a_difference():
    first, second = np.full(60, 0.5), np.full(60, 0.5)
    second[:20] = 500.0
    alone = paired_by_threshold(first, second)[25.0]
    together = paired_by_threshold(first, second, ["one"] * 20 + [f"other {n}" for n in range(40)])[25.0]
    assert alone[0] == together[0] == pytest.approx(1 / 3)
    assert together[2] - together[1] > 1.5 * (alone[2] - alone[1])
    with pytest.raises(ScoreError, match="found 60 and 59 errors"):
        paired_by_threshold(first, second[1:])


def test_unpaired_errors_are_refused():
    with pytest.raises(ScoreError, match="match them by image"):
        paired_difference([1.0], [1.0, 2.0])
