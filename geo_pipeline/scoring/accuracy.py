"""Accuracy at distance thresholds, with its intervals: the one definition of every score in the project.

The denominator is every query, always: a failed prediction has an infinite error and counts as wrong at every
threshold. Errors themselves are computed by `earth.distance.errors_km`; reading files of predictions belongs to
`prediction_files`, judging a router's choices to `routing`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.imagery.authors import author_keys

_BLOCK = 64  # bootstrap replicates held in memory at once


class ScoreError(ValueError):
    """Errors or predictions that cannot be scored; the message says what was found, expected, and what to do next."""


@dataclass(frozen=True)
class Score:
    """Accuracy of one method on one set of queries.

    accuracy: fraction within each threshold (km), comparison `<=`. interval_95: (low, high) by threshold. median_km is
    infinite where half of the queries failed. Of a predictions file: ignored_rows belong to no query, unreadable_rows
    have something that is no coordinate, and remarks give both in words; findings are signs of a broken run
    (`broken_runs`); region: where the true coordinates of the
    counted queries lie, None without a limit; outside: queries left out, being elsewhere.
    """

    count: int
    failures: int
    accuracy: Mapping[float, float]
    interval_95: Mapping[float, tuple[float, float]]
    median_km: float
    distance: str
    ignored_rows: int = 0
    unreadable_rows: int = 0
    remarks: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    region: str | None = None
    outside: int = 0

    def to_json(self) -> dict[str, object]:
        """Plain values for `json.dumps`: thresholds as text keys, unrounded fractions, an infinite median as null."""
        return {
            "count": self.count,
            "failures": self.failures,
            "distance": self.distance,
            "accuracy": {f"{limit:g}": value for limit, value in self.accuracy.items()},
            "interval_95": {f"{limit:g}": list(pair) for limit, pair in self.interval_95.items()},
            "median_km": self.median_km if math.isfinite(self.median_km) else None,
            "ignored_rows": self.ignored_rows,
            "unreadable_rows": self.unreadable_rows,
            "remarks": list(self.remarks),
            "findings": list(self.findings),
            "region": self.region,
            "outside": self.outside,
        }


def score_errors(
    error_km: ArrayLike,
    clusters: Sequence[str | None] | np.ndarray | None = None,
    thresholds: Sequence[float] = THRESHOLDS_KM,
    distance: str = "great_circle",
    seed: int = 0,
    replicates: int = 1000,
) -> Score:
    """Score errors (N,) in km, infinite for failures, with 95 % bootstrap intervals.

    clusters: N labels, the authors of the images, drawn as wholes, however they are spelt (`author_key`); an unknown
    one is a cluster of its own, and no labels means that every query is. The same errors, labels, order and seed give
    the same intervals.
    """
    errors = _checked(error_km)
    hits_NK = _hits(errors, thresholds)
    hits_CK, sizes_C = _by_cluster(hits_NK, clusters)
    draws_RK = _bootstrap(hits_CK, sizes_C, seed, replicates)
    low_K, high_K = np.quantile(draws_RK, [0.025, 0.975], axis=0)
    ordered = np.sort(errors)
    return Score(
        count=len(errors),
        failures=int(np.isinf(errors).sum()),
        accuracy=dict(zip(map(float, thresholds), hits_NK.mean(axis=0).tolist(), strict=True)),
        interval_95={float(k): (float(low_K[n]), float(high_K[n])) for n, k in enumerate(thresholds)},
        median_km=float((ordered[(len(errors) - 1) // 2] + ordered[len(errors) // 2]) / 2),
        distance=distance,
    )


def mean_accuracy(score: Score) -> float:
    """Plain mean over the thresholds (GeoRouter, Table 3, "Average"), a fraction."""
    return float(np.mean(list(score.accuracy.values())))


def paired_difference(
    error_a_km: ArrayLike,
    error_b_km: ArrayLike,
    clusters: Sequence[str | None] | np.ndarray | None = None,
    thresholds: Sequence[float] = THRESHOLDS_KM,
    seed: int = 0,
    replicates: int = 2000,
) -> tuple[float, float, float, float]:
    """(difference, low, high, p) of the mean accuracy of two methods on the same queries, a minus b, as fractions.

    low, high: 95 % bootstrap over clusters. p: two-sided sign-flip test, the clusters' differences being as likely to
    have either sign when the methods are equally good; at least 1 / (replicates + 1).
    """
    first, second = _paired(error_a_km, error_b_km)
    gain_N1 = (_hits(first, thresholds).mean(axis=1) - _hits(second, thresholds).mean(axis=1))[:, None]
    gain_C1, sizes_C = _by_cluster(gain_N1, clusters)
    low, high = np.quantile(_bootstrap(gain_C1, sizes_C, seed, replicates), [0.025, 0.975])
    moving = gain_C1[gain_C1 != 0.0]
    generator = np.random.default_rng(seed)
    least_extreme = abs(moving.sum()) - 1e-9
    extreme = 0
    for start in range(0, replicates, _BLOCK):
        signs = generator.choice((-1.0, 1.0), size=(min(_BLOCK, replicates - start), len(moving)))
        extreme += int((np.abs(signs @ moving) >= least_extreme).sum())
    return float(gain_N1.mean()), float(low), float(high), (extreme + 1) / (replicates + 1)


def paired_by_threshold(
    error_a_km: ArrayLike,
    error_b_km: ArrayLike,
    clusters: Sequence[str | None] | np.ndarray | None = None,
    thresholds: Sequence[float] = THRESHOLDS_KM,
    seed: int = 0,
    replicates: int = 2000,
) -> dict[float, tuple[float, float, float]]:
    """(difference, low, high) of the accuracies of two methods at each threshold, a minus b, as fractions.

    The same queries in the same order; low, high: 95 % bootstrap over clusters, as in `paired_difference`.
    """
    first, second = _paired(error_a_km, error_b_km)
    gain_NK = _hits(first, thresholds) - _hits(second, thresholds)
    gain_CK, sizes_C = _by_cluster(gain_NK, clusters)
    low_K, high_K = np.quantile(_bootstrap(gain_CK, sizes_C, seed, replicates), [0.025, 0.975], axis=0)
    rows = zip(thresholds, gain_NK.mean(axis=0), low_K, high_K, strict=True)
    return {float(limit): (float(gain), float(low), float(high)) for limit, gain, low, high in rows}


def _paired(error_a_km: ArrayLike, error_b_km: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = _checked(error_a_km), _checked(error_b_km)
    if len(first) != len(second):
        raise ScoreError(
            f"found {len(first)} and {len(second)} errors; expected the same queries in the same order for both "
            "methods; match them by image"
        )
    return first, second


def _checked(error_km: ArrayLike) -> np.ndarray:
    errors = np.asarray(error_km, np.float64).reshape(-1)
    if len(errors) == 0:
        raise ScoreError("found no queries; expected at least one; check that the benchmark is not empty")
    if np.isnan(errors).any() or (errors < 0).any():
        raise ScoreError(
            "found errors that are NaN or negative; expected km, infinite for a failure; compute them with errors_km"
        )
    return errors


def _hits(errors: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Floats (N, K): 1 where the error is within the threshold."""
    return (errors[:, None] <= np.asarray(thresholds, np.float64)).astype(np.float64)


