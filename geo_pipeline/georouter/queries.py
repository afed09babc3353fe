"""One query as the router meets it, in training and in use: images, both predictions, other candidates; and its prompt.

JPEGs are decoded only when the prompt is built, and only those that the prompt's variant shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.routing.prompt import Coordinate, Prompt, PromptVariant, RouterInputs, build_prompt


@dataclass(frozen=True, eq=False)
class Query:
    """`retrieval` and `generation` are None where the paradigm failed; `candidates` are the K-1 after the top one.

    A JPEG may be a view of a file that is mapped into memory: its bytes are then read when it is decoded.
    """

    image_id: str
    jpeg: bytes | pa.Buffer
    top1_jpeg: bytes | pa.Buffer | None
    retrieval: Coordinate | None
    generation: Coordinate | None
    candidates: tuple[Coordinate, ...]

    def text_length(self) -> int:
        """Length of the text that differs between queries: enough to put prompts of like length together."""
        places = [place for place in (self.generation, self.retrieval, *self.candidates) if place is not None]
        return sum(len(f"{lat_deg:.0f}{lon_deg:.0f}") + 8 for lat_deg, lon_deg in places)


def query_from_row(row: Mapping[str, Any], jpeg: bytes | pa.Buffer, top1_jpeg: bytes | pa.Buffer | None) -> Query:
    """Query of a row with retrieval_, generation_ and candidate_ columns (candidates with the top one first)."""
    others = zip((row["candidate_lats_deg"] or [])[1:], (row["candidate_lons_deg"] or [])[1:], strict=True)
    return Query(
        image_id=row["image_id"],
        jpeg=jpeg,
        top1_jpeg=top1_jpeg,
        retrieval=_coordinate(row["retrieval_lat_deg"], row["retrieval_lon_deg"]),
        generation=_coordinate(row["generation_lat_deg"], row["generation_lon_deg"]),
        candidates=tuple((float(lat_deg), float(lon_deg)) for lat_deg, lon_deg in others),
    )


def shows_top1(variant: PromptVariant) -> bool:
    """Whether a variant's prompt shows the top-1 reference image."""
    return variant in ("full", "no_candidates", "no_generation")


def query_prompt(query: Query, config: RouterConfig) -> Prompt:
    """The query's prompt in the configured variant."""
    with_image = config.variant != "coordinates_only"
    with_top1 = shows_top1(config.variant)
    inputs = RouterInputs(
        query_rgb_HWC=decode_rgb(query.jpeg) if with_image else None,
        generation=query.generation,
        retrieval=query.retrieval,
        top1_rgb_HWC=decode_rgb(query.top1_jpeg) if with_top1 and query.top1_jpeg is not None else None,
        candidates=query.candidates,
    )
    return build_prompt(inputs, config.variant, config.lvlm.decimals)


def _coordinate(lat_deg: float | None, lon_deg: float | None) -> Coordinate | None:
    return None if lat_deg is None or lon_deg is None else (float(lat_deg), float(lon_deg))
