"""Routes queries with a trained router: one row per query, with its score, its choice and the chosen coordinate.

A paradigm that failed is never chosen while the other one answered; where both failed, the row is a counted failure.

Torch is imported where the worker is made: whoever only sends the class away need not wait for it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.georouter.queries import Query, query_from_row, query_prompt
from geo_pipeline.routing.decision import Paradigm, decide
from geo_pipeline.routing.prompt import PromptVariant

if TYPE_CHECKING:
    import torch

    from geo_pipeline.lvlm.prompts import PromptBatch

BOTH_FAILED = "both_paradigms_failed"


def method_name(variant: PromptVariant) -> str:
    """Name under which a variant's predictions are kept: `router`, or `router_<variant>`."""
    return "router" if variant == "full" else f"router_{variant}"


@dataclass(frozen=True, eq=False)
class AskedQueries:
    """Rows of a batch with their queries; and of those that need a score the ids and prompts, as the network is asked.

    A prompt batch holds tensors on the CPU.
    """

    rows: list[dict[str, Any]]
    queries: list[Query]
    batches: list[tuple[list[str], "PromptBatch"]]


class RouterPredictor:
    """Loads the router once; then `predictor(table)` gives rows of the `predictions` contract in the table's order.

    The table holds image_id, jpeg, top1_jpeg (null where retrieval failed), retrieval_lat_deg, retrieval_lon_deg,
    generation_lat_deg, generation_lon_deg (null = failed), candidate_lats_deg, candidate_lons_deg (top one first), and
    may hold generation_failure and retrieval_failure (the reasons).
    """

    def __init__(
        self, checkpoint_dir: Path | str, method: str | None = None, device: "torch.device | None" = None
    ) -> None:
        from geo_pipeline.georouter.checkpoint import load_router

        self.router, self.lvlm, self.config = load_router(Path(checkpoint_dir), device)
        self.method = method or method_name(self.config.variant)

    def __call__(self, queries: pa.Table) -> pa.Table:
        """Score r where both paradigms answered; null where there was nothing to choose."""
        return self.compute(self.prepare(queries))

    def prepare(self, queries: pa.Table) -> AskedQueries:
        """Decode a batch and make its prompts; may run in a thread beside `compute`.

        Prompts of like length stand together, so that they share a batch of the model.
        """
        from geo_pipeline.lvlm.prompts import encode

        rows = queries.to_pylist()
        asked = [query_from_row(row, row["jpeg"], row["top1_jpeg"]) for row in rows]
        scored = [query for query in asked if query.retrieval and query.generation]
        order = sorted(scored, key=lambda query: (query.text_length(), query.image_id))
        at_once, batches = self.config.lvlm.batch, []
        for start in range(0, len(order), at_once):
            part = order[start : start + at_once]
            prompts = encode(self.lvlm, [query_prompt(query, self.config) for query in part])
            batches.append(([query.image_id for query in part], prompts))
        return AskedQueries(rows, asked, batches)

    def compute(self, prepared: AskedQueries) -> pa.Table:
        """The result of `__call__` for prepared queries."""
        scores = {image_id: score for ids, batch in prepared.batches for image_id, score in self._scores(ids, batch)}
        routed = [
            self._routed(row, query, scores.get(query.image_id))
            for row, query in zip(prepared.rows, prepared.queries, strict=True)
        ]
        return pa.Table.from_pylist(routed, schema=load_contract("predictions").arrow_schema)

    def _scores(self, ids: list[str], batch: "PromptBatch") -> list[tuple[str, float]]:
        """Ids with their routing score r."""
        import torch

        with torch.inference_mode():
            scores = self.router(batch.to(self.lvlm.device)).cpu().tolist()
        return list(zip(ids, map(float, scores), strict=True))

    def _routed(self, row: dict[str, Any], query: Query, score: float | None) -> dict[str, Any]:
        retrieval, generation = query.retrieval, query.generation
        routed: dict[str, Any] = {"image_id": row["image_id"], "method": self.method, "score": score}
        if retrieval is None and generation is None:
            reasons = [row.get("retrieval_failure"), row.get("generation_failure")]
            told = ", ".join(reason for reason in reasons if reason)
            return {**routed, "failure": f"{BOTH_FAILED}: {told}" if told else BOTH_FAILED}
        chosen: Paradigm
        if generation is None:
            chosen, lost = "retrieval", f"generation failed: {row.get('generation_failure') or 'no coordinate'}"
        elif retrieval is None:
            chosen, lost = "generation", f"retrieval failed: {row.get('retrieval_failure') or 'no coordinate'}"
        else:
            if score is None:
                raise ValueError(
                    f"found no routing score for {row['image_id']}; expected one where both paradigms answered"
                )
            chosen, lost = decide(score), None
        place = generation if chosen == "generation" else retrieval
        if place is None:
            raise ValueError(f"found no {chosen} coordinate for {row['image_id']}; expected the chosen one")
        return {**routed, "chosen": chosen, "lat_deg": place[0], "lon_deg": place[1], "raw_answer": lost}
