"""What every training on images and class maps shares: its rows, batches, rate and held-out images.

Losses and networks belong to `training` here and to `baselines.training`; reading to `pairs`.

Shapes: B images of an effective batch, W workers.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from geo_pipeline.geosurge.config import TrainingConfig
from geo_pipeline.geosurge.pairs import Crops, TrainingPairs
from geo_pipeline.training.order import Part, Shares, batches, lane_orders, parts
from geo_pipeline.training.outcome import NothingToTrainError
from geo_pipeline.training.task import Plan, Task
from geo_pipeline.training.workers import Workers


class ImageTask(Task[Crops]):
    """A training on the `rows` of `pairs`. Raises NothingToTrainError where they are too few, or cannot be shared."""

    def __init__(
        self, pairs: TrainingPairs, config: TrainingConfig, rows: np.ndarray, device: torch.device, workers: Workers
    ) -> None:
        self.pairs, self.config, self.rows, self.device, self.workers = pairs, config, rows, device, workers
        if config.lanes % workers.world:
            raise NothingToTrainError(
                f"found {workers.world} workers for training.lanes {config.lanes}; expected a divisor of the lanes: "
                "choose lanes as a multiple of the workers."
            )
        if len(rows) < max(2, config.lanes):
            raise NothingToTrainError(
                f"found {len(rows)} training images with a class map ({len(pairs.without_map)} without); expected at "
                f"least {max(2, config.lanes)}. Add photographs, or segment those that have no map."
            )
        # As many held-out images as the lanes can share evenly: the same ones for every number of workers.
        self.held_out = len(pairs.holdout_rows) // config.lanes * config.lanes
        self.plan = Plan(config.max_epochs, config.checkpoint_steps, config.micro_batch, config.patience)

    def rate(self, epoch: int, step: int) -> float:
        """See Task."""
        return self.config.lr * self.config.gamma**epoch

    def batches(self, epoch: int) -> Sequence[Shares]:
        """See Task: arrays (W, B / W)."""
        config = self.config
        orders_LN = lane_orders(self.pairs.groups(self.rows), config.lanes, config.shuffle_rows, config.seed, epoch)
        return list(batches(orders_LN, config.batch, self.workers.world))

    def inputs(self, parts: Iterable[Part], epoch: int | None) -> Iterator[tuple[Part, Crops]]:
        """See Task: pixels and class maps; `epoch` None gives centre crops."""
        return self.pairs.prefetched(parts, epoch, self.device)

    def held_out_parts(self) -> Iterator[Part]:
        """This worker's held-out images, in batches of a fixed order."""
        rows, batch, world = self.pairs.holdout_rows[: self.held_out], self.config.batch, self.workers.world
        for start in range(0, len(rows), batch):
            shares = np.split(rows[start : start + batch], world)
            yield from parts(shares, self.workers.rank, self.config.micro_batch)

    def image_ids(self, rows_B: np.ndarray) -> list[str]:
        """See Task."""
        return [str(self.pairs.image_ids[row]) for row in rows_B]

    def counts(self) -> dict[str, Any]:
        """What the metrics say of the images."""
        return {
            "train_images": len(self.rows),
            "holdout_images": self.held_out,
            "images_without_map": len(self.pairs.without_map),
            "images_without_map_first": self.pairs.without_map[:10],
        }
