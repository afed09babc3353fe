"""Pickled weights become safetensors; what else a pickle would do is not done."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from geo_pipeline.cli import app
from geo_pipeline.commands.convert_weights import convert_weights
from geo_pipeline.profiles.profile import ProfileError


class Runs:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    shared = torch.arange(6.0)
    torch.save({"a": shared[:4].view(2, 2).T, "b": shared}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text("{}")
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def test_the_tensors_and_what_lies_beside_them_come_out(source, tmp_path, monkeypatch):
    lists = tmp_path / "cache" / "datasets--shi-labs--oneformer_demo"
    (lists / "refs").mkdir(parents=True)
    (lists / "refs" / "main").write_text("d" * 40)
    (lists / "snapshots" / ("d" * 40)).mkdir(parents=True)
    (lists / "snapshots" / ("d" * 40) / "ade20k_panoptic.json").write_text(json.dumps({"0": {"name": "wall"}}))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    done = CliRunner().invoke(app, ["convert-weights", str(source), str(tmp_path / "out")])
    assert done.stdout.splitlines()[0].startswith("2 tensors, 0 MB: ")
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert found["a"].tolist() == [[0, 2], [1, 3]]
    assert found["b"].tolist() == [0, 1, 2, 3, 4, 5]
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        "config.json", "merges.txt", "model.safetensors", "ade20k_panoptic.json"
    }  # fmt: skip


def test_a_pickle_that_would_do_something_is_refused_and_does_nothing(source, tmp_path):
    (source / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Runs(tmp_path / "done")}))
    with pytest.raises(ProfileError, match=r"is no file of plain tensors .*expected what torch\.save writes"):
        convert_weights(source, tmp_path / "out")
    assert {each.name for each in tmp_path.iterdir()} == {"source"}


@pytest.mark.parametrize("content", [[torch.zeros(2)], {}, {"a": torch.zeros(2), "epoch": 3}])
def test_what_is_no_state_dict_is_refused(source, tmp_path, content):
    torch.save(content, source / "pytorch_model.bin")
    with pytest.raises(ProfileError, match=r"expected a (dictionary of tensors|state_dict)"):
        convert_weights(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_pickle_is_refused(source, tmp_path):
    data = (source / "pytorch_model.bin").read_bytes()
    (source / "pytorch_model.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(ProfileError, match="fetch it again"):
        convert_weights(source, tmp_path / "out")


def test_nothing_is_written_over_and_a_folder_without_a_pickle_is_told(source, tmp_path):
    with pytest.raises(ProfileError, match="there already"):
        convert_weights(source, source)
    with pytest.raises(ProfileError, match=r"found no pytorch_model\.bin .*hf download"):
        convert_weights(tmp_path, tmp_path / "out")
