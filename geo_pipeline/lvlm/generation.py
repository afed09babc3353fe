"""The generation paradigm: photographs in, text answers out, coordinates parsed strictly; one row per photograph.

Greedy decoding until the end of turn. The raw answer is kept; an answer without a coordinate is a row with null
coordinates and its reason. Only the canonical JPEG's pixels are read: no EXIF, no ids.

Torch is imported where the worker is made: whoever only sends the class away need not wait for it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.lvlm.answers import parse_coordinate
from geo_pipeline.lvlm.config import LvlmConfig

if TYPE_CHECKING:
    from geo_pipeline.lvlm.model import LoadedLvlm
    from geo_pipeline.lvlm.prompts import PromptBatch

METHOD = "generation"


@dataclass(frozen=True, eq=False)
class AskedPhotographs:
    """Ids of photographs, and the questions about them as tensors on the CPU, `config.batch` of them together."""

    image_ids: list[str]
    batches: list["PromptBatch"]


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

    def prepare(self, queries: pa.Table) -> AskedPhotographs:
        """Decode a batch and make its prompts; may run in a thread beside `compute`."""
        from geo_pipeline.lvlm.prompts import encode, generation_prompt

        rows, batches = queries["jpeg"].to_pylist(), []
        for start in range(0, len(rows), self.config.batch):
            images = [decode_rgb(jpeg) for jpeg in rows[start : start + self.config.batch]]
            batches.append(encode(self.lvlm, [generation_prompt(image) for image in images]))
        return AskedPhotographs(queries["image_id"].to_pylist(), batches)

    def compute(self, prepared: AskedPhotographs) -> pa.Table:
        """The result of `__call__` for prepared queries."""
        answers = [answer for batch in prepared.batches for answer in answers_of(self.lvlm, batch)]
        rows: list[dict[str, object]] = []
        for image_id, answer in zip(prepared.image_ids, answers, strict=True):
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


def answers_of(lvlm: "LoadedLvlm", batch: "PromptBatch") -> list[str]:
    """Greedy answers to prompts that `encode` made, in order, without special tokens."""
    import torch

    on_device = batch.to(lvlm.device)
    with torch.inference_mode():
        sequences_BT = lvlm.model.generate(**on_device.model_inputs(with_positions=False))
    new_BT = sequences_BT[:, batch.token_ids_BT.shape[1] :]
    return list(lvlm.tokenizer.batch_decode(new_BT, skip_special_tokens=True))
