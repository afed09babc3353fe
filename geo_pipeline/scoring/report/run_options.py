"""Every option of inference, retrieval and training that changes a score, and how a report names it.

The values belong to the configurations of `geosurge`; orchestration copies them here, because scoring knows no network.
"""

from dataclasses import dataclass

SCORE_RULES = {
    "log_softmax": "log_softmax: the sum over partitions of log softmax of cosine / temperature over all their cells",
    "cosine_product": "cosine_product: the product over partitions of raw cosines, the letter of the paper",
    "shifted": "shifted: the product over partitions of (1 + cosine) / 2",
}
CROPS = {
    "ten": "ten per image (four corners and the centre, each flipped as well); the mean of their logits before softmax",
    "centre": "the centre crop alone",
}
GEOGRAPHIES = {
    "embeddings": "embeddings: a learned vector per partition and cell, matched by cosine",
    "classifier": "classifier: a linear head per partition, no geographic embeddings",
}
LOSSES = {
    "unique_cells": "unique_cells: each image against the unique cells of its batch",
    "naive": "naive: each image against the cells of all images of its batch, the letter of the paper",
}
DEPTH_KEPT = {
    "finest": "the finest",
    "spread": "some evenly spread, the finest among them",
    "coarsest": "the coarsest",
}
UNCOVERED = {
    "mask": "mask: no loss in the partitions that do not cover an image",
    "drop": "drop: an image that any partition does not cover is left out of training",
}


@dataclass(frozen=True)
class RunOptions:
    """The options besides crops, cell score and near-equal bits, which the context of a report holds.

    candidates: K, retrieved references per query. top_k: cells that are kept per query. cell_weight,
    similarity_temperature: a reference scores cell_weight * log p(its cells) + similarity / similarity_temperature.
    author_km: references of the query's author within this distance are excluded. depth: how many of all `partitions`
    are used, depth_kept: which ones where they are fewer. fusion_blocks: blocks of semantic fusion. geography:
    `embeddings` or `classifier`. loss, symmetric, random_crop, horizontal_flip, uncovered, precision: as in the
    configuration of training.
    """

    candidates: int
    top_k: int
    cell_weight: float
    similarity_temperature: float
    author_km: float
    depth: int
    depth_kept: str
    partitions: int
    fusion_blocks: int
    geography: str
    loss: str
    symmetric: bool
    random_crop: bool
    horizontal_flip: bool
    uncovered: str
    precision: str

    def pairs(self, near_bits: int) -> tuple[tuple[str, str], ...]:
        """(name, value in words) of every option; `near_bits` bounds the perceptual hashes of near-equal images."""
        kept = DEPTH_KEPT.get(self.depth_kept, self.depth_kept)
        return (
            ("Geography", GEOGRAPHIES.get(self.geography, self.geography)),
            ("Hierarchy depth", f"{self.depth} of {self.partitions} partitions; a shallower hierarchy keeps {kept}"),
            ("Blocks of semantic fusion", str(self.fusion_blocks)),
            ("Cells kept per query (top k)", str(self.top_k)),
            ("Candidates per query (K)", f"{self.candidates}, or as many as are eligible"),
            (
                "Score of a reference",
                f"{self.cell_weight:g} × log probability of its cells + similarity / {self.similarity_temperature:g}",
            ),
            (
                "References excluded",
                f"the query itself, its very bytes, perceptual hashes within {near_bits} of 64 bits, and its author's "
                f"photographs within {self.author_km:g} km",
            ),
            ("Loss", LOSSES.get(self.loss, self.loss)),
            ("Symmetric loss", "yes, image to cell and cell to image" if self.symmetric else "no, image to cell alone"),
            ("Augmentation", self._augmentation()),
            ("Uncovered images", UNCOVERED.get(self.uncovered, self.uncovered)),
            ("Precision of training", self.precision),
        )

    def _augmentation(self) -> str:
        crops = "a random crop of each image" if self.random_crop else "the centre crop of each image"
        flips = ", half of them mirrored" if self.horizontal_flip else ", not mirrored"
        return f"{crops}{flips}; its class map alike"