def _by_cluster(
    values_NK: np.ndarray, clusters: Sequence[str | None] | np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(sums (C, K), sizes (C,)) per cluster, clusters in order of first appearance."""
    if clusters is None:
        return values_NK, np.ones(len(values_NK))
    if len(clusters) != len(values_NK):
        raise ScoreError(
            f"found {len(clusters)} cluster labels for {len(values_NK)} queries; expected one per query; match them "
            "by image"
        )
    numbers: dict[object, int] = {}
    # An author who is unknown is unlike every other: the position stands for him.
    keys = [("unknown", row) if label is None else label for row, label in enumerate(author_keys(clusters))]
    index_N = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    sums_CK = np.stack([np.bincount(index_N, weights=column) for column in values_NK.T], axis=1)
    return sums_CK, np.bincount(index_N).astype(np.float64)


def _bootstrap(sums_CK: np.ndarray, sizes_C: np.ndarray, seed: int, replicates: int) -> np.ndarray:
    """Means (R, K) over C clusters drawn with replacement, R times."""
    generator = np.random.default_rng(seed)
    count = len(sizes_C)
    means = []
    for start in range(0, replicates, _BLOCK):
        rows = min(_BLOCK, replicates - start)
        drawn = generator.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
        weights_RC = np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count)
        means.append((weights_RC @ sums_CK) / (weights_RC @ sizes_C)[:, None])
    return np.concatenate(means)
