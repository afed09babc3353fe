"""Signs that a set of predictions is broken, though it can be scored: what a person would want to be told first.

Accuracy at chance level (rows that belong to other images, swapped axes), many images without a coordinate, one
coordinate given again and again (a default, a geocoded "Unknown"), answers in the sea, and answers that are the truth
itself. Each finding is a sentence; none changes a score.

Shapes: N queries, of which A have an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.open_sea import in_open_sea
from geo_pipeline.earth.thresholds import THRESHOLDS_KM

UNREAD_SHARE = 0.05
"""More images than this share without a coordinate are told."""
REPEATED_SHARE, REPEATED_LEAST = 0.01, 10
"""A coordinate is told that is given to more than this share of the images, and to at least so many."""
REPEATED_KM, REPEATED_RIGHT = 200.0, 0.1
"""... and lies within so many km of the truth for fewer than this share of them."""
LEAST_QUERIES = 30
"""Of fewer images, or fewer answers, nothing is said."""
SHUFFLES = 200
SEA_ASKED = 400
"""Answers that are looked up in the land-sea table, and as many true places; evenly spread over the rows."""
SEA_MORE, SEA_TRUE = 0.05, 0.10
"""Answers in the open sea are told when they are more by this share than the true places, of which few lie there."""
TRUTH_SHARE = 0.5
"""More answers than this share that are the true coordinate to the last digit are told."""


@dataclass(frozen=True, eq=False)
class AnsweredQueries:
    """Predictions beside the truth, degrees, float64 (N,) each; NaN where there is no prediction.

    `failures`: why there is none, as far as it is known.
    """

    lat_deg: np.ndarray
    lon_deg: np.ndarray
    truth_lat_deg: np.ndarray
    truth_lon_deg: np.ndarray
    failures: Sequence[str | None] = ()

    @cached_property
    def answered(self) -> np.ndarray:
        """Boolean (N,)."""
        return np.isfinite(self.lat_deg) & np.isfinite(self.lon_deg)

    def of_answered(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Latitude and longitude of the answers (A,), and of their true places (A,)."""
        columns = self.lat_deg, self.lon_deg, self.truth_lat_deg, self.truth_lon_deg
        lat, lon, true_lat, true_lon = (column[self.answered] for column in columns)
        return lat, lon, true_lat, true_lon


def findings(queries: AnsweredQueries, constant: bool = False) -> tuple[str, ...]:
    """What is suspicious, a sentence without a full stop each, the worst first; empty where nothing is.

    `constant`: the method is meant to give one coordinate to all, so that neither this nor chance is news.
    """
    if len(queries.lat_deg) < LEAST_QUERIES:
        return ()
    found = [_the_truth(queries), *([] if constant else [_at_chance(queries), *_repeated(queries)])]
    return tuple(each for each in (*found, _unread(queries), _in_the_sea(queries)) if each is not None)


def _the_truth(queries: AnsweredQueries) -> str | None:
    lat, lon, true_lat, true_lon = queries.of_answered()
    equal = int(((lat == true_lat) & (lon == true_lon)).sum())
    if len(lat) < LEAST_QUERIES or equal <= TRUTH_SHARE * len(lat):
        return None
    return (
        f"{equal:,} of {len(lat):,} answers are the true coordinate to the last digit: the columns that were read as "
        "predictions hold the truth"
    )


def _at_chance(queries: AnsweredQueries) -> str | None:
    """Whether the answers would score as high on one another's images: 97.5 % of shuffles do not reach a sound run."""
    lat, lon, true_lat, true_lon = queries.of_answered()
    if len(lat) < LEAST_QUERIES:
        return None
    generator = np.random.default_rng(0)
    shuffles = [generator.permutation(len(lat)) for _ in range(SHUFFLES)]
    chance = [_mean_accuracy(lat, lon, true_lat[order], true_lon[order]) for order in shuffles]
    reached = _mean_accuracy(lat, lon, true_lat, true_lon)
    if reached > np.quantile(chance, 0.975):
        return None
    return (
        f"accuracy is at chance level: {100 * reached:.2f} % in the mean, and {100 * float(np.mean(chance)):.2f} % "
        "when the same answers are dealt out to other images; check that ids and rows belong together, and the order "
        "of latitude and longitude"
    )


def _mean_accuracy(lat: np.ndarray, lon: np.ndarray, true_lat: np.ndarray, true_lon: np.ndarray) -> float:
    error_A = great_circle_km(lat, lon, true_lat, true_lon)
    return float(np.mean([(error_A <= limit).mean() for limit in THRESHOLDS_KM]))


def _repeated(queries: AnsweredQueries) -> list[str]:
    lat, lon, true_lat, true_lon = queries.of_answered()
    pairs, which, counts = np.unique(np.stack([lat, lon], axis=1), axis=0, return_inverse=True, return_counts=True)
    often = (counts >= REPEATED_LEAST) & (counts > REPEATED_SHARE * len(queries.lat_deg))
    told = []
    for pair in np.flatnonzero(often):
        mine = which.reshape(-1) == pair
        near = great_circle_km(lat[mine], lon[mine], true_lat[mine], true_lon[mine]) <= REPEATED_KM
        if near.mean() < REPEATED_RIGHT:
            told.append((int(counts[pair]), int(near.sum()), pairs[pair]))
    return [
        f"{count:,} images have the same answer {place[0]:g}, {place[1]:g}, which is within {REPEATED_KM:g} km of the "
        f"truth for {right:,} of them: it may stand for 'do not know'"
        for count, right, place in sorted(told, key=lambda each: -each[0])
    ]


def _unread(queries: AnsweredQueries) -> str | None:
    missing = int((~queries.answered).sum())
    if missing <= UNREAD_SHARE * len(queries.lat_deg):
        return None
    reasons = [reason for reason in queries.failures if reason is not None]
    most = max(sorted(set(reasons)), key=reasons.count, default=None)
    why = "" if most is None else f", {reasons.count(most):,} of them as {most}"
    share = 100 * missing / len(queries.lat_deg)
    return f"{missing:,} of {len(queries.lat_deg):,} images ({share:.1f} %) have no coordinate{why}"


def _in_the_sea(queries: AnsweredQueries) -> str | None:
    lat, lon, _, _ = queries.of_answered()
    if len(lat) < LEAST_QUERIES:
        return None
    true = _sea_share(queries.truth_lat_deg, queries.truth_lon_deg)
    if true > SEA_TRUE:
        return None  # a drawn planet, or a benchmark of ships
    answers = _sea_share(lat, lon)
    if answers <= true + SEA_MORE:
        return None
    return f"{100 * answers:.0f} % of the answers lie in the open sea, where {100 * true:.0f} % of the true places are"


def _sea_share(lat: np.ndarray, lon: np.ndarray) -> float:
    rows = np.unique(np.linspace(0, len(lat) - 1, min(SEA_ASKED, len(lat))).astype(int))
    return float(in_open_sea(lat[rows], lon[rows]).mean())
