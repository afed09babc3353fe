"""The comparison of the compiled kernels with s2sphere: what it finds, and that it costs nothing a second time."""

from dataclasses import replace

import numpy as np
import pytest

from geo_pipeline.earth.cells import kernels
from geo_pipeline.earth.kernel_check import KernelMismatch, check_once, differences


def _one_bit_off(lat_deg, lon_deg, ids, start, stop):
    """Like `leaf_ids`, but wrong where a fast cosine is: at the pole alone."""
    kernels().leaf_ids(lat_deg, lon_deg, ids, start, stop)
    ids[start:stop] ^= np.where(lat_deg[start:stop] == 90.0, np.uint64(2), np.uint64(0))


def _centres_off(ids, centres, start, stop):
    kernels().centres_deg(ids, centres, start, stop)
    centres[start:stop, 0] += 1e-9


def test_the_kernels_of_this_machine_equal_the_reference():
    assert differences(kernels()) == []


def test_a_wrong_id_stops_with_what_was_found_expected_and_to_do(tmp_path):
    with pytest.raises(KernelMismatch) as caught:
        check_once(replace(kernels(), leaf_ids=_one_bit_off), tmp_path)
    words = str(caught.value)
    assert "latitude 90.0" in words
    assert "expected equal ids on numba" in words
    assert "NUMBA_CPU_NAME=generic" in words
    assert list(tmp_path.iterdir()) == [], "a failed comparison is not noted as passed"


def test_angles_count_too():
    assert all("degrees" in line for line in differences(replace(kernels(), centres_deg=_centres_off)))
    assert len(differences(replace(kernels(), centres_deg=_centres_off))) > 200


def test_a_passed_comparison_is_noted_and_not_made_again(tmp_path):
    assert check_once(kernels(), tmp_path)
    assert not check_once(kernels(), tmp_path)
    assert not check_once(replace(kernels(), leaf_ids=_one_bit_off), tmp_path), "the note alone decides"


def test_without_a_folder_that_can_be_written_it_is_made_every_time(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for folder in (None, blocked / "below"):
        assert check_once(kernels(), folder)
        assert check_once(kernels(), folder)
