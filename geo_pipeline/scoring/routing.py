"""How well a router chooses: routing accuracy (GeoRouter, Table 3), the oracle, and how far the router comes towards
it.

The accuracy of the routed predictions belongs to `accuracy`; making the choice belongs to `routing.decision`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.scoring.accuracy import ScoreError

PARADIGMS = ("retrieval", "generation")
ORACLE = "oracle"
"""Names the bound that no method reaches: the nearer of both paradigms, image by image."""


def oracle_errors(retrieval_km: ArrayLike, generation_km: ArrayLike) -> np.ndarray:
    """Errors (N,) in km of the router that always knows the nearer prediction."""
    retrieval, generation = _paired(retrieval_km, generation_km)
    return np.minimum(retrieval, generation)


def routed_errors(retrieval_km: ArrayLike, generation_km: ArrayLike, chose_generation: ArrayLike) -> np.ndarray:
    """Errors (N,) in km of the chosen predictions."""
    retrieval, generation = _paired(retrieval_km, generation_km)
    return np.where(_choices(chose_generation, len(retrieval)), generation, retrieval)


def routing_accuracy(
    retrieval_km: ArrayLike,
    generation_km: ArrayLike,
    chose_generation: ArrayLike,
    thresholds: Sequence[float] = THRESHOLDS_KM,
) -> list[tuple[float, int, int]]:
    """(threshold, eligible, correct) per threshold in km.

    Eligible are the queries whose better paradigm is within the threshold; correct are those sent to the better one. A
    tie counts as retrieval, as it does in the labels that the router learns from.
    """
    retrieval, generation = _paired(retrieval_km, generation_km)
    right = _choices(chose_generation, len(retrieval)) == (generation < retrieval)
    best = np.minimum(retrieval, generation)
    rows = []
    for limit in thresholds:
        eligible = best <= limit
        rows.append((float(limit), int(eligible.sum()), int((eligible & right).sum())))
    return rows


def share_of_gap_closed(router: float, retrieval: float, generation: float, oracle: float) -> float | None:
    """How far the router comes from the better paradigm towards the oracle, from mean accuracies in any one unit.

    1 is the oracle, 0 the better paradigm, negative is worse than that; None where the oracle is no better.
    """
    better = max(retrieval, generation)
    return (router - better) / (oracle - better) if oracle - better > 1e-12 else None


def _paired(retrieval_km: ArrayLike, generation_km: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    retrieval, generation = np.asarray(retrieval_km, np.float64), np.asarray(generation_km, np.float64)
    if retrieval.shape != generation.shape or np.isnan(retrieval).any() or np.isnan(generation).any():
        raise ScoreError(
            f"found {retrieval.shape} retrieval and {generation.shape} generation errors, or NaN among them; expected "
            "one km value of each per query, infinite for a failure; match them by image and compute them with "
            "errors_km"
        )
    return retrieval, generation


def _choices(chose_generation: ArrayLike, count: int) -> np.ndarray:
    chosen = np.asarray(chose_generation, dtype=bool)
    if chosen.shape != (count,):
        raise ScoreError(f"found choices of shape {chosen.shape}; expected ({count},); give one choice per query")
    return chosen
