"""Method `retrieval`.

The best reference image, by the probability of its cells and its similarity to the query (docs/protocol.md).

A reference's score is cell_weight * log p(its cells) + similarity / temperature. A query never finds itself, the same
bytes, a near-identical image, or an image of the same author within 1 km: a burst of one evening would answer every
question. The best-cell prediction belongs to `inference`.

The gallery is scored in blocks that are read from its files, so that its features take no memory, and references that
lie in the same cells share the score of those cells.

Shapes: B queries, N references, n of them in a block, U different chains of cells, D width, S shortlisted, P
partitions.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.gallery import Gallery
from geo_pipeline.geosurge.inference import CellScorer
from geo_pipeline.geosurge.prediction_rows import prediction_table
from geo_pipeline.geosurge.scores import combine
from geo_pipeline.imagery.authors import author_keys

NO_REFERENCE = "no_eligible_reference"
BLOCK = 32_768
"""References scored at once: with 256 queries, 32 MiB a tensor."""
SHORTEST = 1e-12
"""A feature of no length is like nothing."""


class EmptyGalleryError(ValueError):
    """There is no reference image to retrieve."""


class RetrievalPredictor:
    """Holds a gallery on the device and ranks it for queries.

    Queries have image_id, author, lat_deg, lon_deg, sha256, phash, feature.

    A query's own coordinate is read for the author exclusion alone.
    """

    def __init__(
        self,
        checkpoint_dir: Path | str,
        inference: InferenceConfig | None,
        gallery: Gallery,
        device: str | None = None,
    ) -> None:
        if not len(gallery):
            raise EmptyGalleryError(
                "found no reference image in the gallery; expected at least one. Extract features of the reference "
                "shards first."
            )
        self.inference = inference or InferenceConfig()
        self.scorer = CellScorer(checkpoint_dir, self.inference, device)
        self.gallery, rows = gallery, gallery.rows
        self.identity = _Identity(rows)
        self.ids = np.asarray(rows["image_id"].to_pylist(), dtype=object)
        self.lat_deg, self.lon_deg = rows["lat_deg"].to_numpy(), rows["lon_deg"].to_numpy()
        self.scorer.check_width(gallery.width)
        lengths = [block_nD.float().norm(dim=1) for block_nD in gallery.blocks(BLOCK)]
        self.inverse_N = torch.cat(lengths).clamp_min_(SHORTEST).reciprocal_().to(self.scorer.device)
        chains_UP, chain_N = _chains(self.scorer.hierarchy.assign(self.lat_deg, self.lon_deg))
        self.chains_UP = torch.from_numpy(chains_UP).long().to(self.scorer.device)
        self.chain_N = torch.from_numpy(chain_N).to(self.scorer.device)

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
        """Scores (B, N) of every reference for every query, before exclusions, all at once in memory."""
        return torch.cat(list(self._blocks(queries)), dim=1)

    def _blocks(self, queries: pa.Table) -> Iterator[Tensor]:
        """Scores (B, n) of one block of references after the other."""
        features_BD = self.scorer.features(queries)
        unit_BD = functional.normalize(features_BD, dim=1)
        cells_BU = combine(self.scorer.parts(features_BD), self.chains_UP, self.inference.score)
        cells_BU *= self.inference.cell_weight
        known = zip(self.gallery.blocks(BLOCK), self.inverse_N.split(BLOCK), self.chain_N.split(BLOCK), strict=True)
        for half_nD, inverse_n, chain_n in known:
            similarity_Bn = (unit_BD @ half_nD.to(self.scorer.device).float().T).mul_(inverse_n)
            similarity_Bn.div_(self.inference.similarity_temperature)
            yield similarity_Bn.add_(cells_BU.index_select(1, chain_n))

    @torch.inference_mode()
    def _shortlist(self, queries: pa.Table, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores (B, S) and rows (B, S) of the best references, best first; equal scores in any order."""
        values_BS = torch.empty((len(queries), 0), device=self.scorer.device)
        rows_BS = torch.empty((len(queries), 0), dtype=torch.long, device=self.scorer.device)
        start = 0
        for scores_Bn in self._blocks(queries):
            top = scores_Bn.topk(min(size, scores_Bn.shape[1]), dim=1)
            values, rows = torch.cat([values_BS, top.values], dim=1), torch.cat([rows_BS, top.indices + start], dim=1)
            values_BS, order = values.topk(min(size, values.shape[1]), dim=1)
            rows_BS = rows.gather(1, order)
            start += scores_Bn.shape[1]
        return values_BS.double().cpu().numpy(), rows_BS.cpu().numpy()

    def _rank(self, queries: pa.Table, size: int | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows and scores of the best eligible references per query; of equal scores the earlier reference is better.

        Asked again with twice the shortlist: queries for which too few on it are eligible, or whose last kept score
        goes on beyond its end.
        """
        wanted = self.inference.candidates
        size = min(len(self.ids), size or 4 * wanted)
        values_BS, rows_BS = self._shortlist(queries, size)
        eligible_BS = ~_Identity(queries).same(self.identity, rows_BS, self.inference)
        kept, short = [], []
        for query, (values_S, rows_S, eligible_S) in enumerate(zip(values_BS, rows_BS, eligible_BS, strict=True)):
            values, rows = values_S[eligible_S], rows_S[eligible_S]
            order = np.lexsort((rows, -values))[:wanted]
            kept.append((rows[order], values[order]))
            if size < len(self.ids) and (len(order) < wanted or values[order[-1]] == values_S[-1]):
                short.append(query)
        if short:
            for query, longer in zip(short, self._rank(queries.take(short), 2 * size), strict=True):
                kept[query] = longer
        return kept


def _chains(rows_NP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different chains of cells (U, P) among those of N places, and each place's chain (N,).

    A chain is known by the finest cell that covers the place: all coarser ones are that cell's ancestors.
    """
    covered_N = (rows_NP >= 0).sum(axis=1)
    finest_N = rows_NP[np.arange(len(rows_NP)), covered_N - 1]  # covered nowhere: the last row, -1
    key_N = covered_N * (int(rows_NP.max(initial=0)) + 2) + finest_N
    _, first_U, chain_N = np.unique(key_N, return_index=True, return_inverse=True)
    return rows_NP[first_U], chain_N


class _Identity:
    """What tells that two rows are one photograph, or one author at one place."""

    def __init__(self, table: pa.Table) -> None:
        self.image_id, self.sha256 = (
            np.asarray(table[name].to_pylist(), dtype=object) for name in ("image_id", "sha256")
        )
        self.author = author_keys(table["author"].to_pylist())
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
