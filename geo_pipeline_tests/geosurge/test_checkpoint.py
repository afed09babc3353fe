import json
import pickle
import shutil
from dataclasses import asdict

import pyarrow.parquet as pq
import pytest

from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline_tests.geosurge import tiny_geosurge


@pytest.fixture
def saved(trained, tmp_path):
    return shutil.copytree(trained.checkpoint, tmp_path / "checkpoint")


def test_the_card_says_what_it_is(trained):
    card = json.loads((trained.checkpoint / "card.json").read_text())
    assert card["metrics"]["train_images"] == 34
    assert card["config"] == json.loads(json.dumps(asdict(tiny_geosurge.config(trained.clip))))
    assert len(card["data_fingerprint"]) == 64
    assert "locate a person" in card["dual_use"]
    assert "Apache-2.0" in card["licence"]


def test_another_partition_is_refused(saved):
    other = tiny_geosurge.hierarchy(tau_max=(40, 12, 12))
    with pytest.raises(CheckpointError, match="trained on partition"):
        GeoSurge.from_pretrained(saved, hierarchy=other)
    pq.write_table(other.to_table(), saved / "geocells.parquet")
    with pytest.raises(CheckpointError, match=r"its own geocells\.parquet hold"):
        GeoSurge.from_pretrained(saved)


def test_another_width_is_refused(saved):
    card = json.loads((saved / "card.json").read_text())
    card["config"]["embedding_dim"] = 32
    (saved / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"found \(24, 32\), expected \(32, 32\)"):
        GeoSurge.from_pretrained(saved)


def test_a_truncated_file_is_refused(saved):
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        GeoSurge.from_pretrained(saved)


def test_a_pickle_is_refused_under_any_name(saved, tmp_path):
    (saved / "model.safetensors").write_bytes(pickle.dumps({"weights": list(range(100))}))
    with pytest.raises(CheckpointError, match="pickle"):
        GeoSurge.from_pretrained(saved)
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match="never loaded"):
        GeoSurge.from_pretrained(tmp_path)


def test_a_missing_file_or_card_is_named(saved):
    (saved / "geocells.parquet").unlink()
    with pytest.raises(CheckpointError, match=r"no geocells.parquet"):
        GeoSurge.from_pretrained(saved)
    (saved / "card.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        GeoSurge.from_pretrained(saved)
    (saved / "card.json").write_text('{"format": "other"}')
    with pytest.raises(CheckpointError, match="format 'other'"):
        GeoSurge.from_pretrained(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"width": 3}},
        {"config": None},
        {"tower": None},
        {"tower": {"embed_dim": 16}},
        {"partition_fingerprint": None},
    ],
)
def test_a_card_of_another_version_is_one_clear_error(saved, change):
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(CheckpointError, match=r"card\.json holds what this version does not know.*rain again"):
        GeoSurge.from_pretrained(saved)


@pytest.mark.parametrize("name", ["config", "tower", "partition_fingerprint"])
def test_a_card_that_lacks_something_is_refused(saved, name):
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps({key: value for key, value in card.items() if key != name}))
    with pytest.raises(CheckpointError, match=name):
        GeoSurge.from_pretrained(saved)


def test_an_option_that_this_version_does_not_know_is_named(saved):
    card = json.loads((saved / "card.json").read_text())
    card["config"]["training"]["momentum"] = 0.9
    (saved / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="momentum"):
        GeoSurge.from_pretrained(saved)
