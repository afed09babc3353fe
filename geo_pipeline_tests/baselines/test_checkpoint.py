import json
import pickle
import shutil
from dataclasses import asdict

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from geo_pipeline.baselines import checkpoint
from geo_pipeline.baselines.baseline import NoCellsError
from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.baselines.worker import BaselinePredictor
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.geosurge.vision import load_tower
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline_tests.baselines import tiny_baselines
from geo_pipeline_tests.geosurge import tiny_geosurge

MINE = ("lknn", "planet_net", "cplanet", "isns")


@pytest.fixture
def copied(checkpoint_of, tmp_path):
    def copy(name="planet_net"):
        return shutil.copytree(checkpoint_of(name), tmp_path / name)

    return copy


@pytest.mark.parametrize("name", MINE)
def test_saved_and_read_again_it_predicts_the_same(checkpoint_of, predictions_of, rows, tmp_path, name):
    model = checkpoint.load(checkpoint_of(name), device="cpu")
    checkpoint.save(tmp_path / "again", model, {"metrics": {}})
    predictor = BaselinePredictor(tmp_path / "again", inference=InferenceConfig(crops="centre"), device="cpu")
    assert predictor(rows).equals(predictions_of(name))


def test_a_card_tells_what_it_is(checkpoint_of):
    for name in MINE:
        folder = checkpoint_of(name)
        card = json.loads((folder / "card.json").read_text())
        assert card["config"]["name"] == name
        whole = asdict(BaselineConfig(name))
        assert {part: set(values) for part, values in card["config"].items() if isinstance(values, dict)} == {
            part: set(values) for part, values in whole.items() if isinstance(values, dict)
        }
        assert card["format"] == "geo-pipeline/baseline/1"
        assert "dual_use" in card
        assert "data_fingerprint" in card
        assert card["metrics"]["train_images"] == 34
        assert (folder / "geocells.parquet").exists()
        assert not any(path.name.startswith(".") for path in folder.iterdir())


def test_a_folder_without_card_or_with_a_pickle_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"no card\.json; expected model\.safetensors"):
        checkpoint.load(tmp_path)
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match=r"only model\.pt, which may hold a pickle"):
        checkpoint.load(tmp_path)


def test_a_pickle_by_another_name_and_a_cut_file_are_refused(copied):
    folder = copied()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match="is a pickle"):
        checkpoint.load(folder)
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        checkpoint.load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"a card but no model\.safetensors"):
        checkpoint.load(folder)


def test_another_partition_is_refused(copied):
    folder = copied()
    other = tiny_geosurge.hierarchy(tau_max=(40, 12))
    with pytest.raises(CheckpointError, match="the present geocells hold"):
        checkpoint.load(folder, hierarchy=other)
    pq.write_table(other.to_table(), folder / "geocells.parquet")
    with pytest.raises(CheckpointError, match=r"its own geocells\.parquet hold"):
        checkpoint.load(folder)


def test_another_width_is_refused(copied):
    folder = copied("lknn")
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "gallery_ND": torch.zeros(5, 8, dtype=torch.float16)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"gallery_ND: found \(5, 8\), expected \(0, 32\)"):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["config", "tower", "partition_fingerprint"])
def test_a_card_that_lacks_something_is_refused(copied, name):
    folder = copied()
    card = json.loads((folder / "card.json").read_text())
    for broken in ({key: value for key, value in card.items() if key != name}, {**card, name: 5}):
        (folder / "card.json").write_text(json.dumps(broken))
        with pytest.raises(CheckpointError, match=r"card\.json holds what this version does not know.*rain again"):
            checkpoint.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "geo-pipeline/geosurge/1"}, "has the format 'geo-pipeline/geosurge/1'"),
        ({"config": {"name": "vgg"}}, "holds what this version does not know"),
    ],
)
def test_a_card_of_something_else_is_refused(copied, change, message):
    folder = copied()
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(folder)
    (folder / "card.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        checkpoint.load(folder)


def test_a_checkpoint_that_is_not_wholly_written_is_none(checkpoint_of, tmp_path, monkeypatch):
    """The card is written last: whatever fails before leaves a folder that is refused."""
    model = checkpoint.load(checkpoint_of("planet_net"), device="cpu")
    checkpoint.save(tmp_path, model, {})
    monkeypatch.setattr(checkpoint, "save_tensors", lambda *given: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(tmp_path, model, {})
    with pytest.raises(CheckpointError, match=r"no card\.json"):
        checkpoint.load(tmp_path)


def test_cells_are_asked_for_where_there_are_none(world):
    config = tiny_baselines.config(world.clip, "planet_net")
    with pytest.raises(NoCellsError, match="found no geocells for the baseline planet_net"):
        checkpoint.build(config, None, load_tower(config.vision))
    assert np.isfinite(
        checkpoint.build(
            tiny_baselines.config(world.clip, "geoclip"), None, load_tower(config.vision)
        ).gallery_GD.numpy()
    ).all()
