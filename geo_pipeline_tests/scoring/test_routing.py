import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.scoring.accuracy import ScoreError
from geo_pipeline.scoring.published import published_rows
from geo_pipeline.scoring.routing import oracle_errors, routed_errors, routing_accuracy, share_of_gap_closed

KM = st.floats(0, 20_000) | st.just(math.inf)


def test_only_queries_that_the_better_paradigm_places_are_eligible():
    retrieval = [0.5, 30.0, 10.0, math.inf, math.inf]
    generation = [2.0, 10.0, 10.0, 100.0, math.inf]
    chose = [False, False, True, True, True]
    # Eligible within 25 km: the first three. The second was sent wrong, and a tie belongs to retrieval.
    assert routing_accuracy(retrieval, generation, chose, [1, 25, 200]) == [(1.0, 1, 1), (25.0, 3, 1), (200.0, 4, 2)]


@settings(deadline=None, max_examples=50)
@given(pairs=st.lists(st.tuples(KM, KM, st.booleans()), min_size=1))
def test_the_two_pure_policies_share_the_eligible_queries(pairs):
    retrieval, generation = [p[0] for p in pairs], [p[1] for p in pairs]
    always = routing_accuracy(retrieval, generation, [True] * len(pairs))
    never = routing_accuracy(retrieval, generation, [False] * len(pairs))
    for (_, eligible, right), (_, same, other) in zip(always, never, strict=True):
        assert eligible == same == right + other
    best = oracle_errors(retrieval, generation)
    assert (best <= routed_errors(retrieval, generation, [p[2] for p in pairs])).all()
    perfect = routing_accuracy(retrieval, generation, np.array(generation) < np.array(retrieval))
    assert all(eligible == right for _, eligible, right in perfect)


def test_routed_errors_are_those_of_the_choice():
    assert routed_errors([1.0, 2.0], [3.0, 4.0], [True, False]).tolist() == [3.0, 2.0]


def test_the_papers_share_of_the_gap():
    for benchmark, percent in (("im2gps3k", 36), ("yfcc4k", 31)):
        average = {row.method: row.average for row in published_rows(benchmark) if row.source == "GeoRouter, Table 3"}
        share = share_of_gap_closed(
            average["GeoRouter"], average["Pure Retrieval"], average["Pure Generation"], average["Oracle"]
        )
        assert round(100 * share) == percent


def test_the_papers_routing_accuracies_are_counts_over_the_oracles_queries():
    """Protocol: eligible counts 728 to 2814 on IM2GPS3k and 1618 to 4041 on YFCC4k explain every printed value."""
    for benchmark, total, counts in (
        ("im2gps3k", 2997, (728, 1635, 2139, 2550, 2814)),
        ("yfcc4k", 4536, (1618, 2258, 2832, 3533, 4041)),
    ):
        oracle = next(row for row in published_rows(benchmark) if row.method == "Oracle")
        assert [oracle.agrees(k, 100 * n / total) for k, n in zip(oracle.values, counts, strict=True)] == [True] * 5
        for row in published_rows(benchmark, "routing_accuracy"):
            for (limit, value), eligible in zip(row.values.items(), counts, strict=True):
                assert row.agrees(limit, 100 * round(value / 100 * eligible) / eligible)


def test_there_is_no_share_of_no_gap():
    assert share_of_gap_closed(0.5, 0.5, 0.4, 0.5) is None
    assert share_of_gap_closed(0.4, 0.5, 0.4, 0.6) == pytest.approx(-1.0)


def test_unpaired_errors_are_refused():
    with pytest.raises(ScoreError, match="match them by image"):
        oracle_errors([1.0], [1.0, 2.0])
    with pytest.raises(ScoreError, match="errors_km"):
        oracle_errors([math.nan], [1.0])
    with pytest.raises(ScoreError, match="one choice per query"):
        routing_accuracy([1.0], [2.0], [True, False])
