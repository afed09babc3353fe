"""Examples of the drawn reports: real JPEGs and class maps, small, made with plain arithmetic."""

import io
import zlib

import numpy as np
import polars as pl
from PIL import Image

from geo_pipeline.sample_world.ade20k import CLASS_IDS
from geo_pipeline.scoring.examples import Example, Photograph, choose_examples, nearest_references
from geo_pipeline.scoring.report.example_figures import class_colour


def drawn_map(width: int = 64, height: int = 64, horizon: float = 0.4, seed: int = 0) -> np.ndarray:
    """Sky over grass with a building, a tree and a road: (height, width) uint8 classes."""
    rng = np.random.default_rng(seed)
    classes = np.full((height, width), CLASS_IDS["sky"], np.uint8)
    classes[int(horizon * height) :] = CLASS_IDS["grass"]
    left = int(rng.integers(0, width // 2))
    classes[int(0.15 * height) : int(0.6 * height), left : left + width // 4] = CLASS_IDS["building"]
    classes[int(0.8 * height) :] = CLASS_IDS["road"]
    classes[int(0.3 * height) : int(0.7 * height), -width // 6 :] = CLASS_IDS["tree"]
    return classes


def png(classes_YX: np.ndarray) -> bytes:
    """A class map as it is stored."""
    buffer = io.BytesIO()
    Image.fromarray(classes_YX).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(classes_YX: np.ndarray, seed: int = 0) -> bytes:
    """A photograph of a class map: its colours, a little noise."""
    colours = np.array([class_colour(at) for at in range(256)], np.int64)[classes_YX]
    noise = np.random.default_rng(seed).integers(-18, 19, (*classes_YX.shape, 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def drawn_photograph(image_id: str, credit: str | None = None, width: int = 64, height: int = 64) -> Photograph:
    """A photograph whose picture follows from its name."""
    seed = zlib.crc32(image_id.encode())
    classes = drawn_map(width, height, 0.3 + seed % 30 / 100, seed)
    return Photograph(image_id, jpeg(classes, seed), png(classes), credit)


def drawn_examples(judged: pl.DataFrame, per_benchmark: int = 2) -> tuple[Example, ...]:
    """Chosen from judged predictions of `geosurge`, with references near the true places; cells are 30 degrees wide."""
    rows = judged.filter(method="geosurge").to_dicts()
    by_id = {(row["benchmark"], row["image_id"]): row for row in rows}
    reference_lat = np.array([row["truth_lat_deg"] + 0.4 for row in rows if row["truth_lon_deg"] < 100])
    reference_lon = np.array([row["truth_lon_deg"] + 0.3 for row in rows if row["truth_lon_deg"] < 100])
    examples = []
    for chosen in choose_examples(judged, per_benchmark):
        for success, ids in ((True, chosen.successes), (False, chosen.failures)):
            for image_id in ids:
                row = by_id[chosen.benchmark, image_id]
                truth, answer = (row["truth_lat_deg"], row["truth_lon_deg"]), (row["lat_deg"], row["lon_deg"])
                found = nearest_references(
                    *([value] for value in (*truth, *answer)),
                    _cell([truth[0]], [truth[1]]),
                    reference_lat,
                    reference_lon,
                    _cell(reference_lat, reference_lon),
                )
                at = int(found.row[0])
                examples.append(
                    Example(
                        chosen.benchmark,
                        success,
                        drawn_photograph(image_id, f"{row['author']}, drawn"),
                        *truth,
                        *answer,
                        row["error_km"],
                        -1.5,
                        drawn_photograph(f"reference-{at:05d}", None),
                        float(reference_lat[at]),
                        float(reference_lon[at]),
                        bool(found.in_cell[0]),
                        float(found.to_prediction_km[0]),
                        float(found.to_truth_km[0]),
                        float(found.nearest_to_truth_km[0]),
                    )
                )
    return tuple(examples)


def _cell(lat_deg, lon_deg) -> np.ndarray:
    return (np.floor(np.asarray(lat_deg) / 30) * 100 + np.floor(np.asarray(lon_deg) / 30) + 1000).astype(np.int64)
