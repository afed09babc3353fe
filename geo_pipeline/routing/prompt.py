"""What a vision-language model is asked, as text and images: the router's prompt template (GeoRouter, section 3.2).

A prompt is a tuple of strings and image parts; turning it into tensors is `geo_pipeline.lvlm.prompts`. Nothing but the
photograph's pixels and predicted coordinates enters a prompt: no ids, file names, authors or EXIF.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

PromptVariant = Literal[
    "full",
    "no_candidates",
    "no_candidates_no_retrieval",
    "no_generation",
    "image_only",
    "coordinates_only",
]
PROMPT_VARIANTS: tuple[PromptVariant, ...] = get_args(PromptVariant)

Coordinate = tuple[float, float]
"""(lat_deg, lon_deg)"""

UNAVAILABLE = "unavailable"


@dataclass(frozen=True, eq=False)
class ImagePart:
    """One image of a prompt: `rgb_HWC`, uint8, canonical orientation, without metadata."""

    rgb_HWC: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.rgb_HWC.dtype != np.uint8 or self.rgb_HWC.ndim != 3 or self.rgb_HWC.shape[2] != 3:
            raise ValueError(
                f"found an image of shape {self.rgb_HWC.shape} and type {self.rgb_HWC.dtype}; expected "
                "uint8 [H, W, 3]; decode it with imagery.decode.decode_rgb"
            )


Prompt = tuple[str | ImagePart, ...]


@dataclass(frozen=True, eq=False)
class RouterInputs:
    """What the router may know of one query: its image, both predictions, the top-1 image and the other candidates.

    `candidates` are the K-1 retrieved coordinates after the top one. `None` stands for what is not there.
    """

    query_rgb_HWC: NDArray[np.uint8] | None
    generation: Coordinate | None
    retrieval: Coordinate | None
    top1_rgb_HWC: NDArray[np.uint8] | None = None
    candidates: tuple[Coordinate, ...] = field(default=())


def format_coordinate(coordinate: Coordinate, decimals: int) -> str:
    """Compact text of a coordinate, latitude first: `(12.34, -45.6)` with one decimal is `12.3, -45.6`."""
    lat_deg, lon_deg = (round(value, decimals) + 0.0 for value in coordinate)  # + 0.0 turns -0.0 into 0.0
    return f"{lat_deg:.{decimals}f}, {lon_deg:.{decimals}f}"


def build_prompt(inputs: RouterInputs, variant: PromptVariant = "full", decimals: int = 4) -> Prompt:
    """Prompt of one query in one of `PROMPT_VARIANTS` (the ablations of Table 2, and `coordinates_only` of ours).

    - `full`: task, query image, generated coordinate or `unavailable`, top-1 coordinate and image, K-1 others;
    - `no_candidates`: without the list of other candidates;
    - `no_candidates_no_retrieval`: and without the retrieval prediction and its image;
    - `no_generation`: without the generated coordinate;
    - `image_only`: the task and the query image;
    - `coordinates_only`: `full` without both images.

    Raises `ValueError` for an unknown variant, or where the query image is missing and the variant shows it.
    """
    if variant not in PROMPT_VARIANTS:
        raise ValueError(f"found prompt variant {variant!r}; expected one of {', '.join(PROMPT_VARIANTS)}")
    parts: list[str | ImagePart] = [
        "Task: Decide whether to use generation or retrieval for this image's geolocalization."
    ]
    if variant != "coordinates_only":
        if inputs.query_rgb_HWC is None:
            raise ValueError(
                f"found no query image; expected one for prompt variant {variant!r}; "
                "give query_rgb_HWC or choose coordinates_only"
            )
        parts += ["\nQuery: ", ImagePart(inputs.query_rgb_HWC)]
    if variant == "image_only":
        return tuple(parts)
    if variant != "no_generation":
        parts.append(f"\nGeneration-based Prediction: {_coordinate_or_unavailable(inputs.generation, decimals)}")
    if variant != "no_candidates_no_retrieval":
        parts.append(f"\nRetrieval-based Prediction: {_coordinate_or_unavailable(inputs.retrieval, decimals)}")
        if variant != "coordinates_only" and inputs.top1_rgb_HWC is not None:
            parts += [" ", ImagePart(inputs.top1_rgb_HWC)]
    if variant in ("full", "no_generation", "coordinates_only"):
        listed = "; ".join(format_coordinate(candidate, decimals) for candidate in inputs.candidates)
        parts.append(f"\nOther Retrieved Candidate Coordinates: {listed or UNAVAILABLE}")
    return tuple(parts)


def _coordinate_or_unavailable(coordinate: Coordinate | None, decimals: int) -> str:
    return UNAVAILABLE if coordinate is None else format_coordinate(coordinate, decimals)
