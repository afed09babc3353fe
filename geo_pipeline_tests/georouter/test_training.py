"""Training: it learns, it repeats itself, and several workers learn what one does."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.georouter.gathered import GATHERED
from geo_pipeline.georouter.training import epoch_batches, learning_rate, train
from geo_pipeline.training.folder import LAST, LOGS

LABELS = {"distance": "great_circle", "alpha": 1.6, "epsilon_km": 1e-6}


def run(georouting, config, out_dir, report=lambda row: None):
    return train(georouting / "georouting.parquet", georouting / GATHERED, config, out_dir, report, LABELS)


def hashes(folder):
    """What is left in the home: without the state, and without what holds times."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in (LAST, LOGS)
    }


@pytest.fixture(scope="module")
def trained(georouting, router_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("router")
    told = []
    return folder, run(georouting, router_config, folder, told.append), told


def test_it_learns_what_the_picture_tells(georouting, router_config, tmp_path):
    config = replace(router_config, epochs=6, lr=2e-2, variant="image_only")
    result = run(georouting, config, tmp_path)
    rows = [row for row in result.curves.to_pylist() if row["split"] == "train"]
    first, last = (np.mean([row["loss"] for row in rows if row["epoch"] == epoch]) for epoch in (0, 5))
    assert last < 0.6 * first
    assert result.metrics["holdout_routed_right"] == 1.0


def test_the_card_holds_the_whole_configuration_and_how_the_labels_were_made(trained, router_config):
    card = json.loads((trained[0] / "card.json").read_text())
    assert card["config"] == json.loads(json.dumps(router_config.to_json()))
    assert card["labels"] == LABELS


def test_curves_keep_their_contract_and_reports_tell_the_epochs(trained):
    _, result, told = trained
    assert load_contract("training_curves").problems(result.curves) == []
    splits = result.curves["split"].to_pylist()
    assert splits == [*["train"] * 5, "holdout"] * 2
    assert [facts["epoch"] for facts in told] == [0, 1]
    judged = [row for row in result.curves.to_pylist() if row["split"] == "holdout"]
    assert [(facts["step"], facts["holdout_loss"], facts["metric"]) for facts in told] == [
        (row["step"], row["loss"], row["metric"]) for row in judged
    ]
    assert result.metrics["lessons"] + result.metrics["held_out"] == 39


def test_the_checkpoint_has_its_files_and_nothing_else(trained):
    folder, _, _ = trained
    assert sorted(hashes(folder)) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "card.json",
        "curves.html",
        "router_head.safetensors",
    ]
    assert sorted(path.name for path in (folder / LAST).iterdir()) == ["ended", "state.safetensors"]
    assert len(list((folder / LOGS).iterdir())) == 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(trained, georouting, router_config, tmp_path):
    folder, _, _ = trained
    run(georouting, router_config, tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(folder)
    run(georouting, replace(router_config, seed=6, epochs=1), tmp_path / "other")
    assert hashes(tmp_path / "other")["router_head.safetensors"] != hashes(folder)["router_head.safetensors"]


def test_micro_batches_change_no_gradient(georouting, router_config, tmp_path):
    still = replace(router_config, lora_dropout=0.0, epochs=1)
    run(georouting, still, tmp_path / "whole")
    run(georouting, replace(still, micro_batch=3), tmp_path / "parts")
    for name in ("adapter_model.safetensors", "router_head.safetensors"):
        whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
        for key in whole:
            torch.testing.assert_close(whole[key], parts[key], rtol=1e-3, atol=2e-4)


def _worker(rank, world, port, georouting, config, out_dir):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    run(georouting, config, out_dir)
    dist.destroy_process_group()


def test_two_workers_learn_what_one_does(georouting, router_config, tmp_path, unused_port):
    still = replace(router_config, lora_dropout=0.0, epochs=1)
    run(georouting, still, tmp_path / "one")
    mp.spawn(_worker, args=(2, unused_port, georouting, still, tmp_path / "two"), nprocs=2)
    one, two = (load_file(tmp_path / name / "router_head.safetensors")["weight"] for name in ("one", "two"))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=2e-4)


def test_rates_are_constant_as_in_the_paper_or_warm_and_cool(router_config):
    assert {learning_rate(router_config, step, 10) for step in range(10)} == {router_config.lr}
    curved = replace(router_config, warmup_share=0.2, cosine=True)
    rates = [learning_rate(curved, step, 10) for step in range(10)]
    assert rates[0] == pytest.approx(curved.lr / 2)
    assert max(rates) == rates[1] == curved.lr
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_an_epoch_shows_every_lesson_once_and_like_lengths_together():
    lengths = [number % 50 for number in range(300)]
    batches = epoch_batches(lengths, 24, seed=1, epoch=0)
    assert sorted(row for batch in batches for row in batch) == list(range(300))
    spreads = [max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in batches]
    assert sum(spreads) / len(spreads) < 15
    assert batches != epoch_batches(lengths, 24, seed=1, epoch=1)
    assert batches == epoch_batches(lengths, 24, seed=1, epoch=0)
