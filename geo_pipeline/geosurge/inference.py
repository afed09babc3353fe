"""Predictions from features.

Method `geosurge`, the best cell of the hierarchy (section III-D). Needs no tower: only cells and embeddings are loaded.

How partitions combine belongs to `scores`, the choice of a reference image to `retrieval`, features to `worker`.

Shapes: B images, C cells of a partition, F finest cells, P partitions, D width, K kept.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from geo_pipeline.geosurge import checkpoint
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.geography import ClassifierHeads, GeographicEmbeddings, geography_of
from geo_pipeline.geosurge.prediction_rows import prediction_table
from geo_pipeline.geosurge.scores import combine, partition_scores, summed_table
from geo_pipeline.training.checkpoint import CheckpointError, fill
from geo_pipeline.training.device import pick_device

_PREFIX = "geography."


class CellScorer:
    """The geographic half of a checkpoint: scores of places for features.

    Embeddings are brought to unit length once, here: inference does not change them.
    """

    def __init__(self, checkpoint_dir: Path | str, inference: InferenceConfig, device: str | None = None) -> None:
        stored = checkpoint.read(Path(checkpoint_dir), prefix=_PREFIX)
        config = stored.config
        cells = [len(partition.cell_ids) for partition in stored.hierarchy.partitions]
        self.inference, self.hierarchy, self.dim = inference, stored.hierarchy, config.embedding_dim
        self.device = pick_device(device)
        geography = geography_of(config, cells, inference.score)
        tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in stored.tensors.items()}
        fill(geography, tensors, Path(checkpoint_dir))
        geography.to(self.device).requires_grad_(False)
        self.tables, self.biases = frozen_tables(geography)
        self.scales = [geography.scale(p) for p in range(len(cells))]
        self.ancestors_FP = torch.from_numpy(self.hierarchy.ancestors()).long().to(self.device)

    def parts(self, features_BD: Tensor) -> list[Tensor]:
        """What each partition says of its cells (B, C): see `scores.partition_scores`."""
        cosines = [functional.linear(features_BD, *head) for head in zip(self.tables, self.biases, strict=True)]
        return partition_scores(cosines, self.scales, self.inference.score)

    def finest(self, features_BD: Tensor) -> Tensor:
        """Scores of all finest cells (B, F).

        Under `log_softmax` a log probability that sums to one over them, from one product with the sum of each cell's
        ancestors; otherwise the raw score.
        """
        if self.inference.score == "log_softmax":
            return functional.linear(features_BD, *self._summed).log_softmax(dim=1)
        return combine(self.parts(features_BD), self.ancestors_FP, self.inference.score)

    @cached_property
    def _summed(self) -> tuple[Tensor, Tensor | None]:
        """Table and bias of the finest cells' logits, summed over the partitions."""
        table_FD = summed_table(self.tables, self.scales, self.ancestors_FP)
        if self.biases[0] is None:
            return table_FD, None
        biases = [bias_C[:, None] for bias_C in self.biases if bias_C is not None]
        return table_FD, summed_table(biases, self.scales, self.ancestors_FP)[:, 0]

    def features(self, table: pa.Table) -> Tensor:
        """The feature column as (B, D) on the device. Raises CheckpointError when its width is another model's."""
        vectors_BD = feature_matrix(table)
        if len(vectors_BD):
            self.check_width(vectors_BD.shape[1])
        return torch.from_numpy(vectors_BD).to(self.device)

    def check_width(self, width: int) -> None:
        """Raise CheckpointError when features have another width than this checkpoint gives."""
        if width != self.dim:
            raise CheckpointError(
                f"found that features are {width} wide, the checkpoint {self.dim}: extract them again with this "
                "checkpoint."
            )


def frozen_tables(geography: GeographicEmbeddings | ClassifierHeads) -> tuple[list[Tensor], list[Tensor | None]]:
    """Tables (C, D) and biases (C,) whose products with features are `geography.cosines`, worked out once."""
    if isinstance(geography, ClassifierHeads):
        return [table_CD * geography.length for table_CD in geography.tables], list(geography.biases)
    return [geography.unit(p) for p in range(len(geography.tables))], [None] * len(geography.tables)


class CellPredictor:
    """The mean coordinate of the best finest cell, one row per row given, under the name `method`."""

    def __init__(
        self,
        checkpoint_dir: Path | str,
        inference: InferenceConfig | None = None,
        device: str | None = None,
        method: str = "geosurge",
    ) -> None:
        self.method = method
        self.scorer = CellScorer(checkpoint_dir, inference or InferenceConfig(), device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table with image_id and feature to rows of the predictions table; `score` is the finest cell's score (a log
        probability by default).
        """
        if not len(batch):
            return prediction_table(self.method, [], [], [], [])
        scores_BK, cells_BK = self.top_cells(batch, keep=1)
        finest = self.scorer.hierarchy.partitions[-1]
        best = cells_BK[:, 0]
        return prediction_table(
            self.method,
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
            top = self.scorer.finest(chunk_BD).topk(keep, dim=1)
            scores.append(top.values.double().cpu().numpy())
            cells.append(top.indices.cpu().numpy())
        return np.concatenate(scores), np.concatenate(cells)


def feature_matrix(table: pa.Table) -> np.ndarray:
    """The feature column as float32 (N, D); all lists have one length."""
    column = table["feature"].combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(len(table), -1) if len(table) else flat.reshape(0, 0)
