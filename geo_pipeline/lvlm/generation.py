"""The generation paradigm: photographs in, text answers out, coordinates parsed strictly; one row per photograph.

Greedy decoding until the end of turn. The raw answer is kept; an answer without a coordinate is a row with null
coordinates and its reason. Only the canonical JPEG's pixels are read: no EXIF, no ids.

Torch is imported where the worker is made: whoever only sends the class away need not wait for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.lvlm.answers import parse_coordinate
from geo_pipeline.lvlm.config import LvlmConfig

if TYPE_CHECKING:
    from geo_pipeline.lvlm.model import LoadedLvlm

METHOD = "generation"


@dataclass(frozen=True, eq=False)
class Photographs:
    """Decoded photographs, uint8 (H, W, 3) each, with their ids."""

    image_ids: list[str]
    images: list[NDArray[np.uint8]]


class GenerationPredictor:
    """Loads the model once; then `predictor(table[image_id, jpeg])` gives rows of the `predictions` contract."""

    def __init__(self, config: LvlmConfig, method: str = METHOD) -> None:
        from geo_pipeline.lvlm.model import load

        self.config = config
        self.method = method
        self.lvlm = load(config)

    def __call__(self, queries: pa.Table) -> pa.Table:
        """One row per query: coordinates, or null and `failure`; `raw_answer` always."""
        return self.compute(self.prepare(queries))

    def prepare(self, queries: pa.Table) -> Photographs:
        """Decode a batch; may run in a thread beside `compute`."""
        return Photographs(queries["image_id"].to_pylist(), [decode_rgb(jpeg) for jpeg in queries["jpeg"].to_pylist()])

    def compute(self, prepared: Photographs) -> pa.Table:
        """The result of `__call__` for prepared queries."""
        rows: list[dict[str, object]] = []
        for start in range(0, len(prepared.image_ids), self.config.batch):
            stop = start + self.config.batch
            answers = generate_answers(self.lvlm, prepared.images[start:stop])
            for image_id, answer in zip(prepared.image_ids[start:stop], answers, strict=True):
                parsed = parse_coordinate(answer)
                rows.append(
                    {
                        "image_id": image_id,
                        "method": self.method,
                        "lat_deg": parsed.lat_deg,
                        "lon_deg": parsed.lon_deg,
                        "failure": parsed.failure,
                        "raw_answer": answer,
                    }
                )
        return pa.Table.from_pylist(rows, schema=load_contract("predictions").arrow_schema)


def generate_answers(lvlm: "LoadedLvlm", images: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Greedy answers of one batch of photographs, in order, without special tokens."""
    import torch

    from geo_pipeline.lvlm.prompts import encode, generation_prompt

    if not images:
        return []
    batch = encode(lvlm, [generation_prompt(image) for image in images]).to(lvlm.device)
    with torch.inference_mode():
        sequences_BT = lvlm.model.generate(**batch.model_inputs(with_positions=False))
    new_BT = sequences_BT[:, batch.token_ids_BT.shape[1] :]
    return list(lvlm.tokenizer.batch_decode(new_BT, skip_special_tokens=True))
