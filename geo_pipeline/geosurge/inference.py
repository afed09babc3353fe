"""Predictions from features.

Method `geosurge`, the best cell of the hierarchy (section III-D). Needs no tower: only cells and embeddings are loaded.

How partitions combine belongs to `scores`, the choice of a reference image to `retrieval`, features to `worker`.

Shapes: B images, C cells of a partition, F finest cells, P partitions, D width, K kept.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from geo_pipeline.geosurge import checkpoint
from geo_pipeline.geosurge.checkpoint import CheckpointError
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.geography import GeographicEmbeddings
from geo_pipeline.geosurge.model import pick_device
from geo_pipeline.geosurge.scores import combine, partition_scores

_PREFIX = "geography."


class CellScorer:
    """The geographic half of a checkpoint: scores of places for features."""

    def __init__(self, checkpoint_dir: Path | str, inference: InferenceConfig, device: str | None = None) -> None:
        stored = checkpoint.read(Path(checkpoint_dir), prefix=_PREFIX)
        config = stored.config
        cells = [len(partition.cell_ids) for partition in stored.hierarchy.partitions]
        self.inference, self.hierarchy, self.dim = inference, stored.hierarchy, config.embedding_dim
        self.device = pick_device(device)
        self.geography = GeographicEmbeddings(
            cells, config.embedding_dim, config.initial_temperature, config.max_logit_scale
        )
        tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in stored.tensors.items()}
        checkpoint.fill(self.geography, tensors, Path(checkpoint_dir))
        self.geography.to(self.device).requires_grad_(False)
        self.ancestors_FP = torch.from_numpy(self.hierarchy.ancestors()).long().to(self.device)

    def parts(self, features_BD: Tensor) -> list[Tensor]:
        """What each partition says of its cells (B, C): see `scores.partition_scores`."""
        scales = [self.geography.scale(p) for p in range(len(self.hierarchy.partitions))]
        return partition_scores(self.geography.cosines(features_BD), scales, self.inference.score)

    def finest(self, parts: list[Tensor]) -> Tensor:
        """Scores of all finest cells (B, F).

        Under `log_softmax` a log probability that sums to one over them, otherwise the raw score.
        """
        scores_BF = combine(parts, self.ancestors_FP, self.inference.score)
        return scores_BF.log_softmax(dim=1) if self.inference.score == "log_softmax" else scores_BF

    def features(self, table: pa.Table) -> Tensor:
        """The feature column as (B, D) on the device. Raises CheckpointError when its width is another model's."""
        vectors_BD = feature_matrix(table)
        if len(vectors_BD) and vectors_BD.shape[1] != self.dim:
            raise CheckpointError(
                f"Features are {vectors_BD.shape[1]} wide, the checkpoint {self.dim}: extract them again with this "
                "checkpoint."
            )
        return torch.from_numpy(vectors_BD).to(self.device)


class CellPredictor:
    """Method `geosurge`: the mean coordinate of the best finest cell. One row per row given."""

    def __init__(
        self,
        checkpoint_dir: Path | str,
        inference: InferenceConfig | None = None,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.scorer = CellScorer(checkpoint_dir, inference or InferenceConfig(), device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table with image_id and feature to rows of the predictions table; `score` is the finest cell's score (a log
        probability by default).
        """
        if not len(batch):
            return prediction_table("geosurge", [], [], [], [])
        scores_BK, cells_BK = self.top_cells(batch, keep=1)
        finest = self.scorer.hierarchy.partitions[-1]
        best = cells_BK[:, 0]
        return prediction_table(
            "geosurge",
            batch["image_id"].to_pylist(),
            finest.lat_deg[best].tolist(),
            finest.lon_deg[best].tolist(),
            scores_BK[:, 0].tolist(),
        )

    @torch.inference_mode()
    def top_cells(self, batch: pa.Table, keep: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scores (B, K) and rows (B, K) of the best finest cells, best first; K = `keep` or the configured top_k, at
        most the number of cells.
        """
        features_BD = self.scorer.features(batch)
        keep = min(keep or self.scorer.inference.top_k, len(self.scorer.ancestors_FP))
        scores, cells = [], []
        for chunk_BD in features_BD.split(self.scorer.inference.batch):
            top = self.scorer.finest(self.scorer.parts(chunk_BD)).topk(keep, dim=1)
            scores.append(top.values.double().cpu().numpy())
            cells.append(top.indices.cpu().numpy())
        return np.concatenate(scores), np.concatenate(cells)


def feature_matrix(table: pa.Table) -> np.ndarray:
    """The feature column as float32 (N, D); all lists have one length."""
    column = table["feature"].combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(len(table), -1) if len(table) else flat.reshape(0, 0)


def prediction_table(
    method: str,
    image_ids: list[str],
    lats_deg: list[float | None],
    lons_deg: list[float | None],
    scores: list[float | None],
    failures: list[str | None] | None = None,
    candidates: tuple[list[list[str]], list[list[float]], list[list[float]], list[list[float]]] | None = None,
) -> pa.Table:
    """Rows of the predictions table; `candidates` are ids, latitudes, longitudes and scores, best first."""
    count = len(image_ids)
    absent: list[None] = [None] * count
    ids, lats, lons, values = candidates if candidates is not None else (absent, absent, absent, absent)
    return pa.table(
        {
            "image_id": pa.array(image_ids, pa.string()),
            "method": pa.array([method] * count, pa.string()),
            "lat_deg": pa.array(lats_deg, pa.float64()),
            "lon_deg": pa.array(lons_deg, pa.float64()),
            "score": pa.array(scores, pa.float64()),
            "failure": pa.array(failures if failures is not None else absent, pa.string()),
            "raw_answer": pa.array(absent, pa.string()),
            "chosen": pa.array(absent, pa.string()),
            "candidate_ids": pa.array(ids, pa.list_(pa.string())),
            "candidate_lats_deg": pa.array(lats, pa.list_(pa.float64())),
            "candidate_lons_deg": pa.array(lons, pa.list_(pa.float64())),
            "candidate_scores": pa.array(values, pa.list_(pa.float64())),
        }
    )
