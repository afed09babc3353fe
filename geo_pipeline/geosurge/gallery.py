"""The reference photographs that retrieval searches: what is known of each, and its features, mapped from files.

Shapes: N references, n of them in a block, D width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from geo_pipeline.geosurge.inference import feature_matrix
from geo_pipeline.home.halves import Halves


@dataclass(frozen=True, eq=False)
class Gallery:
    """`rows` has image_id, author, lat_deg, lon_deg, sha256, phash; `features` are (N, D) float16 in parts, in order.

    The features are never held as a whole: a search reads them block by block, and processes that map the same files
    share their pages. Raises ValueError for another number of features than of rows.
    """

    rows: pa.Table
    features: Sequence[Halves]

    def __post_init__(self) -> None:
        count = sum(map(len, self.features))
        if count != len(self.rows):
            raise ValueError(f"found features of {count} references and rows of {len(self.rows)}; expected as many")

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """A gallery whose features stand in the table's column `feature`: one of few photographs."""
        return cls(table.drop_columns(["feature"]), [feature_matrix(table).astype(np.float16)] if len(table) else [])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """D; 0 for an empty gallery."""
        return self.features[0].shape[1] if self.features else 0

    def blocks(self, size: int) -> Iterator[Tensor]:
        """The features (n, D) float16 of `size` references after the other, fewer at the end."""
        waiting: list[Halves] = []
        count = 0
        for part in self.features:
            start = 0
            while start < len(part):
                piece = part[start : start + size - count]
                waiting.append(piece)
                start, count = start + len(piece), count + len(piece)
                if count == size:
                    yield torch.from_numpy(np.concatenate(waiting))
                    waiting, count = [], 0
        if waiting:
            yield torch.from_numpy(np.concatenate(waiting))
