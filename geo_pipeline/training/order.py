"""The order in which training reads its rows: random, reproducible, and cheap on files that do not fit in memory.

Images lie in Parquet row groups, and a row group is read as a whole. An epoch walks the row groups in a random order
and shuffles the rows of a window of them. The walk is divided into *lanes*; a batch takes equally many rows from every
lane, lane by lane, and the workers divide the lanes in their order. So a batch holds the same images in the same order
however many workers share it, and each worker reads its own part of the files. When everything fits one window, that is
a plain permutation.

A worker's share of a batch is cut into micro-batches (`Part`) once, by the loop; reading belongs to the tasks.

Shapes: L lanes, N rows of a lane, W workers, B rows of an effective batch, M of a micro-batch.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

Shares = Sequence[np.ndarray] | np.ndarray
"""The rows of a batch by worker: as many arrays as there are workers, or an array (W, B / W)."""


class Part(NamedTuple):
    """A micro-batch of one worker: its rows, where they start in the worker's share, and the batch it is cut from.

    `first` is where the rows start in the batch, the shares of all workers one after the other.
    `step` counts the optimiser steps before this batch. `rows_M` is empty where the others have more rows than this
    worker: all workers have equally many parts, so that their gradients meet.
    """

    step: int
    rows_M: np.ndarray
    start: int
    rows_B: np.ndarray
    last: bool
    first: int


def parts(shares: Shares, rank: int, micro_batch: int | None, step: int = 0) -> Iterator[Part]:
    """The parts of a worker's share of a batch, given the shares of all workers; `micro_batch` None: one part."""
    rows_B, longest, before = np.concatenate(shares), max(map(len, shares)), sum(map(len, shares[:rank]))
    size = micro_batch or longest
    for start in range(0, longest, size):
        yield Part(step, shares[rank][start : start + size], start, rows_B, start + size >= longest, before + start)


def lane_orders(groups: Sequence[np.ndarray], lanes: int, shuffle_rows: int, seed: int, epoch: int) -> np.ndarray:
    """Row numbers (L, N) of an epoch; N = total // L, so at most L - 1 rows sit out, other ones each epoch.

    `groups` are the rows of each row group. Raises ValueError when there are fewer rows than lanes.
    """
    total = sum(map(len, groups))
    if total < lanes:
        raise ValueError(f"found {total} training images for {lanes} lanes; expected at least one each: lower lanes.")
    draw = np.random.default_rng([seed, epoch])
    walk = draw.permutation(len(groups))
    found = [
        np.concatenate(
            [np.zeros(0, np.int64), *_windows([groups[group] for group in walk[lane::lanes]], shuffle_rows, draw)]
        )
        for lane in range(lanes)
    ]
    length = total // lanes
    surplus = np.concatenate([rows[length:] for rows in found])
    orders_LN = np.empty((lanes, length), np.int64)
    for lane, rows in enumerate(found):
        missing = max(0, length - len(rows))
        orders_LN[lane] = np.concatenate([rows[:length], surplus[:missing]])
        surplus = surplus[missing:]
    return orders_LN


def batches(orders_LN: np.ndarray, batch: int, world: int) -> Iterator[np.ndarray]:
    """Batches (W, B / W) of an epoch, one row per worker; the last may be smaller, a lone image is left out.

    `batch` must be a multiple of the lanes, the lanes of `world` (the configuration checks the first, training the
    second).
    """
    lanes, length = orders_LN.shape
    step = batch // lanes
    for start in range(0, length, step):
        part_LB = orders_LN[:, start : start + step]
        if part_LB.size > 1 or start == 0:
            yield part_LB.reshape(world, -1)


def _windows(groups: list[np.ndarray], shuffle_rows: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """The rows of successive windows of about `shuffle_rows`, each shuffled."""
    waiting: list[np.ndarray] = []
    count = 0
    for group in groups:
        waiting.append(group)
        count += len(group)
        if count >= shuffle_rows:
            yield draw.permutation(np.concatenate(waiting))
            waiting, count = [], 0
    if waiting:
        yield draw.permutation(np.concatenate(waiting))
