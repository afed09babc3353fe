"""How near the coordinates found for held-out images are: the metric that training shows beside its loss.

Benchmarks are scored by `scoring`, from predictions; this is the same measure on the fly.

Shapes: M images.
"""

import numpy as np

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.earth.thresholds import THRESHOLDS_KM


def summed_accuracy(found_M2: np.ndarray, lat_deg_M: np.ndarray, lon_deg_M: np.ndarray) -> float:
    """The sum over these images of the share of thresholds within which the latitude and longitude found lie."""
    error_km = great_circle_km(found_M2[:, 0], found_M2[:, 1], lat_deg_M, lon_deg_M)
    return float(np.mean([error_km <= threshold for threshold in THRESHOLDS_KM], axis=0).sum())
