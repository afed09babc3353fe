"""Two workers train a baseline as one does: the gradient of the batch, the held-out loss, and what is collected."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.baselines.registry import BASELINES
from geo_pipeline_tests.baselines import tiny_baselines

VARIANTS = [*((name, True) for name in BASELINES), ("lknn", False), ("pigeon", False)]
OPTIONS = {"batch": 34, "lanes": 2, "max_epochs": 1}
"""The whole set is one batch, so that the state of AdamW holds a tenth of its gradient."""

WORKER = """
import sys
from datetime import timedelta
from pathlib import Path
import torch
from torch import distributed
sys.path.insert(0, sys.argv[1])
from geo_pipeline_tests.baselines import tiny_baselines, test_two_workers

rank, folder, world = int(sys.argv[2]), Path(sys.argv[3]), tiny_baselines.World(*map(Path, sys.argv[4:]))
torch.set_num_threads(1)
store = distributed.FileStore(str(folder / "store"), 2)
distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=120))
for name, idea in test_two_workers.VARIANTS:
    config = tiny_baselines.config(world.clip, name, idea, micro_batch=5, **test_two_workers.OPTIONS)
    world.train(config, folder / f"{name}-{idea}")
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def by_two(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    files = map(str, (world.images, world.segmentations, world.geocells, world.clip))
    command = [sys.executable, "-c", WORKER, str(Path(__file__).parents[2])]
    arguments = [str(folder), *files]
    workers = [
        subprocess.Popen([*command, str(rank), *arguments], stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=240)
        assert worker.returncode == 0, errors[-2000:]
    return folder


@pytest.mark.parametrize(("name", "idea"), VARIANTS)
def test_two_workers_train_what_one_does(by_two, world, tmp_path, name, idea):
    world.train(tiny_baselines.config(world.clip, name, idea, **OPTIONS), tmp_path)
    both = by_two / f"{name}-{idea}"
    cards = [json.loads((folder / "card.json").read_text()) for folder in (tmp_path, both)]
    assert [card["workers"] for card in cards] == [1, 2]
    if (name, idea) != ("lknn", False):  # where nothing is trained there is no step
        states = [load_file(folder / "last" / "state.safetensors") for folder in (tmp_path, both)]
        moments = [key for key in states[0] if key.startswith("adam/exp_avg/")]
        assert len(moments) > 10
        for key in moments:
            torch.testing.assert_close(states[1][key], states[0][key], rtol=1e-3, atol=1e-6)
        losses = [card["metrics"]["best_loss"] for card in cards]
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    alone, found = (load_file(folder / "model.safetensors") for folder in (tmp_path, both))
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in alone.items()}
    if not idea or name == "geoclip":  # what was collected; elsewhere a step of AdamW blows differences up
        for key in set(alone) & {"gallery_ND", "place_N2", "mean_D", "gallery_deg_G2"}:
            torch.testing.assert_close(found[key], alone[key], rtol=1e-2, atol=2e-3)
    assert not list(both.glob("remembered-*"))
