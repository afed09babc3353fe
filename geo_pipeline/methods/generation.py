"""The generation paradigm (GeoRouter's g_gen).

A vision-language model answers in text, and the text is parsed strictly.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.methods.method import Method, Reads

if TYPE_CHECKING:
    from geo_pipeline.lvlm.generation import GenerationPredictor


def _queries(reads: Reads, query_set: str) -> pa.Table:
    return reads.table("images", query_set, ["image_id", "jpeg"])


def _arguments(reads: Reads) -> Mapping[str, object]:
    return {"config": reads.profile.lvlm}


def _worker() -> "type[GenerationPredictor]":
    from geo_pipeline.lvlm.generation import GenerationPredictor

    return GenerationPredictor


GENERATION = Method(
    name="generation",
    title="Generation (LVLM answer)",
    kind="generation",
    description=(
        "The generation paradigm's answer: a vision-language model is asked where the photograph was taken, "
        "and its text is parsed strictly."
    ),
    asset="generation_predictions",
    upstream=("images",),
    worker=_worker,
    queries=_queries,
    arguments=_arguments,
    settings=lambda profile: profile.lvlm,
    remote=True,
)
