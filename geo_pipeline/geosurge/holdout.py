"""How well features of held-out images find their places: the metric that training shows beside its loss.

Benchmarks are scored by `scoring`, from predictions; this is the same measure on the fly.

Shapes: M images, D width.
"""

import numpy as np
from torch import Tensor

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.scoring.accuracy import THRESHOLDS_KM


def summed_accuracy(model: GeoSurge, features_MD: Tensor, lat_deg: np.ndarray, lon_deg: np.ndarray) -> float:
    """The sum over these images of the share of thresholds within which their best cell lies."""
    found_M2 = model.best_places(features_MD)
    error_km = great_circle_km(found_M2[:, 0], found_M2[:, 1], lat_deg, lon_deg)
    return float(np.mean([error_km <= threshold for threshold in THRESHOLDS_KM], axis=0).sum())
