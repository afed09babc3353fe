"""The guess to beat: every photograph was taken in the finest geocell that holds the most training photographs."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.contracts.contract import load
from geo_pipeline.methods.method import Method, Reads


class DensestCell:
    """Answers every query with the mean coordinate of the finest partition's fullest cell (of equals, the first)."""

    def __init__(self, geocells: pa.Table) -> None:
        finest = geocells.filter(pc.equal(geocells["partition"], pc.max(geocells["partition"])))
        counts = finest["count"].to_numpy()
        row = int(np.argmax(counts))
        self.lat_deg, self.lon_deg = finest["lat_deg"][row].as_py(), finest["lon_deg"][row].as_py()
        self.score = float(counts[row] / counts.sum())

    def __call__(self, queries: pa.Table) -> pa.Table:
        """A table with image_id to rows of the predictions contract.

        The score is the cell's share of the photographs.
        """
        return load("predictions").table(
            image_id=queries["image_id"],
            method="densest_cell",
            lat_deg=self.lat_deg,
            lon_deg=self.lon_deg,
            score=self.score,
        )


def _queries(reads: Reads, query_set: str) -> pa.Table:
    return reads.table("images", query_set, ["image_id"])


def _arguments(reads: Reads) -> Mapping[str, object]:
    return {"geocells": reads.table("geocells")}


def _worker() -> type[DensestCell]:
    return DensestCell


DENSEST_CELL = Method(
    name="densest_cell",
    title="Densest cell",
    kind="guess",
    description=(
        "The place where most training photographs were taken, as the answer to every query: the guess that "
        "any method must beat."
    ),
    asset="densest_cell_predictions",
    upstream=("geocells", "images"),
    worker=_worker,
    queries=_queries,
    arguments=_arguments,
    settings=lambda profile: None,
)
