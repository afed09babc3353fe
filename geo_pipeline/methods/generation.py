"""The generation paradigm (GeoRouter's g_gen).

A vision-language model answers in text, and the text is parsed strictly.
"""

from collections.abc import Mapping

import pyarrow as pa

from geo_pipeline.methods.method import Method, Reads


def _queries(reads: Reads, query_set: str) -> pa.Table:
    return reads.table("images", query_set, ["image_id", "jpeg"])


def _arguments(reads: Reads) -> Mapping[str, object]:
    return {"config": reads.profile.lvlm}


GENERATION = Method(
    name="generation",
    title="Generation (LVLM answer)",
    paradigm="generation",
    description=(
        "The generation paradigm's answer: a vision-language model is asked where the photograph was taken, "
        "and its text is parsed strictly."
    ),
    asset="generation_predictions",
    upstream=("images",),
    implementation="geo_pipeline.lvlm.generation:GenerationPredictor",
    queries=_queries,
    arguments=_arguments,
    rooms=("lvlm", "imagery.decode"),
    settings=lambda profile: profile.lvlm,
    remote=True,
)
