import os
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.compute.compute import ComputeError
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.orchestration.stage import in_batches, mapped_shards
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline_tests.compute.workers import loads
from geo_pipeline_tests.geosurge import tiny_geosurge

WORKERS = "geo_pipeline_tests.compute.workers"
WORKER = f"{WORKERS}:PidWorker"
LOOP = f"{WORKERS}:loop"
CONFIG = ComputeConfig(batch_rows=3, actors=2, cpus=4, stall_s=120)

pytestmark = pytest.mark.xdist_group("one_ray")


def numbers(count):
    return list(in_batches(pa.table({"x": list(range(count))}), CONFIG.batch_rows))


@pytest.fixture(scope="module")
def on_ray():
    """Ray, started once for the tests of this module."""
    with RayCompute(CONFIG) as compute:
        yield compute


@pytest.fixture
def patience(on_ray):
    """Sets how long Ray may be silent, for one test."""

    def patient(stall_s):
        on_ray.config = ComputeConfig(batch_rows=3, actors=2, cpus=4, stall_s=stall_s)

    yield patient
    on_ray.config = CONFIG


def gone(pid):
    """Whether a process has ended, within a few seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_in_process_gives_one_result_per_batch_in_order(tmp_path):
    results = list(InProcessCompute(CONFIG).map_batches(WORKER, {"folder": tmp_path}, numbers(8)))
    assert [part.num_rows for part in results] == [3, 3, 2]
    assert pa.concat_tables(results)["square"].to_pylist() == [value * value for value in range(8)]
    assert loads(tmp_path) == {os.getpid(): 1}


def test_no_batches_need_no_worker_and_no_ray(tmp_path):
    assert list(InProcessCompute(CONFIG).map_batches("nosuch.module:Worker", {}, [])) == []
    assert list(RayCompute(CONFIG).map_batches("nosuch.module:Worker", {}, [])) == []


def test_each_worker_loads_once_however_many_shards_and_one_that_is_killed_is_replaced(on_ray, tmp_path):
    for name in ("ray", "here"):
        (tmp_path / name).mkdir()
    kwargs = {"folder": tmp_path / "ray", "deadly": 5, "pause_s": 0.1}
    shards = {f"shard-{number}": pa.table({"x": list(range(20 * number, 20 * number + 20))}) for number in range(6)}
    found = dict(mapped_shards(None, list(shards), shards.__getitem__, WORKER, kwargs, on_ray))
    assert set(loads(tmp_path / "ray").values()) == {1}
    assert len(loads(tmp_path / "ray")) == 3, "two actors, and one in the place of the killed one"
    assert os.getpid() not in loads(tmp_path / "ray")
    twin = InProcessCompute(CONFIG)
    here = dict(mapped_shards(None, list(shards), shards.__getitem__, WORKER, {"folder": tmp_path / "here"}, twin))
    assert {key: [part.to_pydict() for part in parts] for key, parts in found.items()} == {
        key: [part.to_pydict() for part in parts] for key, parts in here.items()
    }
    assert [part.schema for part in found["shard-0"]] == [part.schema for part in here["shard-0"]]
    assert all(gone(pid) for pid in loads(tmp_path / "ray")), "the pool ends with its call"


def test_a_batch_at_which_every_worker_dies_is_given_up_in_one_clear_sentence(on_ray, tmp_path):
    results = on_ray.map_batches(WORKER, {"folder": tmp_path, "deadly": 4, "deaths": 99}, numbers(9))
    with pytest.raises(ComputeError, match=r"PidWorker died 3 times at the same batch.*run again") as raised:
        list(results)
    assert "\n" not in str(raised.value)
    assert 3 <= len(list(tmp_path.glob("killed-*"))) <= 5, "a result that was lost on its way may be blamed first"


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [({}, "Refusing failed: ValueError: seven is not allowed"), ({"at_once": True}, "FileNotFoundError: no weights")],
)
def test_an_error_of_the_worker_is_told_with_its_cause_and_without_rays_traceback(on_ray, tmp_path, kwargs, words):
    with pytest.raises(ComputeError, match=words) as raised:
        list(on_ray.map_batches(f"{WORKERS}:Refusing", {"folder": tmp_path, **kwargs}, numbers(9)))
    assert "ray" not in str(raised.value)


def test_silence_becomes_an_error(on_ray, patience, tmp_path):
    patience(4.0)
    with pytest.raises(ComputeError, match=r"no result of .*Silent for 4 s"):
        list(on_ray.map_batches(f"{WORKERS}:Silent", {"folder": tmp_path}, numbers(2)))
    assert (tmp_path / "asked").exists()


def test_who_stops_reading_ends_the_work(on_ray, tmp_path):
    taken = []

    def endless():
        for number in range(10_000):
            taken.append(number)
            yield pa.table({"x": [number]})

    results = on_ray.map_batches(WORKER, {"folder": tmp_path}, endless())
    assert next(results)["x"].to_pylist() == [0]
    results.close()
    assert all(gone(pid) for pid in loads(tmp_path))
    assert len(taken) <= 10, "only what is in flight was read"


def test_training_gives_the_same_on_ray_as_here(on_ray, tmp_path):
    reports = []
    (tmp_path / "train").mkdir()
    trained = on_ray.train(LOOP, {"start": 4.0, "out_dir": tmp_path / "train" / "net"}, reports.append)
    assert (trained.metrics, reports) == ({"best": 2.0}, [{"epoch": 0, "loss": 4.0}, {"epoch": 1, "loss": 2.0}])
    twin = InProcessCompute(CONFIG).train(LOOP, {"start": 4.0, "out_dir": tmp_path / "twin"}, reports.append)
    assert twin.curves == trained.curves
    assert (tmp_path / "train" / "net" / "weights").read_bytes() == (tmp_path / "twin" / "weights").read_bytes()


def test_what_a_training_refuses_is_told_at_once_and_not_tried_again(on_ray, tmp_path):
    with pytest.raises(ComputeError, match=r"^The loss is nan: lower the rate\.$"):
        on_ray.train(f"{WORKERS}:refusing_loop", {"out_dir": tmp_path / "net"}, lambda row: None)
    assert (tmp_path / "tries").read_text() == "1"


@pytest.fixture
def two_workers(on_ray):
    """Training runs on two workers, for one test."""
    on_ray.config = replace(CONFIG, train_workers=2)
    yield on_ray
    on_ray.config = CONFIG


def epochs_trained(notes, rank):
    """The epochs of the batches that a rank trained on, one list per process, in the order in which they came."""
    files = sorted(notes.glob(f"rank-{rank}-*"), key=lambda path: path.stat().st_ctime)
    return [[int(epoch) for epoch in path.read_text().split()] for path in files]


def test_a_training_whose_worker_is_killed_goes_on_where_it_was_and_ends_with_the_same_weights(two_workers, tmp_path):
    """Nine batches in three epochs, a state after each; the second worker is killed ahead of the fifth batch."""
    files = tiny_geosurge.write_tables(tmp_path)
    clip = tiny_geosurge.write_clip(tmp_path / "clip")
    config = tiny_geosurge.config(clip, lanes=2, max_epochs=3, checkpoint_steps=1)
    ended = {}
    for name, deadly in (("undisturbed", None), ("killed", 4)):
        notes = tmp_path / f"notes of {name}"
        notes.mkdir()
        kwargs = {
            "images": [files[0]],
            "segmentations": [files[1]],
            "hierarchy_table": files[2],
            "config": config,
            "out_dir": tmp_path / name,
            "notes": notes,
            "deadly": deadly,
        }
        reports = []
        trained = two_workers.train(f"{WORKERS}:train_watched", kwargs, reports.append)
        ended[name] = trained, reports, load_file(tmp_path / name / "model.safetensors")
    assert (tmp_path / "notes of killed" / "killed").exists()
    assert epochs_trained(tmp_path / "notes of undisturbed", 1) == [[0, 0, 0, 1, 1, 1, 2, 2, 2]]
    for rank in range(2):
        first, second = epochs_trained(tmp_path / "notes of killed", rank)
        assert first[:4] == [0, 0, 0, 1]
        assert second == [1, 1, 2, 2, 2], "nothing that was finished is done again"
    (undisturbed, _, expected), (killed, reports, found) = ended["undisturbed"], ended["killed"]
    assert [row["epoch"] for row in reports] == [1, 2]
    assert expected.keys() == found.keys()
    for tensor in expected:
        torch.testing.assert_close(found[tensor], expected[tensor], rtol=1e-4, atol=1e-6)
    for column in ("step", "loss", "learning_rate"):
        np.testing.assert_allclose(killed.curves[column].to_numpy(), undisturbed.curves[column].to_numpy(), rtol=1e-5)
