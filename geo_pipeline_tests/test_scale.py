"""docs/scale.md is what its script computes from the measured rates, and says what it must."""

import json

import pytest

from geo_pipeline_tests.speed import scale
from geo_pipeline_tests.speed.measuring import MEASUREMENTS

RATES = scale.Rates.read(MEASUREMENTS)


def test_the_document_is_computed_from_the_measurements():
    assert (MEASUREMENTS.parent / "scale.md").read_text() == scale.document(RATES).rstrip() + "\n"


def test_another_rate_gives_another_document():
    slower = json.loads(json.dumps(RATES.figures))
    slower["readers"]["stored"]["ingest_images_per_s"] /= 2
    (before,) = [cost for cost in scale.costs(scale.MP16, RATES) if cost.stage == "images"]
    (after,) = [cost for cost in scale.costs(scale.MP16, scale.Rates(slower)) if cost.stage == "images"]
    assert after.core_hours == pytest.approx(2 * before.core_hours)


def test_costs_grow_with_the_collection():
    small, large = (scale.costs(scale.MP16 * factor, RATES) for factor in (1, 100))
    for left, right in zip(small, large, strict=True):
        assert right.requests >= left.requests
        assert (right.memory_gib or 0) >= (left.memory_gib or 0)
        assert (right.core_hours or 0) >= 10 * (left.core_hours or 0)


def test_figures_that_were_not_measured_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"geo_pipeline_tests\.speed\.readers --save"):
        scale.Rates.read(tmp_path)


def test_a_gpu_that_was_measured_takes_the_place_of_the_cores():
    figures = json.loads(json.dumps(RATES.figures))
    devices = figures["networks"]["devices"]
    cpu = next(record for record in devices.values() if record["kind"] == "cpu")
    gpu = {
        **cpu,
        "device": "a GPU",
        "kind": "cuda",
        "oneformer": {"images_per_s": 100.0},
        "oneformer_float32": {"images_per_s": 10.0},
    }
    figures["networks"]["devices"] = {"cores": cpu, "a GPU": gpu}
    rates = scale.Rates(figures)
    (cost,) = [cost for cost in scale.costs(scale.MP16, rates) if cost.stage == "segmentations"]
    assert cost.core_hours is None
    assert cost.note == "131 hours on one a GPU", "4,723,695 images at 10 a second, as the worker runs it"
    assert "**one a GPU**" in scale.document(rates)
    assert "on CPU cores" not in scale.document(rates)


def test_class_maps_are_written():
    (cost,) = [cost for cost in scale.costs(scale.MP16, RATES) if cost.stage == "segmentations"]
    stored = RATES["class_maps"]["photographs_640"]["ways"]["PNG as stored"]["bytes"]
    assert cost.written_bytes == pytest.approx(scale.MP16 * stored)
