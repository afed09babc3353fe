"""Method `retrieval`.

The best reference image, by the probability of its cells and its similarity to the query (PROTOCOL.md).

A reference's score is cell_weight * log p(its cells) + similarity / temperature. A query never finds itself, the same
bytes, a near-identical image, or an image of the same author within 1 km: a burst of one evening would answer every
question. The best-cell prediction belongs to `inference`.

Shapes: B queries, N references, D width, S shortlisted, P partitions.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.inference import CellScorer, prediction_table
from geo_pipeline.geosurge.scores import combine

NO_REFERENCE = "no_eligible_reference"


class EmptyGalleryError(ValueError):
    """There is no reference image to retrieve."""


class RetrievalPredictor:
    """Holds a gallery on the device and ranks it for queries.

    Gallery and queries have image_id, author, lat_deg, lon_deg, sha256, phash, feature.

    A query's own coordinate is read for the author exclusion alone.
    """

    def __init__(
        self,
        checkpoint_dir: Path | str,
        inference: InferenceConfig | None,
        gallery: pa.Table,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        if not len(gallery):
            raise EmptyGalleryError(
                "The gallery has no reference image; expected at least one. Extract features of the reference shards "
                "first."
            )
        self.inference = inference or InferenceConfig()
        self.scorer = CellScorer(checkpoint_dir, self.inference, device)
        self.identity = _Identity(gallery)
        self.ids = np.asarray(gallery["image_id"].to_pylist(), dtype=object)
        self.lat_deg, self.lon_deg = gallery["lat_deg"].to_numpy(), gallery["lon_deg"].to_numpy()
        self.unit_ND = functional.normalize(self.scorer.features(gallery), dim=1)
        self.cells_NP = (
            torch.from_numpy(self.scorer.hierarchy.assign(self.lat_deg, self.lon_deg)).long().to(self.scorer.device)
        )

    def __call__(self, queries: pa.Table) -> pa.Table:
        """One row of the predictions table per query, with up to `candidates` references, best first; the first is the
        prediction.
        """
        rows: list[np.ndarray] = []
        values: list[np.ndarray] = []
        for start in range(0, len(queries), self.inference.batch):
            chunk = queries.slice(start, self.inference.batch)
            for kept, score in self._rank(chunk):
                rows.append(kept)
                values.append(score)
        candidates = (
            [self.ids[kept].tolist() for kept in rows],
            [self.lat_deg[kept].tolist() for kept in rows],
            [self.lon_deg[kept].tolist() for kept in rows],
            [score.tolist() for score in values],
        )
        best = [int(kept[0]) if len(kept) else None for kept in rows]
        return prediction_table(
            "retrieval",
            queries["image_id"].to_pylist(),
            [None if row is None else float(self.lat_deg[row]) for row in best],
            [None if row is None else float(self.lon_deg[row]) for row in best],
            [None if row is None else float(score[0]) for row, score in zip(best, values, strict=True)],
            [NO_REFERENCE if row is None else None for row in best],
            candidates,
        )

    @torch.inference_mode()
    def scores(self, queries: pa.Table) -> Tensor:
        """Scores (B, N) of every reference for every query, before exclusions."""
        features_BD = self.scorer.features(queries)
        cells_BN = combine(self.scorer.parts(features_BD), self.cells_NP, self.inference.score)
        similarity_BN = functional.normalize(features_BD, dim=1) @ self.unit_ND.T
        return self.inference.cell_weight * cells_BN + similarity_BN / self.inference.similarity_temperature

    def _rank(self, queries: pa.Table) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows and scores of the best eligible references per query.

        The shortlist doubles until each query has enough, or the gallery ends.
        """
        scores_BN, identity = self.scores(queries), _Identity(queries)
        wanted, size = self.inference.candidates, min(len(self.ids), 4 * self.inference.candidates)
        while True:
            top = scores_BN.topk(size, dim=1)
            values_BS, rows_BS = top.values.double().cpu().numpy(), top.indices.cpu().numpy()
            eligible_BS = ~identity.same(self.identity, rows_BS, self.inference)
            if size == len(self.ids) or bool((eligible_BS.sum(axis=1) >= wanted).all()):
                break
            size = min(len(self.ids), 2 * size)
        kept = []
        for values_S, rows_S, eligible_S in zip(values_BS, rows_BS, eligible_BS, strict=True):
            values, rows = values_S[eligible_S], rows_S[eligible_S]
            order = np.lexsort((rows, -values))[:wanted]  # equal scores: the earlier reference
            kept.append((rows[order], values[order]))
        return kept


class _Identity:
    """What tells that two rows are one photograph, or one author at one place."""

    def __init__(self, table: pa.Table) -> None:
        self.image_id, self.author, self.sha256 = (
            np.asarray(table[name].to_pylist(), dtype=object) for name in ("image_id", "author", "sha256")
        )
        self.lat_deg, self.lon_deg = (table[name].to_numpy(zero_copy_only=False) for name in ("lat_deg", "lon_deg"))
        self.phash = table["phash"].to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)

    def same(self, gallery: "_Identity", rows_BS: np.ndarray, inference: InferenceConfig) -> np.ndarray:
        """Boolean (B, S): the reference may not answer for this query."""
        excluded_BS = gallery.image_id[rows_BS] == self.image_id[:, None]
        excluded_BS |= gallery.sha256[rows_BS] == self.sha256[:, None]
        excluded_BS |= np.bitwise_count(gallery.phash[rows_BS] ^ self.phash[:, None]) <= inference.phash_bits
        author_B1 = self.author[:, None]
        same_author_BS = (gallery.author[rows_BS] == author_B1) & (author_B1 != np.array(None, dtype=object))
        near_BS = (
            great_circle_km(
                self.lat_deg[:, None], self.lon_deg[:, None], gallery.lat_deg[rows_BS], gallery.lon_deg[rows_BS]
            )
            <= inference.author_km
        )
        return excluded_BS | (same_author_BS & near_BS)
