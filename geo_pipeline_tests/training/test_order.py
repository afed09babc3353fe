from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.training.order import batches, lane_orders


def row_groups(sizes):
    edges = np.cumsum([0, *sizes])
    return [np.arange(first, last) for first, last in pairwise(edges)]


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    lanes=st.sampled_from([1, 2, 4]),
    window=st.integers(1, 30),
    epoch=st.integers(0, 5),
)
def test_every_row_once_and_only_the_remainder_sits_out(sizes, lanes, window, epoch):
    total = sum(sizes)
    if total < lanes:
        with pytest.raises(ValueError, match="lower lanes"):
            lane_orders(row_groups(sizes), lanes, window, 0, epoch)
        return
    orders_LN = lane_orders(row_groups(sizes), lanes, window, 0, epoch)
    assert orders_LN.shape == (lanes, total // lanes)
    assert len(np.unique(orders_LN)) == orders_LN.size
    assert set(orders_LN.ravel()) <= set(range(total))


def test_an_order_is_drawn_anew_each_epoch_and_the_same_each_time():
    groups = row_groups([10] * 8)
    first, again, later = (lane_orders(groups, 2, 20, 7, epoch) for epoch in (0, 0, 1))
    assert (first == again).all()
    assert (first != later).any()


def test_a_window_reads_few_row_groups_at_a_time():
    orders_LN = lane_orders(row_groups([100] * 50), 1, 300, 0, 0)
    for start in range(0, 5000, 300):
        assert len(np.unique(orders_LN[0, start : start + 300] // 100)) == 3 or start + 300 > 5000


def test_when_all_fits_one_window_it_is_a_permutation_of_all():
    orders_LN = lane_orders(row_groups([10] * 10), 1, 1000, 0, 0)
    assert len(np.unique(orders_LN[0, :20] // 10)) > 5


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_a_batch_holds_the_same_images_in_the_same_order_however_many_workers_share_it(world):
    orders_LN = lane_orders(row_groups([10] * 16), 8, 20, 0, 0)
    shared = list(batches(orders_LN, 48, world))
    alone = list(batches(orders_LN, 48, 1))
    assert [part_WB.size for part_WB in shared] == [48, 48, 48, 16]
    for part_WB, whole_WB in zip(shared, alone, strict=True):
        assert len(part_WB) == world
        assert part_WB.ravel().tolist() == whole_WB.ravel().tolist()
    lanes = 8 // world
    for rank in range(world):
        mine = np.concatenate([part_WB[rank] for part_WB in shared])
        assert set(mine) == set(orders_LN[rank * lanes : (rank + 1) * lanes].ravel())


def test_a_lone_last_image_is_left_out():
    assert [part.size for part in batches(np.arange(9)[None], 4, 1)] == [4, 4]
    assert [part.size for part in batches(np.arange(1)[None], 4, 1)] == [1]
