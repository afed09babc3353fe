"""Distance-aware preference labels (DisPO), equations 1 and 2 of the GeoRouter paper, section 3.3.

The loss that reads these labels stands with the network in `geo_pipeline.georouter.model`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geo_pipeline.earth.coordinates import HALF_CIRCUMFERENCE_KM

DISPO_ALPHA = 1.6
DISPO_EPSILON_KM = 1e-6


@dataclass(frozen=True)
class DispoConfig:
    """`alpha` and `epsilon_km` of `dispo`: how fast the preference grows with the ratio of the two errors."""

    alpha: float = DISPO_ALPHA
    epsilon_km: float = DISPO_EPSILON_KM

    def __post_init__(self) -> None:
        for name in ("alpha", "epsilon_km"):
            if getattr(self, name) <= 0:
                raise ValueError(f"found dispo.{name} = {getattr(self, name)}, expected above 0; raise it")


def training_error_km(error_km: ArrayLike) -> NDArray[np.float64]:
    """Error as training counts it: an infinite one (a failed paradigm) is half the Earth's circumference, 20,015 km."""
    error = np.asarray(error_km, dtype=np.float64)
    if np.isnan(error).any() or (error < 0).any():
        raise ValueError(
            "found an error in km that is NaN or negative; expected a distance, with infinity for a failed paradigm; "
            "compute the errors with earth.distance.errors_km"
        )
    return np.where(np.isinf(error), HALF_CIRCUMFERENCE_KM, error)


def dispo(
    retrieval_km: ArrayLike,
    generation_km: ArrayLike,
    alpha: float = DISPO_ALPHA,
    epsilon_km: float = DISPO_EPSILON_KM,
) -> NDArray[np.float64]:
    """Soft label p in (0, 1): how strongly generation is to be preferred (1) over retrieval (0).

    `p = sigmoid(alpha * (ln(d_ret + eps) - ln(d_gen + eps)))`; at alpha 1.6 a ratio of 2 gives 0.75, 10 gives 0.975.
    Both inputs are kilometres of shape [N]; infinite errors count as `HALF_CIRCUMFERENCE_KM`. Returns float64 [N].
    """
    delta = np.log(training_error_km(retrieval_km) + epsilon_km) - np.log(training_error_km(generation_km) + epsilon_km)
    # A numerically calm sigmoid: exact zeros of error give |delta| near 23, far from overflow.
    return np.asarray(1.0 / (1.0 + np.exp(-alpha * delta)), dtype=np.float64)


def hard_label(retrieval_km: ArrayLike, generation_km: ArrayLike) -> NDArray[np.int32]:
    """Binary label y of section 3.1: 1 where generation is strictly nearer; a tie is retrieval (0). Shape [N]."""
    return (np.asarray(generation_km, dtype=np.float64) < np.asarray(retrieval_km, dtype=np.float64)).astype(np.int32)
